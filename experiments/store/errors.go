package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/mattn/go-sqlite3"
)

// The kinds of errors, for errors.Is.
var (
	ErrForeign    = errors.New("not a results database")
	ErrNewer      = errors.New("results database of a newer version")
	ErrUnwritable = errors.New("cannot be written")
	ErrFull       = errors.New("no space left")
	ErrBusy       = errors.New("locked by another process")
	ErrCorrupt    = errors.New("damaged")
	ErrNotFound   = errors.New("not found")
	ErrAmbiguous  = errors.New("ambiguous")
	ErrConflict   = errors.New("determinism alarm")
	ErrTaken      = errors.New("the name of a sweep is taken by one with other points")
	ErrInvalid    = errors.New("invalid row")
	ErrSame       = errors.New("source and destination are one file")
	ErrVersion    = errors.New("another version of the models")
)

// Error is an error of this package: which file, what kind, what happened, and what may help.
type Error struct {
	Path string // as given to Open
	Kind error  // one of the Err values, or nil for a failure of another kind
	Text string // what happened
	Hint string // what may help, or ""
	Err  error  // the cause, or nil
}

// Error names the file, the cause and the hint.
func (e *Error) Error() string {
	s := e.Path + ": " + e.Text
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	var errs []error
	if e.Kind != nil {
		errs = append(errs, e.Kind)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}

// explain turns an error of SQLite into one of ours. doing is what was tried: "put run ab12".
func explain(path, doing string, err error) error {
	if err == nil {
		return nil
	}
	var ours *Error
	if errors.As(err, &ours) {
		return err
	}
	e := &Error{Path: path, Text: doing, Err: err}
	var se sqlite3.Error
	if !errors.As(err, &se) {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			e.Text = doing + " was stopped, nothing of it was kept"
		}
		return e
	}
	full := se.Code == sqlite3.ErrFull || (se.Code == sqlite3.ErrIoErr && isFull(se.SystemErrno))
	switch {
	case full:
		e.Kind = ErrFull
		e.Text = doing + ": the disk or quota is full, nothing of it was kept"
		e.Hint = fullHint(path)
	case se.Code == sqlite3.ErrBusy || se.Code == sqlite3.ErrLocked:
		e.Kind = ErrBusy
		e.Text = doing + ": another process keeps the database locked"
		e.Hint = "end the other program, or give this one a file of its own"
	case se.Code == sqlite3.ErrReadonly || se.Code == sqlite3.ErrCantOpen || se.Code == sqlite3.ErrPerm || se.Code == sqlite3.ErrAuth:
		e.Kind = ErrUnwritable
		e.Text = doing + ": it cannot be written"
		e.Hint = unwritableHint(path)
	case se.Code == sqlite3.ErrNotADB:
		e.Kind = ErrForeign
		e.Text = doing + ": this is not an SQLite database"
		e.Hint = "give the name of a new file"
	case se.Code == sqlite3.ErrCorrupt:
		e.Kind = ErrCorrupt
		e.Text = doing + ": the database is damaged"
		e.Hint = "move it away and run again, or rescue what is left with: sqlite3 FILE .recover"
	}
	return e
}

// isFull reports whether the system said that the disk or quota is full.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func fullHint(path string) string {
	return "free some space in " + filepath.Dir(path) + " or choose another file, then run again"
}

// unwritableHint looks for the reason why a file cannot be written.
func unwritableHint(path string) string {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Sprintf("the directory %s does not exist; make it with: mkdir -p %s", dir, dir)
	case errors.Is(err, syscall.ENOTDIR) || (err == nil && !info.IsDir()):
		return dir + " is not a directory"
	case err != nil:
		return err.Error()
	}
	return "the file and its directory must both be writable, because SQLite keeps a journal beside the file; look at: ls -ld " + dir
}
