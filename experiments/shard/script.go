package shard

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stratasim/strata/sim/units"
)

// Engines are what Script writes for.
var Engines = []string{"local", "slurm", "pbs", "k8s"}

// Job is a sweep that is run in shards. Paths are those of the machines that run it.
type Job struct {
	Name    string // of the sweep
	Program string // strata
	File    string // the sweep file
	// DB is the database of all points. Shards have theirs in a folder beside it: see ShardFolder.
	DB     string
	Shards int64
	Only   []int64  // the shards that are run, nil for all
	Flags  []string // more flags of strata sweep run

	CPUs      int64         // of a shard, 0 for 1
	Memory    units.Bytes   // of a shard, 0 for what the site gives
	Time      time.Duration // limit of a shard, 0 for what the site gives
	Partition string        // or queue, "" for the default of the site

	// For Kubernetes:
	Image string // of the container, which holds the program
	Claim string // of the volume that all shards share
	Text  string // of the sweep file, which the job brings along
}

// StopSeconds is how long before its time is over a shard is told to stop.
const StopSeconds = 60

// ShardFolder is the folder of the databases and logs of shards.
func (j *Job) ShardFolder() string { return strings.TrimSuffix(j.DB, ".db") + ".shards" }

// ShardFile is the database of a shard; index may be the variable of a scheduler.
func (j *Job) ShardFile(index string) string {
	return path.Join(j.ShardFolder(), fmt.Sprintf("shard-%s-of-%d.db", index, j.Shards))
}

// Script writes what a scheduler is given: for local, slurm and pbs a shell script that starts all shards and, when they are
// done, however that came, merges what they made; for k8s the jobs as YAML.
func (j *Job) Script(engine string) (string, error) {
	if err := j.check(engine); err != nil {
		return "", err
	}
	switch engine {
	case "slurm":
		return j.slurm(), nil
	case "pbs":
		return j.pbs(), nil
	case "k8s":
		return j.kubernetes(), nil
	case "local":
		return j.local(), nil
	}
	return "", fmt.Errorf("there is no engine %q; known: %s", engine, strings.Join(Engines, ", "))
}

func (j *Job) check(engine string) error {
	var errs []error
	for _, text := range append([]string{j.Name, j.Program, j.File, j.DB, j.Partition, j.Image, j.Claim}, j.Flags...) {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			errs = append(errs, fmt.Errorf("%q has a line break or another control character, which a script cannot hold", text))
		}
	}
	if j.Shards < 1 || j.Shards > MaxCount {
		errs = append(errs, fmt.Errorf("%d shards: must be from 1 to %d", j.Shards, MaxCount))
	}
	for _, i := range j.Only {
		if i < 0 || i >= j.Shards {
			errs = append(errs, fmt.Errorf("there is no shard %d: they are 0 to %d", i, j.Shards-1))
		}
	}
	if j.Time != 0 && j.Time < 2*StopSeconds*time.Second {
		errs = append(errs, fmt.Errorf("a time limit of %v leaves none for work: a shard is told to stop %d s before it is over; at least %v", j.Time, StopSeconds, 2*StopSeconds*time.Second))
	}
	if j.Partition != "" && !regexp.MustCompile(`^[A-Za-z0-9_.,@-]+$`).MatchString(j.Partition) {
		errs = append(errs, fmt.Errorf("%q is no name of a partition or queue", j.Partition))
	}
	if engine == "k8s" {
		if j.Image == "" || j.Claim == "" {
			errs = append(errs, errors.New("jobs of Kubernetes need an image that holds the program, and the claim of a volume that all nodes can write"))
		}
		if j.Shards > 100_000 {
			errs = append(errs, fmt.Errorf("%d shards: jobs of Kubernetes have at most 100000 indices of which any may fail", j.Shards))
		}
		if j.Only != nil {
			errs = append(errs, errors.New("jobs of Kubernetes run all their indices; the shards that are complete end at once"))
		}
	}
	return errors.Join(errs...)
}

