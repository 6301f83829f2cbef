package shard

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func job() Job {
	return Job{
		Name: "HBM bandwidth_2", Program: "/shared/strata", File: "/shared/my sweeps/hbm.yaml", DB: "/shared/results/hbm.db", Shards: 8,
		CPUs: 4, Memory: 2 << 30, Time: 2 * time.Hour, Partition: "short", Image: "registry.example/strata:1", Claim: "shared",
		Text: "name: hbm\n\n# the axes\naxes: []\n", Flags: []string{"--timeout", "30 s"},
	}
}

func TestScripts(t *testing.T) {
	some := job()
	some.Only, some.Flags = []int64{7, 3, 4, 3}, nil
	small := Job{Name: "1", Program: "strata", File: "s.yaml", DB: "all.db", Shards: 1, Image: "i", Claim: "c"}
	for _, tt := range []struct {
		name, engine string
		job          Job
	}{
		{"slurm", "slurm", job()}, {"slurm_some", "slurm", some}, {"slurm_small", "slurm", small},
		{"pbs", "pbs", job()}, {"pbs_some", "pbs", some}, {"pbs_small", "pbs", small},
		{"local", "local", job()}, {"local_some", "local", some},
		{"k8s", "k8s", job()}, {"k8s_small", "k8s", small},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.job.Script(tt.engine)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", tt.name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("%v; got:\n%s", err, got)
			}
			if tt.engine == "k8s" {
				checkJobs(t, got, tt.job)
				return
			}
			sh := exec.Command("sh", "-n")
			sh.Stdin = strings.NewReader(got)
			if out, err := sh.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// checkJobs reads the YAML back and looks at what matters.
func checkJobs(t *testing.T, text string, job Job) {
	t.Helper()
	var docs []map[string]any
	d := yaml.NewDecoder(strings.NewReader(text))
	for {
		var doc map[string]any
		err := d.Decode(&doc)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, doc)
	}
	if len(docs) != 3 {
		t.Fatalf("%d documents", len(docs))
	}
	at := func(doc map[string]any, path ...any) any {
		var v any = doc
		for _, p := range path {
			switch p := p.(type) {
			case string:
				m, _ := v.(map[string]any)
				v = m[p]
			case int:
				l, _ := v.([]any)
				if p >= len(l) {
					return nil
				}
				v = l[p]
			}
		}
		return v
	}
	if got := at(docs[0], "data", "sweep.yaml"); got != job.Text && job.Text != "" {
		t.Errorf("the sweep file is %q", got)
	}
	run := docs[1]
	for _, want := range []struct {
		path  []any
		value any
	}{
		{[]any{"spec", "completionMode"}, "Indexed"},
		{[]any{"spec", "completions"}, int(job.Shards)},
		{[]any{"spec", "template", "spec", "restartPolicy"}, "Never"}, // which a failure policy needs
		{[]any{"spec", "podFailurePolicy", "rules", 0, "action"}, "FailIndex"},
		{[]any{"spec", "podFailurePolicy", "rules", 0, "onExitCodes", "values"}, []any{2, 4}},
		{[]any{"spec", "podFailurePolicy", "rules", 1, "action"}, "Ignore"},
		{[]any{"spec", "podFailurePolicy", "rules", 1, "onExitCodes", "values"}, []any{75}},
		{[]any{"spec", "podFailurePolicy", "rules", 1, "onExitCodes", "containerName"}, at(run, "spec", "template", "spec", "containers", 0, "name")},
		{[]any{"spec", "podFailurePolicy", "rules", 2, "onPodConditions", 0, "type"}, "DisruptionTarget"},
		{[]any{"spec", "template", "spec", "containers", 0, "command", 5}, fmt.Sprintf("$(JOB_COMPLETION_INDEX)/%d", job.Shards)},
		{[]any{"spec", "template", "spec", "containers", 0, "image"}, job.Image},
	} {
		if got := at(run, want.path...); fmt.Sprint(got) != fmt.Sprint(want.value) {
			t.Errorf("%v is %v, want %v", want.path, got, want.value)
		}
	}
	if at(docs[2], "spec", "suspend") != true {
		t.Error("the job that merges does not wait")
	}
}

func TestScriptRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, engine string
		change       func(j *Job)
		says         string
	}{
		{"engine", "condor", func(*Job) {}, `no engine "condor"; known: local, slurm, pbs, k8s`},
		{"no shards", "slurm", func(j *Job) { j.Shards = 0 }, "from 1 to 1000000"},
		{"a shard that is not there", "slurm", func(j *Job) { j.Only = []int64{8} }, "no shard 8: they are 0 to 7"},
		{"line break", "local", func(j *Job) { j.File = "a\nSHARD\nrm x" }, "control character"},
		{"partition", "slurm", func(j *Job) { j.Partition = "a b" }, "no name of a partition"},
		{"short", "slurm", func(j *Job) { j.Time = time.Minute }, "leaves none for work"},
		{"no image", "k8s", func(j *Job) { j.Image = "" }, "need an image"},
		{"many indices", "k8s", func(j *Job) { j.Shards = 100_001 }, "at most 100000 indices"},
		{"some indices", "k8s", func(j *Job) { j.Only = []int64{1} }, "run all their indices"},
	} {
		j := job()
		tt.change(&j)
		if text, err := j.Script(tt.engine); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %q, %v", tt.name, text, err)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, word := range []string{"", "plain/word-1.db", "two words", "it's", `back\slash`, "$HOME", "`id`", "a;b", "~", "#", `"`, "*"} {
		out, err := exec.Command("sh", "-c", "printf %s "+quote(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q comes out as %q, %v", word, out, err)
		}
	}
}

// standIns puts programs into a folder that comes first in PATH.
func standIns(t *testing.T, programs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return dir
}

