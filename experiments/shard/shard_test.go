package shard

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Shard
		says string // in the error
	}{
		{text: "0/1", want: All},
		{text: "3/8", want: Shard{3, 8}},
		{text: "007/8", want: Shard{7, 8}},
		{text: "999999/1000000", want: Shard{999_999, 1_000_000}},
		{text: "8/8", says: "shards count from 0, so the last of 8 is 7/8; a job array must have the indices 0-7, not 1-8"},
		{text: "9/8", says: "from 0 to 7"},
		{text: "1/1", says: "from 0 to 0"},
		{text: "99999999999999999999/8", says: "from 0 to 7"},
		{text: "0/0", says: "at least one shard"},
		{text: "0/1000001", says: "1000000 shards at most"},
		{text: "0/99999999999999999999", says: "1000000 shards at most"},
		{text: "", says: "INDEX/COUNT"},
		{text: "3", says: "INDEX/COUNT"},
		{text: "3-8", says: "INDEX/COUNT"},
		{text: "/8", says: "the index is missing; is a variable of the shell not set?"},
		{text: "3/", says: "the count is missing"},
		{text: "-1/8", says: `the index "-1" is not a whole number`},
		{text: "+1/8", says: `the index "+1"`},
		{text: " 1/8", says: `the index " 1"`},
		{text: "1.0/8", says: `the index "1.0"`},
		{text: "1/8/2", says: `the count "8/2"`},
	} {
		got, err := Parse(tt.text)
		switch {
		case tt.says == "" && (err != nil || got != tt.want):
			t.Errorf("%q: %v, %v; want %v", tt.text, got, err, tt.want)
		case tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)):
			t.Errorf("%q: %v, %v; want an error that says %q", tt.text, got, err, tt.says)
		}
	}
}

// TestPartition: each point is in exactly one shard, shards differ by one point at most, and Size counts them.
func TestPartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.Int64Range(1, 40).Draw(t, "count")
		points := rapid.Int64Range(0, 200).Draw(t, "points")
		sizes := make([]int64, count)
		for p := range points {
			owners := 0
			for i := range count {
				if (Shard{i, count}).Has(p) {
					owners++
					sizes[i]++
				}
			}
			if owners != 1 {
				t.Fatalf("point %d is in %d shards", p, owners)
			}
		}
		for i := range count {
			s := Shard{i, count}
			if got := s.Size(points); got != sizes[i] {
				t.Fatalf("%v of %d points: Size %d, has %d", s, points, got, sizes[i])
			}
			if d := sizes[0] - sizes[i]; d < 0 || d > 1 {
				t.Fatalf("sizes %v", sizes)
			}
			if back, err := Parse(s.String()); err != nil || back != s {
				t.Fatalf("%v reads back as %v, %v", s, back, err)
			}
		}
	})
}

func variables(pairs string) func(string) (string, bool) {
	m := map[string]string{}
	for _, p := range strings.Fields(pairs) {
		name, value, _ := strings.Cut(p, "=")
		m[name] = value
	}
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
}

