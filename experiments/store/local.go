package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// LocalOptions are options of OpenLocal.
type LocalOptions struct {
	Options
	Dir   string        // folder on a disk of this machine, which must exist
	Every time.Duration // how often to publish; 0 means only at the end
	// Problem is called when publishing failed, which is tried again; nil for nothing. At the end, Close returns the error.
	Problem func(error)
}

// Local is a database on a disk of this machine that is published as a whole to another place, usually a folder that
// machines share. Write-ahead logging does not work across machines, and a file there could be seen half written.
type Local struct {
	*Store
	path    string // where it is published, as given
	target  string // the same, absolute, links followed
	dir     string // folder of its own, for the database and its copy
	problem func(error)

	publishing sync.Mutex
	reader     *sql.DB
	version    int64 // of the content that was published last, as SQLite counts for reader
	published  bool
	closed     bool

	stop chan struct{}
	done chan struct{} // closed when no more is published from time to time
}

// OpenLocal is Open for a file in a shared folder that one process writes: what is in it is copied to o.Dir, rows are put
// there, and a consistent copy takes the place of the file every o.Every, whenever Publish is called, and when the result
// is closed. Whoever opens the file sees one of these copies, never part of one; a process that was killed has lost what
// it did since the last. Several processes must not write to one file in this way: each would undo what others published.
//
// Errors are those of Open; they also tell that the file could not be made in the shared folder.
func OpenLocal(path string, o LocalOptions) (l *Local, err error) {
	l = &Local{path: path, problem: o.Problem, stop: make(chan struct{}), done: make(chan struct{})}
	if l.target, err = filepath.Abs(path); err != nil || path == "" {
		return nil, &Error{Path: path, Kind: ErrUnwritable, Text: "no file name", Hint: "give a name such as results.db", Err: err}
	}
	if real, err := filepath.EvalSymlinks(l.target); err == nil {
		l.target = real
	}
	l.removeOld()
	f, err := l.temporary()
	if err != nil {
		return nil, err
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return nil, &Error{Path: path, Kind: ErrUnwritable, Text: "cannot be published", Err: err}
	}
	if l.dir, err = os.MkdirTemp(o.Dir, "strata-"); err != nil {
		return nil, &Error{Path: o.Dir, Kind: ErrUnwritable, Text: "no local copy of " + path + " can be made here", Err: errors.Unwrap(err), Hint: "give a folder on a disk of this machine that can be written"}
	}
	dir := l.dir
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	local := filepath.Join(l.dir, filepath.Base(l.target))
	if err := l.fetch(local, o.Busy); err != nil {
		return nil, err
	}
	if l.Store, err = Open(local, o.Options); err != nil {
		return nil, err
	}
	if l.reader, err = connect(local, "rw", defaultBusy); err != nil {
		l.Store.Close()
		return nil, explain(local, "open", err)
	}
	go l.often(o.Every)
	return l, nil
}

// fetch copies the file as it is, if there is one.
func (l *Local) fetch(local string, busy time.Duration) error {
	s, err := Open(l.path, Options{ReadOnly: true, Busy: busy})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.Close()
	db, err := connect(l.target, "rw", cmp.Or(busy, defaultBusy)) // one that may write, though only to the copy
	if err == nil {
		defer db.Close()
		err = vacuumInto(context.Background(), db, local)
	}
	return explain(l.path, "copy to "+local, err)
}

// vacuumInto writes the database as it is at one moment to a new file.
func vacuumInto(ctx context.Context, db *sql.DB, path string) error {
	_, err := db.ExecContext(ctx, "VACUUM INTO ?", path)
	return err
}

func (l *Local) often(every time.Duration) {
	defer close(l.done)
	if every <= 0 {
		return
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
			if err := l.Publish(context.Background()); err != nil && l.problem != nil {
				l.problem(err)
			}
		}
	}
}

