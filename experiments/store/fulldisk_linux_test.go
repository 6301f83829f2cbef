package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// On a real file system that is full. It needs the right to mount one.
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
	path := filepath.Join(dir, "x.db")
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; n < 1000 && err == nil; n++ {
		err = s.Put(ctx, sample(fmt.Sprintf("k%04d", n)))
	}
	if !errors.Is(err, ErrFull) {
		t.Errorf("after %d rows: %v", n, err)
	}
	whole(t, s)
	s.Close()
	if s, err = Open(path, Options{ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	whole(t, s)
	if got := counts(t, s)["runs"]; got != n-1 {
		t.Errorf("%d runs after %d successful Puts", got, n-1)
	}
	s.Close()
	// A new file on the full disk fails at Open, and is not left behind.
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1<<20), 0o644); err == nil {
		t.Fatal("the disk is not full")
	}
	other := filepath.Join(dir, "y.db")
	if s, err := Open(other, Options{}); !errors.Is(err, ErrFull) {
		if err == nil {
			s.Close()
		}
		t.Errorf("a new file on a full disk: %v", err)
	}
	for name := range dirState(t, dir) {
		if strings.HasPrefix(filepath.Base(name), "y.db") {
			t.Errorf("left behind: %s", name)
		}
	}
}
