package main

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stratasim/strata/experiments/store"
)

// slurmSweep has 112 points. Those of shards 2 and 5 of 8 take seconds in all, so that there is time to stop them.
const slurmSweep = `name: kill
arch: a100-sxm-80gb
model: llama2-7b
workload: {phase: generate, prompt: "128", fidelity: event}
axes:
  - path: chip.memory[hbm].bandwidth
    log: {from: 1 TB/s, to: 4 TB/s, points: 14}
  - path: generate
    values: ["1", "2", "3800", "4", "5", "3900", "6", "7"]
`

// startSlurm starts Slurm on this machine, or skips the test where it cannot be run.
func startSlurm(t *testing.T) (dir string) {
	t.Helper()
	script := filepath.Join(projectRoot(t), ".ci", "slurm")
	dir, err := os.MkdirTemp("", "strata-slurm-") // short: the name of a socket is in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	up := exec.Command(script, "up", filepath.Join(dir, "slurm"))
	var problem bytes.Buffer
	up.Stderr = &problem
	t.Cleanup(func() {
		if out, err := exec.Command(script, "down", filepath.Join(dir, "slurm")).CombinedOutput(); err != nil && !t.Skipped() {
			t.Errorf("Slurm was not stopped: %v: %s", err, out)
		}
	})
	out, err := up.Output()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == 3:
		t.Skip(strings.TrimSpace(problem.String()))
	case err != nil:
		t.Fatalf("%v: %s", err, &problem)
	}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		t.Setenv(name, value)
	}
	return dir
}

// TestSlurm runs a sweep as an array of jobs. On the way one shard is killed and one is told to stop; both are submitted again and
// go on from what they published; and the merged database is the one of a run without a cluster.
func TestSlurm(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Slurm and waits for it")
	}
	dir := startSlurm(t)
	file, all, one := filepath.Join(dir, "sweep.yaml"), filepath.Join(dir, "all.db"), filepath.Join(dir, "one.db")
	if err := os.WriteFile(file, []byte(slurmSweep), 0o644); err != nil {
		t.Fatal(err)
	}
	shards := filepath.Join(dir, "all.shards")
	command := func(words ...string) string {
		t.Helper()
		out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", strings.Join(words, " "), err, out)
		}
		return string(out)
	}
	submit := func(more ...string) {
		t.Helper()
		words := append([]string{"strata", "sweep", "submit", file, "--to", "slurm", "--db", all, "--shards", "8", "--submit"}, more...)
		t.Log(command(append(words, "--", "--publish-every", "100ms")...))
	}
	deadline := time.Now().Add(120 * time.Second)
	until := func(what string, done func() bool) {
		t.Helper()
		for ; !done(); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				logs, _ := filepath.Glob(filepath.Join(shards, "*.log"))
				for _, name := range logs {
					text, _ := os.ReadFile(name)
					t.Logf("%s:\n%s", filepath.Base(name), text)
				}
				t.Fatalf("waited too long until %s; %s", what, command("squeue"))
			}
		}
	}
	idle := func() bool { return strings.TrimSpace(command("squeue", "-h")) == "" }
	log := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(shards, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	published := func(shard int) int { return pointsIn(filepath.Join(shards, fmt.Sprintf("shard-%d-of-8.db", shard))) }

	submit()
	job := strings.TrimSpace(command("squeue", "-h", "-a", "-o", "%F", "--name", "kill"))
	job, _, _ = strings.Cut(job, "\n")
	halfway := map[int]bool{}
	var scancel sync.WaitGroup
	defer scancel.Wait()
	until("shards 2 and 5 are halfway", func() bool {
		for shard, stop := range map[int]func(pid int){
			// It tries again for seconds when a job ends at once, and then says that there is none: its exit code tells nothing.
			2: func(int) {
				scancel.Go(func() { _ = exec.Command("scancel", "--batch", "--signal=TERM", job+"_2").Run() })
			},
			5: func(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) },
		} {
			if n := published(shard); n > 0 && !halfway[shard] {
				pid := runningShard(t, dir, shard)
				if pid == 0 || n == 14 {
					t.Fatalf("shard %d was too fast: %d points are there", shard, n)
				}
				t.Logf("shard %d is stopped after %d points", shard, n)
				stop(pid)
				halfway[shard] = true
			}
		}
		return len(halfway) == 2
	})
	until("the first jobs are over", idle)
	if text := log("shard-2.log"); !strings.Contains(text, "interrupted: run it again to go on") {
		t.Errorf("the shard that was told to stop says: %s", text)
	}
	if text := log("merge.log"); !strings.Contains(text, "are missing") || !strings.Contains(text, "--only 2,5") {
		t.Errorf("the merge says: %s", text)
	}
	if a, b := published(2), published(5); a < 1 || a > 13 || b < 1 || b > 13 {
		t.Errorf("shards 2 and 5 have %d and %d points of 14", a, b)
	}
	submit("--only", "2,5")
	until("the second jobs are over", idle)
	for _, name := range []string{"shard-2.log", "shard-5.log"} {
		if text := log(name); !strings.Contains(text, "14 of 14 points") || !strings.Contains(text, "of them before") {
			t.Errorf("%s: %s", name, text)
		}
	}
	if text := log("merge.log"); !strings.Contains(text, "kill: 112 of 112 points") {
		t.Errorf("the merge says: %s", text)
	}
	command("strata", "sweep", "run", file, "--db", one)
	if err := sameRows(all, one); err != nil {
		t.Error(err)
	}
	t.Log(command("strata", "sweep", "status", file, "--db", shards))
}