// Publish puts a copy of the database as it is now in the place of the file. It does nothing if the file is as new.
func (l *Local) Publish(ctx context.Context) error {
	l.publishing.Lock()
	defer l.publishing.Unlock()
	if l.closed {
		return nil
	}
	var version int64
	if err := l.reader.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		return explain(l.Path(), "publish", err)
	}
	if l.published && version == l.version {
		return nil
	}
	if err := l.publish(ctx); err != nil {
		return err
	}
	l.version, l.published = version, true
	return nil
}

func (l *Local) publish(ctx context.Context) error {
	// The copy is made beside the database: SQLite would want locks for it that shared folders do not always have.
	snapshot := filepath.Join(l.dir, "snapshot")
	defer os.Remove(snapshot)
	_ = os.Remove(snapshot) // of an attempt that failed
	if err := l.snapshotTo(ctx, snapshot); err != nil {
		return explain(l.Path(), "copy for "+l.path, err)
	}
	from, err := os.Open(snapshot)
	if err != nil {
		return &Error{Path: l.Path(), Text: "copy for " + l.path, Err: err}
	}
	defer from.Close()
	to, err := l.temporary()
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err == nil {
		err = to.Sync()
	}
	if e := to.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(to.Name(), l.target)
	}
	if err != nil {
		_ = os.Remove(to.Name())
		e := &Error{Path: l.path, Kind: ErrUnwritable, Text: "cannot be published", Err: err}
		if isFull(err) {
			e.Kind, e.Hint = ErrFull, fullHint(l.path)
		}
		return e
	}
	if dir, err := os.Open(filepath.Dir(l.target)); err == nil {
		_ = dir.Sync() // where folders have that
		dir.Close()
	}
	return nil
}

func (l *Local) snapshotTo(ctx context.Context, path string) error {
	var mode string
	if err := l.reader.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" { // then nobody can write meanwhile
		l.mu.Lock()
		defer l.mu.Unlock()
	}
	return vacuumInto(ctx, l.reader, path)
}

// temporary makes a file in the folder of the target.
func (l *Local) temporary() (*os.File, error) {
	mode := fs.FileMode(0o666)
	switch info, err := os.Stat(l.target); {
	case err == nil && info.IsDir():
		return nil, &Error{Path: l.path, Kind: ErrForeign, Text: "this is a directory", Hint: "give the name of a file in it, such as " + filepath.Join(l.path, "results.db")}
	case err == nil:
		mode = info.Mode().Perm()
	}
	dir, base := filepath.Split(l.target)
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf(".%s.%08x.tmp", base, rand.Uint32())), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		e := &Error{Path: l.path, Kind: ErrUnwritable, Text: "cannot be published", Err: errors.Unwrap(err), Hint: unwritableHint(l.target)}
		if isFull(err) {
			e.Kind, e.Hint = ErrFull, fullHint(l.path)
		}
		return nil, e
	}
	return f, nil
}

// removeOld removes what processes that were killed while they published have left in the folder of the target.
func (l *Local) removeOld() {
	dir, base := filepath.Split(l.target)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if ok, err := filepath.Match("."+base+".????????.tmp", e.Name()); !ok || err != nil {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > time.Hour {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// Close publishes what was not, closes the database and removes the local copy. If the last is not published, the error
// says where it is, and there it stays.
func (l *Local) Close() error {
	l.publishing.Lock()
	closed := l.closed
	l.publishing.Unlock()
	if closed {
		return nil
	}
	close(l.stop)
	<-l.done
	err := l.Publish(context.Background())
	l.publishing.Lock()
	defer l.publishing.Unlock()
	l.closed = true
	if e := l.reader.Close(); err == nil {
		err = explain(l.Path(), "close", e)
	}
	if e := l.Store.Close(); err == nil {
		err = e
	}
	if err != nil {
		var ours *Error
		if errors.As(err, &ours) {
			ours.Hint = "the results are in " + l.Path() + " on this machine; copy the file or merge it from there"
		}
		return err
	}
	return os.RemoveAll(l.dir)
}
