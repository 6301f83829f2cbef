package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func openLocal(t testing.TB, path, dir string, every time.Duration) *Local {
	t.Helper()
	l, err := OpenLocal(path, LocalOptions{Options: Options{ModelVersion: "1", Tool: "test"}, Dir: dir, Every: every, Problem: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// runsIn counts the rows of a file as others see it; -1 means that there is none.
func runsIn(t testing.TB, path string) int {
	t.Helper()
	s, err := Open(path, Options{ReadOnly: true})
	if errors.Is(err, ErrNotFound) {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return counts(t, s)["runs"]
}

func entries(t testing.TB, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestLocal(t *testing.T) {
	shared, disk := t.TempDir(), t.TempDir()
	path := filepath.Join(shared, "shard.db")
	l := openLocal(t, path, disk, 0)
	step := func(put string, publish bool, want int) {
		t.Helper()
		if put != "" {
			if err := l.Put(ctx, sample(put)); err != nil {
				t.Fatal(err)
			}
		}
		if publish {
			if err := l.Publish(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if n := runsIn(t, path); n != want {
			t.Fatalf("%d rows are seen, want %d", n, want)
		}
		if got := entries(t, shared); want >= 0 && got != "shard.db" {
			t.Errorf("beside the file: %s", got)
		}
	}
	step("a", false, -1)
	step("", true, 1)
	step("b", false, 1)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	step("c", true, 3)
	after, err := os.Stat(path)
	if err != nil || os.SameFile(before, after) {
		t.Errorf("the file was written over instead of replaced, %v", err)
	}
	step("", true, 3) // as new as the database: not written again
	if again, err := os.Stat(path); err != nil || !os.SameFile(after, again) {
		t.Errorf("the file was published again without need, %v", err)
	}
	step("d", false, 3)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := runsIn(t, path); n != 4 {
		t.Errorf("%d rows at the end", n)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if got := entries(t, disk); got != "" {
		t.Errorf("left behind: %s", got)
	}
	// The next process goes on from there, also if the last was killed.
	next := openLocal(t, path, disk, 0)
	if n := counts(t, next.Store)["runs"]; n != 4 {
		t.Errorf("%d rows to go on from", n)
	}
	if a, err := next.Answered(ctx, "d"); err != nil || a == nil {
		t.Errorf("%v, %v", a, err)
	}
}

func TestLocalOften(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shard.db")
	l := openLocal(t, path, t.TempDir(), 5*time.Millisecond)
	var wait sync.WaitGroup
	stop := make(chan struct{})
	wait.Go(func() { // whoever looks sees whole databases
		for {
			select {
			case <-stop:
				return
			default:
				runsIn(t, path)
			}
		}
	})
	for i := range 40 {
		if err := l.Put(ctx, sample(fmt.Sprint("k", i))); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); runsIn(t, path) != 40 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	close(stop)
	wait.Wait()
	if n := runsIn(t, path); n != 40 {
		t.Errorf("%d rows were published", n)
	}
}

// Without a log, writers wait for the copy instead of failing.
func TestLocalWithoutLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shard.db")
	l := openLocal(t, path, t.TempDir(), time.Millisecond)
	l.publishing.Lock() // the log can only be given up while nobody else has it open
	l.reader.SetMaxIdleConns(0)
	_, err := l.db.Exec("PRAGMA journal_mode = DELETE")
	l.reader.SetMaxIdleConns(1)
	l.publishing.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		if err := l.Put(ctx, sample(fmt.Sprint("k", i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := runsIn(t, path); n != 30 {
		t.Errorf("%d rows", n)
	}
}

func TestLocalRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, []byte("notes, not rows"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path, dir string
		kind            error
		says            string
	}{
		{"no name", "", dir, ErrUnwritable, "no file name"},
		{"no folder to publish in", filepath.Join(dir, "no", "x.db"), dir, ErrUnwritable, "mkdir -p"},
		{"no folder for the copy", filepath.Join(dir, "x.db"), filepath.Join(dir, "no"), ErrUnwritable, "no local copy of"},
		{"a file of another kind", text, dir, ErrForeign, "not an SQLite database"},
		{"a folder", dir, dir, ErrForeign, "this is a directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := OpenLocal(tt.path, LocalOptions{Dir: tt.dir})
			if err == nil {
				l.Close()
			}
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v; want %v that says %q", err, tt.kind, tt.says)
			}
			if got := entries(t, dir); got != "notes.txt" {
				t.Errorf("left behind: %s", got)
			}
		})
	}
}

func TestLocalCannotPublish(t *testing.T) {
	shared := filepath.Join(t.TempDir(), "shared")
	if err := os.Mkdir(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	l := openLocal(t, filepath.Join(shared, "shard.db"), t.TempDir(), 0)
	if err := l.Put(ctx, sample("k")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(shared); err != nil {
		t.Fatal(err)
	}
	if err := l.Publish(ctx); !errors.Is(err, ErrUnwritable) {
		t.Errorf("%v", err)
	}
	err := l.Close()
	if !errors.Is(err, ErrUnwritable) || !strings.Contains(err.Error(), "the results are in "+l.Path()) {
		t.Errorf("%v", err)
	}
	if n := runsIn(t, l.Path()); n != 1 {
		t.Errorf("%d rows are left in the local copy", n)
	}
}

func TestLocalRemovesOld(t *testing.T) {
	shared := t.TempDir()
	for name, age := range map[string]time.Duration{".shard.db.0123abcd.tmp": 2 * time.Hour, ".shard.db.fedcba98.tmp": 0, ".other.db.0123abcd.tmp": 2 * time.Hour} {
		at := filepath.Join(shared, name)
		if err := os.WriteFile(at, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(at, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := openLocal(t, filepath.Join(shared, "shard.db"), t.TempDir(), 0).Close(); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, shared); got != ".other.db.0123abcd.tmp .shard.db.fedcba98.tmp shard.db" {
		t.Error(got)
	}
}

const localEnv = "STRATA_TEST_LOCAL"

// writeLocal publishes every row until the process is killed.
func writeLocal(at string) {
	path, rest, _ := strings.Cut(at, "|")
	dir, name, _ := strings.Cut(rest, "|")
	l, err := OpenLocal(path, LocalOptions{Dir: dir})
	for i := 0; err == nil; i++ {
		if err = l.Put(ctx, sample(fmt.Sprintf("%s-%d", name, i))); err == nil {
			err = l.Publish(ctx)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// A process that is killed between two publications has published all before, whole.
func TestLocalKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	shared, disk := t.TempDir(), t.TempDir()
	path := filepath.Join(shared, "shard.db")
	for round := range 3 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%d", localEnv, path, disk, round))
		c.Stderr = os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		before := max(runsIn(t, path), 0)
		for deadline := time.Now().Add(30 * time.Second); runsIn(t, path) < before+5 && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		_ = c.Process.Kill()
		_ = c.Wait()
		s, err := Open(path, Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		whole(t, s)
		if n := counts(t, s)["runs"]; n < before+5 {
			t.Errorf("round %d: %d rows after %d", round, n, before)
		}
		s.Close()
	}
}