// indices are the shards that are run, such as 0-7 or 1,3-5.
func (j *Job) indices() string {
	if j.Only == nil {
		return fmt.Sprintf("0-%d", j.Shards-1)
	}
	only := j.only()
	var parts []string
	for i := 0; i < len(only); {
		k := i
		for k+1 < len(only) && only[k+1] == only[k]+1 {
			k++
		}
		if k == i {
			parts = append(parts, fmt.Sprint(only[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", only[i], only[k]))
		}
		i = k + 1
	}
	return strings.Join(parts, ",")
}

// only is Only in order, each once.
func (j *Job) only() []int64 {
	only := slices.Clone(j.Only)
	slices.Sort(only)
	return slices.Compact(only)
}

// list is indices one by one, for a loop of the shell.
func (j *Job) list() string {
	if j.Only == nil {
		return fmt.Sprintf("$(seq 0 %d)", j.Shards-1)
	}
	var words []string
	for _, n := range j.only() {
		words = append(words, fmt.Sprint(n))
	}
	return strings.Join(words, " ")
}

// runCommand is the command of a shard; index and dir are words of the shell in double quotes.
func (j *Job) runCommand(index, dir string) string {
	file := j.ShardFile("INDEX")
	before, after, _ := strings.Cut(file, "INDEX")
	words := []string{quote(j.Program), "sweep", "run", quote(j.File), "--shard", `"` + index + "/" + fmt.Sprint(j.Shards) + `"`,
		"--db", quote(before) + `"` + index + `"` + quote(after), "--local", `"` + dir + `"`}
	for _, f := range j.Flags {
		words = append(words, quote(f))
	}
	return strings.Join(words, " ")
}

// mergeCommand merges all shards that there are.
func (j *Job) mergeCommand() string {
	return strings.Join([]string{quote(j.Program), "sweep", "merge", quote(j.ShardFolder()), "-o", quote(j.DB), "--expect", quote(j.File)}, " ")
}

// quote makes one word of the shell.
func quote(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%_+=:,./-", r))
	}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// jobName is a name that every scheduler takes: at most 50 small letters, digits and hyphens, the first a letter.
func (j *Job) jobName() string {
	name := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(j.Name), "-"), "-")
	if name == "" || name[0] < 'a' {
		name = strings.TrimSuffix("sweep-"+name, "-")
	}
	return strings.Trim(name[:min(len(name), 50)], "-")
}

func (j *Job) cpus() int64 { return max(j.CPUs, 1) }

// megabytes is the memory of a shard in units of 2^20 bytes, rounded up.
func (j *Job) megabytes() int64 { return (int64(j.Memory) + 1<<20 - 1) >> 20 }

// clock is a time as hours, minutes and seconds.
func clock(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

const scratch = `${TMPDIR:-/tmp}`

// slurm writes a script that submits an array and a job that merges. The signal goes to the shell of the job (B:), whose place
// the program takes (exec): sent to the steps of the job, it would reach nobody. Jobs that depend on the array with afterok
// would never run if one shard failed.
func (j *Job) slurm() string {
	directive := func(b *strings.Builder, name, value string) {
		if strings.ContainsAny(value, " \t\"'\\#") {
			value = strconv.Quote(value)
		}
		fmt.Fprintf(b, "#SBATCH --%s=%s\n", name, value)
	}
	log := func(name string) string { return strings.ReplaceAll(j.ShardFolder(), "%", "%%") + "/" + name }
	common := func(b *strings.Builder) {
		if j.Memory > 0 {
			directive(b, "mem", fmt.Sprintf("%dM", j.megabytes()))
		}
		if j.Time > 0 {
			directive(b, "time", clock(j.Time))
		}
		if j.Partition != "" {
			directive(b, "partition", j.Partition)
		}
		b.WriteString("#SBATCH --open-mode=append\n")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "#!/bin/sh\n# Sweep %s in %d shards on Slurm. Written by: strata sweep submit --to slurm\nset -eu\nmkdir -p %s\n", j.jobName(), j.Shards, quote(j.ShardFolder()))
	b.WriteString("array=$(sbatch --parsable <<'SHARD'\n#!/bin/sh\n")
	directive(&b, "job-name", j.jobName())
	directive(&b, "array", j.indices())
	directive(&b, "cpus-per-task", fmt.Sprint(j.cpus()))
	common(&b)
	directive(&b, "signal", fmt.Sprintf("B:TERM@%d", StopSeconds))
	b.WriteString("#SBATCH --requeue\n")
	directive(&b, "output", log("shard-%a.log"))
	b.WriteString("exec " + j.runCommand("$SLURM_ARRAY_TASK_ID", "${SLURM_TMPDIR:-"+scratch+"}") + "\nSHARD\n)\n")
	b.WriteString("array=${array%%;*}\nmerge=$(sbatch --parsable --dependency=afterany:\"$array\" <<'MERGE'\n#!/bin/sh\n")
	directive(&b, "job-name", j.jobName()+"-merge")
	common(&b)
	directive(&b, "output", log("merge.log"))
	b.WriteString("exec " + j.mergeCommand() + "\nMERGE\n)\n")
	fmt.Fprintf(&b, "echo \"shards: job $array; then merging: job ${merge%%%%;*}; logs and databases of shards: \"%s\n", quote(j.ShardFolder()))
	return b.String()
}

// pbs writes the same for OpenPBS and PBS Professional. Their arrays have two tasks at least and no gaps.
func (j *Job) pbs() string {
	common := func(b *strings.Builder, name, log string, cpus int64) {
		fmt.Fprintf(b, "#!/bin/sh\n#PBS -N %s\n", name[:min(len(name), 15)])
		fmt.Fprintf(b, "#PBS -l select=1:ncpus=%d", cpus)
		if j.Memory > 0 {
			fmt.Fprintf(b, ":mem=%dmb", j.megabytes())
		}
		b.WriteString("\n")
		if j.Time > 0 {
			fmt.Fprintf(b, "#PBS -l walltime=%s\n", clock(j.Time))
		}
		if j.Partition != "" {
			fmt.Fprintf(b, "#PBS -q %s\n", j.Partition)
		}
		fmt.Fprintf(b, "#PBS -j oe\n#PBS -o %s\n", quote(path.Join(j.ShardFolder(), log)))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "#!/bin/sh\n# Sweep %s in %d shards on PBS. Written by: strata sweep submit --to pbs\nset -eu\nmkdir -p %s\n", j.jobName(), j.Shards, quote(j.ShardFolder()))
	array := j.Only == nil && j.Shards > 1
	script := "<<'SHARD'\n"
	var s strings.Builder
	common(&s, j.jobName(), "", j.cpus())
	if array {
		fmt.Fprintf(&s, "#PBS -J %s\n", j.indices())
	}
	s.WriteString("#PBS -r y\nexec " + j.runCommand("$PBS_ARRAY_INDEX", scratch) + "\nSHARD\n")
	script += s.String()
	if array {
		b.WriteString("shards=$(qsub " + script + ")\n")
	} else {
		fmt.Fprintf(&b, "shards=\nfor i in %s; do\nshards=$shards:$(qsub -v PBS_ARRAY_INDEX=\"$i\" %s)\ndone\nshards=${shards#:}\n", j.list(), script)
	}
	b.WriteString("merge=$(qsub -W depend=afterany:\"$shards\" <<'MERGE'\n")
	common(&b, "merge-"+j.jobName(), "merge.log", 1)
	b.WriteString("exec " + j.mergeCommand() + "\nMERGE\n)\n")
	fmt.Fprintf(&b, "echo \"shards: $shards; then merging: $merge; logs and databases of shards: \"%s\n", quote(j.ShardFolder()))
	return b.String()
}

// local writes a script that starts one process a shard on this machine. A signal is passed on to them; a shell that waits
// returns when it gets one, so it waits again. One that comes while shards are being started is for those that were.
func (j *Job) local() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#!/bin/sh\n# Sweep %s in %d shards on this machine. Written by: strata sweep submit --to local\nset -u\nmkdir -p %s || exit 2\n", j.jobName(), j.Shards, quote(j.ShardFolder()))
	b.WriteString("pids=\nstopped=\ntrap 'stopped=1; kill -TERM $pids 2>/dev/null' INT TERM HUP\n")
	fmt.Fprintf(&b, "for i in %s; do\n  %s --workers %d >>%s\"$i\".log 2>&1 </dev/null &\n  pids=\"$pids $!\"\n  [ -z \"$stopped\" ] || { kill -TERM $!; break; }\ndone\n", j.list(), j.runCommand("$i", scratch), j.cpus(), quote(j.ShardFolder()+"/shard-"))
	b.WriteString("worst=0\nfor pid in $pids; do\n  wait \"$pid\"; code=$?\n  while kill -0 \"$pid\" 2>/dev/null; do wait \"$pid\"; code=$?; done\n")
	b.WriteString("  [ \"$code\" -le \"$worst\" ] || worst=$code\ndone\n")
	b.WriteString(j.mergeCommand() + "; code=$?\n")
	b.WriteString("[ -z \"$stopped\" ] || exit 75\n[ \"$code\" -eq 0 ] || exit \"$code\"\nexit \"$worst\"\n")
	return b.String()
}