func TestFromEnvironment(t *testing.T) {
	for _, tt := range []struct {
		name, flag, env string
		want            Shard
		from, says      string
	}{
		{name: "nothing", want: All},
		{name: "count alone", env: "STRATA_SHARD_COUNT=8", want: All},
		{name: "flag", flag: "3/8", want: Shard{3, 8}, from: "--shard"},
		{name: "bad flag", flag: "8/8", says: "--shard: shard \"8/8\": shards count from 0"},
		{name: "flag before Slurm", flag: "3/8", env: "SLURM_ARRAY_TASK_ID=5 STRATA_SHARD_COUNT=16", want: Shard{3, 8}, from: "--shard"},
		{name: "sparse array with the flag", flag: "7/8", env: "SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_MAX=7", want: Shard{7, 8}, from: "--shard"},
		{name: "dense start of an array with the flag", flag: "1/8", env: "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=2", want: Shard{1, 8}, from: "--shard"},
		{name: "one task again", flag: "1/8", env: "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=1 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=1", want: Shard{1, 8}, from: "--shard"},
		{name: "array from 1", flag: "2/8", env: "SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_COUNT=8 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=8", says: "--array=0-7"},
		{name: "array from 1 with 1 subtracted", flag: "1/8", env: "SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_COUNT=8 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=8", want: Shard{1, 8}, from: "--shard"},
		{name: "Slurm", env: "SLURM_ARRAY_TASK_ID=3 STRATA_SHARD_COUNT=8", want: Shard{3, 8}, from: "SLURM_ARRAY_TASK_ID and STRATA_SHARD_COUNT"},
		{name: "Slurm without a count", env: "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=8 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=7", says: `give --shard "$SLURM_ARRAY_TASK_ID/N"`},
		{name: "Slurm from 1", env: "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=8 STRATA_SHARD_COUNT=8", says: "--array=0-7"},
		{name: "Slurm, last from 1", env: "SLURM_ARRAY_TASK_ID=8 STRATA_SHARD_COUNT=8", says: "not 1-8"},
		{name: "Slurm, not a number", env: "SLURM_ARRAY_TASK_ID=x STRATA_SHARD_COUNT=8", says: `SLURM_ARRAY_TASK_ID is "x"`},
		{name: "bad count", env: "SLURM_ARRAY_TASK_ID=1 STRATA_SHARD_COUNT=many", says: `the count "many"`},
		{name: "Slurm before Kubernetes", env: "JOB_COMPLETION_INDEX=1 SLURM_ARRAY_TASK_ID=3 STRATA_SHARD_COUNT=8", want: Shard{3, 8}, from: "SLURM_ARRAY_TASK_ID and STRATA_SHARD_COUNT"},
		{name: "Kubernetes", env: "JOB_COMPLETION_INDEX=0 STRATA_SHARD_COUNT=4", want: Shard{0, 4}, from: "JOB_COMPLETION_INDEX and STRATA_SHARD_COUNT"},
		{name: "Kubernetes without a count", env: "JOB_COMPLETION_INDEX=0", says: "task 0 of a job array of Kubernetes"},
		{name: "PBS", env: "PBS_ARRAY_INDEX=2 STRATA_SHARD_COUNT=4", want: Shard{2, 4}, from: "PBS_ARRAY_INDEX and STRATA_SHARD_COUNT"},
		{name: "PBS from 1", env: "PBS_ARRAY_INDEX=4 STRATA_SHARD_COUNT=4", says: "a job array must have the indices 0-3, not 1-4"},
		{name: "Torque", env: "PBS_ARRAYID=2 STRATA_SHARD_COUNT=4", want: Shard{2, 4}, from: "PBS_ARRAYID and STRATA_SHARD_COUNT"},
		{name: "Grid Engine", env: "SGE_TASK_ID=4 STRATA_SHARD_COUNT=4", want: Shard{3, 4}, from: "SGE_TASK_ID and STRATA_SHARD_COUNT"},
		{name: "Grid Engine, no array", env: "SGE_TASK_ID=undefined STRATA_SHARD_COUNT=4", want: All},
		{name: "Grid Engine from 0", env: "SGE_TASK_ID=0 STRATA_SHARD_COUNT=4", says: "count from 1"},
		{name: "AWS Batch", env: "AWS_BATCH_JOB_ARRAY_INDEX=9 AWS_BATCH_JOB_ARRAY_SIZE=10", want: Shard{9, 10}, from: "AWS_BATCH_JOB_ARRAY_INDEX and AWS_BATCH_JOB_ARRAY_SIZE"},
		{name: "negative", env: "SLURM_ARRAY_TASK_ID=-1 STRATA_SHARD_COUNT=8", says: "count from 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, from, err := FromEnvironment(tt.flag, variables(tt.env))
			switch {
			case tt.says != "":
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%v from %q, %v; want an error that says %q", got, from, err, tt.says)
				}
			case err != nil || got != tt.want || from != tt.from:
				t.Errorf("%v from %q, %v; want %v from %q", got, from, err, tt.want, tt.from)
			}
		})
	}
}