// TestLocalScript runs the script of a machine with a program that only notes how it is called.
func TestLocalScript(t *testing.T) {
	dir := standIns(t, map[string]string{"strata": `
echo "$@" >>"$CALLS"
[ "$2" != run ] || case "$5" in
  2/*) exit 4 ;;
  "$SLOW"/*) trap 'exit 75' TERM; touch "$CALLS.slow"; while :; do sleep 0.05; done ;;
esac
[ "$2" != merge ] || exit "${MERGE:-0}"
`})
	j := Job{Name: "s", Program: "strata", File: "my sweep.yaml", DB: filepath.Join(dir, "all.db"), Shards: 4, CPUs: 2}
	for _, tt := range []struct {
		name  string
		env   []string
		only  []int64
		stop  bool
		code  int
		calls int
	}{
		{"a shard with failed points", nil, nil, false, 4, 5},
		{"all well", nil, []int64{0, 3}, false, 0, 3},
		{"points are missing", []string{"MERGE=4"}, []int64{0}, false, 4, 2},
		{"interrupted", []string{"SLOW=3"}, nil, true, 75, 0},
		{"interrupted while it starts", []string{"SLOW=0"}, nil, true, 75, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j.Only = tt.only
			script, err := j.Script("local")
			if err != nil {
				t.Fatal(err)
			}
			calls := filepath.Join(t.TempDir(), "calls")
			sh := exec.Command("sh", "-c", script)
			sh.Env = append(append(os.Environ(), "CALLS="+calls), tt.env...)
			var out bytes.Buffer
			sh.Stdout, sh.Stderr = &out, &out
			if err := sh.Start(); err != nil {
				t.Fatal(err)
			}
			if tt.stop {
				for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
					if _, err := os.Stat(calls + ".slow"); err == nil {
						break
					}
				}
				if err := sh.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
			}
			_ = sh.Wait()
			if got := sh.ProcessState.ExitCode(); got != tt.code {
				t.Errorf("exit code %d, want %d; %s", got, tt.code, &out)
			}
			text, err := os.ReadFile(calls)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(string(text)), "\n")
			if want := "sweep merge " + j.ShardFolder() + " -o " + j.DB + " --expect my sweep.yaml"; tt.calls > 0 && len(lines) != tt.calls || lines[len(lines)-1] != want {
				t.Fatalf("calls:\n%s", text)
			}
			if tt.calls > 0 && !slices.ContainsFunc(lines, func(l string) bool {
				return strings.HasPrefix(l, "sweep run my sweep.yaml --shard 0/4 --db "+j.ShardFile("0")+" --local ") && strings.HasSuffix(l, " --workers 2")
			}) {
				t.Errorf("calls:\n%s", text)
			}
		})
	}
}

// TestSubmittedScripts runs the scripts for schedulers with commands that only note what they get, and then what they got.
func TestSubmittedScripts(t *testing.T) {
	const note = `echo "$@" >>"$CALLS"; n=$(wc -l <"$CALLS"); cat >"$CALLS.$n"; echo "$((100 + n));cluster"`
	dir := standIns(t, map[string]string{"sbatch": note, "qsub": note, "strata": `echo "$@"`})
	for _, tt := range []struct {
		engine, env string
		only        []int64
		calls       []string
	}{
		{"slurm", "SLURM_ARRAY_TASK_ID=3", nil, []string{"--parsable", "--parsable --dependency=afterany:101"}},
		{"slurm", "SLURM_ARRAY_TASK_ID=3", []int64{3, 5}, []string{"--parsable", "--parsable --dependency=afterany:101"}},
		{"pbs", "PBS_ARRAY_INDEX=3", nil, []string{"", "-W depend=afterany:101;cluster"}},
		{"pbs", "PBS_ARRAY_INDEX=3", []int64{3, 5}, []string{"-v PBS_ARRAY_INDEX=3", "-v PBS_ARRAY_INDEX=5", "-W depend=afterany:101;cluster:102;cluster"}},
	} {
		t.Run(fmt.Sprint(tt.engine, tt.only), func(t *testing.T) {
			j := Job{Name: "s", Program: filepath.Join(dir, "strata"), File: "my sweep.yaml", DB: filepath.Join(t.TempDir(), "a b.db"), Shards: 8, Only: tt.only}
			script, err := j.Script(tt.engine)
			if err != nil {
				t.Fatal(err)
			}
			calls := filepath.Join(t.TempDir(), "calls")
			sh := exec.Command("sh", "-c", script)
			sh.Env = append(os.Environ(), "CALLS="+calls)
			if out, err := sh.CombinedOutput(); err != nil || !strings.Contains(string(out), j.ShardFolder()) {
				t.Fatalf("%v: %s", err, out)
			}
			if info, err := os.Stat(j.ShardFolder()); err != nil || !info.IsDir() {
				t.Fatal(err)
			}
			text, err := os.ReadFile(calls)
			if got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"); err != nil || !slices.Equal(got, tt.calls) {
				t.Fatalf("%v, %q", err, got)
			}
			for n, want := range map[int]string{1: "sweep run my sweep.yaml --shard 3/8 --db " + j.ShardFile("3") + " --local here\n",
				len(tt.calls): "sweep merge " + j.ShardFolder() + " -o " + j.DB + " --expect my sweep.yaml\n"} {
				task := exec.Command("sh", fmt.Sprint(calls, ".", n))
				task.Env = append(os.Environ(), tt.env, "TMPDIR=here", "SLURM_TMPDIR=")
				if out, err := task.Output(); err != nil || string(out) != want {
					t.Errorf("script %d: %v, %q; want %q", n, err, out, want)
				}
			}
		})
	}
}