// pointsIn counts the points in a database, 0 if there is none yet.
func pointsIn(path string) (n int) {
	if _, err := os.Stat(path); err != nil {
		return 0
	}
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		return 0
	}
	defer db.Close()
	_ = db.QueryRow("SELECT count(*) FROM points").Scan(&n)
	return n
}

// runningShard finds the process of a shard of this test, 0 if there is none.
func runningShard(t *testing.T, dir string, shard int) int {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range found {
		text, err := os.ReadFile(name)
		if words := strings.Split(string(text), "\x00"); err == nil && len(words) > 6 && words[1] == "sweep" && words[2] == "run" && words[5] == fmt.Sprintf("%d/8", shard) && strings.HasPrefix(words[3], dir) {
			var pid int
			if _, err := fmt.Sscanf(name, "/proc/%d/", &pid); err == nil {
				return pid
			}
		}
	}
	return 0
}

// sameRows compares all tables of two databases but meta, row by row.
func sameRows(a, b string) error {
	read := func(path string) (rows []string, err error) {
		db, err := sql.Open("sqlite3", "file:"+path+"?mode=rw")
		if err != nil {
			return nil, err
		}
		defer db.Close()
		for _, table := range store.Tables() {
			if table.Name == "meta" {
				continue
			}
			var columns []string
			for _, c := range table.Columns {
				columns = append(columns, "quote("+c.Name+")")
			}
			found, err := db.Query("SELECT " + strings.Join(columns, "||','||") + " FROM " + table.Name + " ORDER BY " + strings.Join(table.Key, ", "))
			if err != nil {
				return nil, err
			}
			defer found.Close()
			for found.Next() {
				var row string
				if err := found.Scan(&row); err != nil {
					return nil, err
				}
				rows = append(rows, table.Name+": "+row)
			}
			if err := found.Err(); err != nil {
				return nil, err
			}
		}
		return rows, nil
	}
	x, err := read(a)
	y, err2 := read(b)
	switch {
	case err != nil || err2 != nil:
		return errors.Join(err, err2)
	case len(x) == 0 || len(x) != len(y):
		return fmt.Errorf("%d rows in %s, %d in %s", len(x), a, len(y), b)
	}
	for i := range x {
		if x[i] != y[i] {
			return fmt.Errorf("%s in %s\ndiffers from\n%s in %s", x[i], a, y[i], b)
		}
	}
	return nil
}
