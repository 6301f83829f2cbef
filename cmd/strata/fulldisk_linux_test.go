package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stratasim/strata/experiments/store"
)

// On a file system that fills up, every answer is either in the database or the exit code and a message say that it is
// not; an answer that was simulated is printed all the same; and the database stays whole. It needs the right to mount.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=400k"); err != nil {
		t.Skip("cannot mount a small file system:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(dir, "r.db")
	try := func(extra ...string) (code int, stdout, stderr string) {
		var out, errs bytes.Buffer
		args := append([]string{"run", "--arch", "a100-sxm-80gb", "--model", "llama2-7b", "--phase", "decode", "--layers", "1", "--fidelity", "analytic", "-o", "json"}, extra...)
		code = run(args, strings.NewReader(""), &out, &errs)
		return code, out.String(), errs.String()
	}
	kept := 0
	for i := range 500 {
		code, stdout, stderr := try("--db", path, "--prompt", fmt.Sprint(100+i))
		if stdout != "" && !json.Valid([]byte(stdout)) {
			t.Fatalf("half an answer: %s", stdout)
		}
		if code == exitOK {
			kept++
			continue
		}
		if code != exitInternal || !strings.Contains(stderr, "full") || strings.Contains(stderr, "goroutine") {
			t.Errorf("code %d: %s", code, stderr)
		}
		break
	}
	if kept == 0 || kept == 500 {
		t.Fatalf("%d rows were kept", kept)
	}
	db, err := store.Open(path, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := db.List(t.Context(), store.Filter{})
	// The last row may be there although something after it found no room.
	if err != nil || len(rows) != kept && len(rows) != kept+1 {
		t.Errorf("%d rows of %d, %v", len(rows), kept, err)
	}
	db.Close()

	// The timeline has no room either: the answer is printed, no half file is left.
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1<<20), 0o644); err == nil {
		t.Fatal("the disk is not full")
	}
	code, stdout, stderr := try("--fidelity", "event", "--timeline", filepath.Join(dir, "t.json"))
	if code != exitInternal || !json.Valid([]byte(stdout)) || !strings.Contains(stderr, "no space left") {
		t.Errorf("code %d: %s", code, stderr)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), "t.json") {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}
