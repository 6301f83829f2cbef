package shard

import (
	"io/fs"
	"path"
	"runtime"
	"strconv"
	"strings"
)

// Workers returns how many points to work on at a time, and what says so: the processors that Slurm gives a task, else the
// limit of the control group that a container is in or the processors that the process may run on, whichever is less, else
// what the runtime of Go would use. lookup is os.LookupEnv; root is the root of the file system, os.DirFS("/").
//
// Slurm does not always confine a task to its processors, so a program that counts those of the machine starts too many.
func Workers(lookup func(string) (string, bool), root fs.FS) (n int, from string) {
	return workers(lookup, root, runtime.NumCPU(), runtime.GOMAXPROCS(0))
}

func workers(lookup func(string) (string, bool), root fs.FS, may, procs int) (n int, from string) {
	for _, name := range []string{"SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"} {
		text, _ := lookup(name)
		if n, err := strconv.Atoi(text); err == nil && n > 0 {
			return n, name
		}
	}
	if quota := controlGroup(root); quota > 0 && quota < may {
		return quota, "the limit of the control group"
	}
	if procs < may {
		return procs, "GOMAXPROCS"
	}
	return may, "the processors of this machine"
}

// controlGroup returns the limit of processors of the control group of this process or one that it is in, rounded up: the
// smallest, or 0 for none. Both versions are in proc(5) and the kernel's documentation: cpu.max holds "QUOTA PERIOD" or
// "max PERIOD" in version 2; version 1 has a file for each, and -1 for no limit.
func controlGroup(root fs.FS) int {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	least := 0
	note := func(quota, period string) {
		q, err := strconv.ParseInt(quota, 10, 64)
		p, err2 := strconv.ParseInt(period, 10, 64)
		if err != nil || err2 != nil || q <= 0 || p <= 0 {
			return
		}
		if n := int((q + p - 1) / p); least == 0 || n < least {
			least = n
		}
	}
	read := func(dir, name string) string {
		text, _ := fs.ReadFile(root, path.Join(dir, name))
		return strings.TrimSpace(string(text))
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		group := path.Clean("/" + parts[2])
		switch {
		case parts[0] == "0" && parts[1] == "":
			eachGroup("sys/fs/cgroup", group, func(dir string) {
				quota, period, _ := strings.Cut(read(dir, "cpu.max"), " ")
				note(quota, period)
			})
		case strings.Contains(","+parts[1]+",", ",cpu,"):
			for _, at := range []string{parts[1], "cpu"} {
				eachGroup("sys/fs/cgroup/"+at, group, func(dir string) {
					note(read(dir, "cpu.cfs_quota_us"), read(dir, "cpu.cfs_period_us"))
				})
			}
		}
	}
	return least
}

// eachGroup calls f with the folder of a control group and of all that it is in. In a container the path is often that of
// the host, of which only the root can be seen here.
func eachGroup(at, group string, f func(dir string)) {
	for ; ; group = path.Dir(group) {
		f(path.Join(at, group))
		if group == "/" {
			return
		}
	}
}