func TestWorkers(t *testing.T) {
	files := func(pairs ...string) fstest.MapFS {
		m := fstest.MapFS{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
		}
		return m
	}
	const self = "proc/self/cgroup"
	for _, tt := range []struct {
		name, env  string
		root       fstest.MapFS
		may, procs int
		want       int
		from       string
	}{
		{name: "machine", root: files(), may: 64, procs: 64, want: 64, from: "processors"},
		{name: "GOMAXPROCS", root: files(), may: 64, procs: 3, want: 3, from: "GOMAXPROCS"},
		{name: "Slurm", env: "SLURM_CPUS_PER_TASK=4 SLURM_CPUS_ON_NODE=32", root: files(), may: 64, procs: 64, want: 4, from: "SLURM_CPUS_PER_TASK"},
		{name: "Slurm without --cpus-per-task", env: "SLURM_CPUS_ON_NODE=32", root: files(), may: 64, procs: 64, want: 32, from: "SLURM_CPUS_ON_NODE"},
		{name: "Slurm, nonsense", env: "SLURM_CPUS_PER_TASK=many SLURM_CPUS_ON_NODE=0", root: files(), may: 64, procs: 64, want: 64, from: "processors"},
		{name: "group, version 2", root: files(self, "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max", "150000 100000\n"), may: 64, procs: 64, want: 2, from: "control group"},
		{name: "group above, version 2", root: files(self, "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max", "max 100000\n", "sys/fs/cgroup/a/cpu.max", "400000 100000\n"), may: 64, procs: 64, want: 4, from: "control group"},
		{name: "path of the host", root: files(self, "0::/host/x\n", "sys/fs/cgroup/cpu.max", "100000 100000\n"), may: 64, procs: 64, want: 1, from: "control group"},
		{name: "path outside", root: files(self, "0::/../../x\n", "sys/fs/cgroup/cpu.max", "100000 100000\n"), may: 64, procs: 64, want: 1, from: "control group"},
		{name: "no limit", root: files(self, "0::/\n", "sys/fs/cgroup/cpu.max", "max 100000\n"), may: 8, procs: 8, want: 8, from: "processors"},
		{name: "version 1", root: files(self, "5:memory:/x\n4:cpu,cpuacct:/x\n0::/\n", "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "300000\n", "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n"), may: 8, procs: 8, want: 3, from: "control group"},
		{name: "version 1, no limit", root: files(self, "4:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"), may: 8, procs: 8, want: 8, from: "processors"},
		{name: "more than there are", root: files(self, "0::/\n", "sys/fs/cgroup/cpu.max", "900000 100000\n"), may: 8, procs: 8, want: 8, from: "processors"},
		{name: "nonsense", root: files(self, "x\n0::\n", "sys/fs/cgroup/cpu.max", "1 0"), may: 8, procs: 8, want: 8, from: "processors"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, from := workers(variables(tt.env), tt.root, tt.may, tt.procs)
			if got != tt.want || !strings.Contains(from, tt.from) {
				t.Errorf("%d from %q, want %d from %q", got, from, tt.want, tt.from)
			}
		})
	}
}

func ExampleShard_Has() {
	s, err := Parse("1/3")
	if err != nil {
		fmt.Println(err)
		return
	}
	for point := range int64(8) {
		if s.Has(point) {
			fmt.Print(point, " ")
		}
	}
	fmt.Println("are", s.Size(8), "of 8 points")
	// Output: 1 4 7 are 3 of 8 points
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"3/8", "8/8", "/", "1/8/2", "-0/1", "0/1000000"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err == nil && (s.Index < 0 || s.Index >= s.Count || s.Count > MaxCount) {
			t.Errorf("%q: %+v", text, s)
		}
	})
}
