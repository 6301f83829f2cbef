package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// Answers are the answers to estimate requests that a database keeps. They may be used by many goroutines. Answers that come at about
// the same time are written in one transaction.
type Answers struct {
	s      *Store
	reader *sql.DB
	get    *sql.Stmt
	path   string // absolute
	file   os.FileInfo

	mu      sync.Mutex
	next    *answerGroup // that is waiting to be written, nil for none
	writing bool
	closed  bool
	err     error         // the first
	lost    bool          // the file is not there any more, so that nothing can be kept
	warn    func(error)   // told of the first error, nil for nobody
	idle    chan struct{} // closed when nothing is being written
}

// Answer is one answer by its key.
type Answer struct{ Key, Text, Figures string }

// answerGroup is what one transaction writes.
type answerGroup struct {
	list []Answer
	done chan struct{}
}

// OpenAnswers opens the answers of a database, as Open opens it.
func OpenAnswers(path string, o Options) (*Answers, error) {
	s, err := Open(path, o)
	if err != nil {
		return nil, err
	}
	a := &Answers{s: s}
	a.path, err = filepath.Abs(path)
	if err == nil {
		a.file, err = os.Stat(a.path)
	}
	if err == nil {
		a.reader, err = connect(a.path, "rw", defaultBusy, "_query_only=1")
	}
	if err == nil {
		a.reader.SetMaxOpenConns(4)
		a.reader.SetMaxIdleConns(4)
		a.get, err = a.reader.Prepare("SELECT answer, figures FROM answers WHERE key = ?")
	}
	if err != nil {
		_ = s.Close()
		return nil, explain(path, "open", err)
	}
	return a, nil
}

// Warnings returns what the user should know about the file.
func (a *Answers) Warnings() []string { return a.s.Warnings() }

// Warn says who is told when an answer cannot be kept or looked up for the first time, in the midst of things: it must not wait. If that
// was so already it is told at once.
func (a *Answers) Warn(of func(error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.warn = of; a.err != nil {
		of(a.err)
	}
}

// check looks whether the file that was opened is still the one of its name: one that was deleted or replaced takes what is written and
// has it in no place where anybody looks.
func (a *Answers) check() error {
	what := ""
	switch is, err := os.Stat(a.path); {
	case errors.Is(err, os.ErrNotExist):
		what = "it was deleted"
	case err != nil:
		return explain(a.s.path, "keep answers", err)
	case !os.SameFile(is, a.file):
		what = "another file has its place"
	case is.Size() < leastFile:
		what = fmt.Sprintf("it was cut to %d bytes", is.Size())
	}
	if what == "" {
		return nil
	}
	return &Error{Path: a.s.path, Kind: ErrUnwritable, Text: "keep answers: " + what + " while it was in use; nothing is kept any more until the program starts again"}
}

// leastFile is the bytes that every database has: SQLite's smallest page.
const leastFile = 512

// Get returns the answer with that key; not ok where there is none, or where it cannot be read.
func (a *Answers) Get(ctx context.Context, key string) (got Answer, ok bool, err error) {
	got.Key = key
	err = a.get.QueryRowContext(ctx, key).Scan(&got.Text, &got.Figures)
	if errors.Is(err, sql.ErrNoRows) {
		return got, false, nil
	}
	if err != nil && ctx.Err() == nil {
		a.failed(explain(a.s.path, "look up an answer", err))
	}
	return got, err == nil, err
}

// Put keeps an answer, unless there is one with its key. What it returns is closed when the answer is in the file, so that it stays there whatever
// ends the process, or when it could not be written: see Err.
func (a *Answers) Put(one Answer) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.lost {
		done := make(chan struct{})
		close(done)
		return done
	}
	if a.next == nil {
		a.next = &answerGroup{done: make(chan struct{})}
	}
	a.next.list = append(a.next.list, one)
	if !a.writing {
		a.writing, a.idle = true, make(chan struct{})
		go a.write()
	}
	return a.next.done
}

// write writes groups until there are none.
func (a *Answers) write() {
	for {
		a.mu.Lock()
		g := a.next
		if a.next = nil; g == nil {
			a.writing = false
			close(a.idle)
			a.mu.Unlock()
			return
		}
		a.mu.Unlock()
		err := a.s.write(context.Background(), "keep answers", func(tx *sql.Tx) error {
			insert, err := tx.Prepare("INSERT OR IGNORE INTO answers (key, answer, figures) VALUES (?, ?, ?)")
			if err != nil {
				return err
			}
			defer insert.Close()
			for i := range g.list {
				if _, err := insert.Exec(g.list[i].Key, g.list[i].Text, g.list[i].Figures); err != nil {
					return err
				}
			}
			return nil
		})
		if gone := a.check(); gone != nil {
			err = gone
			a.mu.Lock()
			a.lost = true
			a.mu.Unlock()
		}
		if err != nil {
			a.failed(err)
		}
		close(g.done)
	}
}

func (a *Answers) failed(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		if a.err = err; a.warn != nil {
			a.warn(err)
		}
	}
}

// Err returns why answers could not be kept or looked up, nil if all could.
func (a *Answers) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// Count is how many answers the database has.
func (a *Answers) Count(ctx context.Context) (n int64, err error) {
	err = a.reader.QueryRowContext(ctx, "SELECT count(*) FROM answers").Scan(&n)
	return n, explain(a.s.path, "count answers", err)
}

// Close writes what is waiting and closes the database. The error is the first of a write.
func (a *Answers) Close() error {
	a.mu.Lock()
	a.closed = true
	idle := a.idle
	a.mu.Unlock()
	if idle != nil {
		<-idle
	}
	if err := a.check(); err != nil {
		a.failed(err)
	}
	_ = a.get.Close()
	_ = a.reader.Close()
	return errors.Join(a.Err(), a.s.Close())
}
