package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stratasim/strata/experiments/store"
)

// TestAnswersFileIsGone: a file that is deleted, replaced or cut while answers are kept in it is noticed with the next answer, told of once, and
// takes no more of them.
func TestAnswersFileIsGone(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(path string) error
		want string
	}{
		"deleted": {os.Remove, "it was deleted while it was in use"},
		"replaced": {func(path string) error {
			if err := os.Rename(path, path+".old"); err != nil {
				return err
			}
			return os.WriteFile(path, make([]byte, 4096), 0o600)
		}, "another file has its place"},
		"cut": {func(path string) error { return os.Truncate(path, 0) }, "it was cut to 0 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "answers.db")
			a, err := store.OpenAnswers(path, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			told := make(chan error, 10)
			a.Warn(func(err error) { told <- err })
			put := func(n int) {
				t.Helper()
				select {
				case <-a.Put(store.Answer{Key: fmt.Sprint(n), Text: "{}", Figures: "[]"}):
				case <-time.After(time.Minute):
					t.Fatal("an answer waits for ever")
				}
			}
			put(1)
			if a.Err() != nil || len(told) != 0 {
				t.Fatal(a.Err())
			}
			if err := tt.do(path); err != nil {
				t.Fatal(err)
			}
			put(2)
			put(3)
			if len(told) != 1 {
				t.Fatalf("told %d times", len(told))
			}
			err = <-told
			if !errors.Is(err, store.ErrUnwritable) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Error(err)
			}
			if err := a.Close(); !errors.Is(err, store.ErrUnwritable) {
				t.Error(err)
			}
		})
	}
}
