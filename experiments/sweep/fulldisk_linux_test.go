package sweep

import (
	"context"
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stratasim/strata/experiments/store"
)

// On a disk that becomes full a sweep ends with an error that says so, the database opens, and with more room the sweep goes on to the
// same rows. It needs the right to mount a file system.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		t.Skip("cannot mount a small file system:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s := read(t, killed)
	want, _ := run(t, s, filepath.Join(t.TempDir(), "whole.db"), Options{})
	path := filepath.Join(dir, "x.db")
	db := open(t, path)
	if _, err := s.Run(context.Background(), Options{Store: db, Tool: "test"}); !errors.Is(err, store.ErrFull) {
		t.Fatalf("a full disk: %v", err)
	}
	db.Close()
	again, err := store.Open(path, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	if got, _ := run(t, s, path, Options{}); got != want {
		t.Error("with more room the database differs")
	}
}
