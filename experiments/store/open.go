package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-sqlite3"
)

// applicationID marks our files in the header of the SQLite format: "Stra".
const applicationID = 0x53747261

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrations returns the steps from an empty database to the current version, in order. The
// version of a database is the number of steps it has gone through.
func migrations() []string {
	paths, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		panic(err) // the pattern is ours
	}
	sort.Strings(paths)
	steps := make([]string, len(paths))
	for i, p := range paths {
		data, err := migrationFiles.ReadFile(p)
		if err != nil {
			panic(err) // it is part of the program
		}
		steps[i] = string(data)
	}
	return steps
}

// defaultBusy is how long to wait for another process: some hundred times a long transaction.
const defaultBusy = 10 * time.Second

// Options of Open.
type Options struct {
	ReadOnly     bool          // do not make or change the file
	ModelVersion string        // of the writer, for table meta
	Tool         string        // name and build of the writer, for table meta
	Busy         time.Duration // how long to wait for other processes; 0 means 10 s
}

// Store is an open database. It may be used by several goroutines.
type Store struct {
	path     string // as given
	file     os.FileInfo
	db       *sql.DB
	readOnly bool
	attach   string // URI by which another connection can read the file too
	warnings []string

	mu     sync.Mutex
	inputs map[string]int // length of inputs known to be in the file, by hash
	stmts  map[string]*sql.Stmt
	shapes map[string]string // statements for rows of table runs by which columns have a value
	wanted map[string]bool   // statements to prepare
}

// Open opens a results database, making it if it does not exist, and checks that rows can be put
// into it. With Options.ReadOnly the file must exist and is not changed.
//
// Errors are *Error of the kinds ErrForeign (another kind of file, or a directory), ErrNewer,
// ErrUnwritable, ErrFull, ErrBusy, ErrCorrupt, or ErrNotFound. A failed Open leaves no new file
// behind and changes no file of others.
func Open(path string, o Options) (*Store, error) {
	return open(path, o, migrations())
}

func open(path string, o Options, steps []string) (s *Store, err error) {
	if path == "" {
		return nil, &Error{Path: "results database", Kind: ErrUnwritable, Text: "no file name", Hint: "give a name such as results.db"}
	}
	if o.Busy <= 0 {
		o.Busy = defaultBusy
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, &Error{Path: path, Kind: ErrUnwritable, Text: "cannot be opened", Err: err}
	}
	file, fresh, err := claim(path, abs, o.ReadOnly, len(steps))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err == nil {
			return
		}
		release(file)
		// A file that is busy is used by someone who came at the same time.
		if fresh && !errors.Is(err, ErrBusy) {
			for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
				_ = os.Remove(abs + suffix)
			}
		}
	}()
	s = &Store{path: path, file: file, readOnly: o.ReadOnly, inputs: map[string]int{}, stmts: map[string]*sql.Stmt{}, shapes: map[string]string{}}
	if o.ReadOnly {
		err = s.openReader(abs, o, len(steps))
	} else {
		err = s.openWriter(abs, o, steps)
	}
	if err != nil {
		if s.db != nil {
			_ = s.db.Close()
		}
		return nil, explain(path, "open", err)
	}
	return s, nil
}

// connect returns a handle with one connection.
func connect(abs, mode string, busy time.Duration, more ...string) (*sql.DB, error) {
	dsn := fmt.Sprintf("file:%s?mode=%s&_busy_timeout=%d&_foreign_keys=on&_txlock=immediate",
		(&url.URL{Path: abs}).EscapedPath(), mode, busy.Milliseconds())
	for _, m := range more {
		dsn += "&" + m
	}
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

func (s *Store) openWriter(abs string, o Options, steps []string) (err error) {
	// Rows that can be computed again need no protection from power loss, only from crashes.
	if s.db, err = connect(abs, "rw", o.Busy, "_synchronous=NORMAL", "_cache_size=-32768"); err != nil {
		return err
	}
	ctx := context.Background()
	if err := s.migrate(ctx, steps); err != nil {
		return err
	}
	if err := s.setJournal(ctx, abs, o.Busy); err != nil {
		return err
	}
	if err := s.checkColumns(ctx); err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	// Write something, to learn now what would fail later.
	return s.transaction(ctx, func(tx *sql.Tx) error {
		facts := [][2]string{{"schema_version", strconv.Itoa(len(steps))}}
		if o.ModelVersion != "" {
			facts = append(facts, [2]string{"model_version", o.ModelVersion})
		}
		if o.Tool != "" {
			facts = append(facts, [2]string{"tool", o.Tool})
		}
		for _, f := range facts {
			if err := setMeta(ctx, tx, f[0], f[1]); err != nil {
				return err
			}
		}
		return nil
	})
}

// migrate makes the tables, or brings them to the current version, in one transaction. Several
// processes may come at once: the first one does it.
func (s *Store) migrate(ctx context.Context, steps []string) error {
	return s.transaction(ctx, func(tx *sql.Tx) error {
		h, err := queryHeader(ctx, tx)
		if err != nil {
			return err
		}
		if err := h.check(s.path, len(steps)); err != nil {
			return err
		}
		if h.version == int64(len(steps)) {
			return nil
		}
		for i := int(h.version); i < len(steps); i++ {
			if _, err := tx.ExecContext(ctx, steps[i]); err != nil {
				return fmt.Errorf("step %d to version %d: %w", i+1, len(steps), err)
			}
		}
		_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(steps)))
		return err
	})
}

// setJournal turns on write-ahead logging where it works.
func (s *Store) setJournal(ctx context.Context, abs string, busy time.Duration) error {
	network := networkFileSystem(abs)
	if network == "" {
		mode, err := s.journal(ctx, "WAL", busy)
		if err == nil && mode == "wal" {
			return nil
		}
		if kind := explain(s.path, "open", err); errors.Is(kind, ErrBusy) || errors.Is(kind, ErrFull) || errors.Is(kind, ErrUnwritable) {
			return err
		}
		network = "this file system"
	}
	s.warnings = append(s.warnings, fmt.Sprintf("%s: no write-ahead log on %s: slower, and only one machine should write to the file at a time", s.path, network))
	if _, err := s.journal(ctx, "DELETE", busy); err != nil {
		return err
	}
	// Without a log, NORMAL could damage the file on power loss.
	_, err := s.db.ExecContext(ctx, "PRAGMA synchronous = FULL")
	return err
}

// journal sets the journal mode. SQLite does not wait for others here, so this does.
func (s *Store) journal(ctx context.Context, mode string, busy time.Duration) (got string, err error) {
	for deadline := time.Now().Add(busy); ; time.Sleep(10 * time.Millisecond) {
		err = s.db.QueryRowContext(ctx, "PRAGMA journal_mode = "+mode).Scan(&got)
		var se sqlite3.Error
		if !errors.As(err, &se) || se.Code != sqlite3.ErrBusy || time.Now().After(deadline) {
			return got, err
		}
	}
}

func (s *Store) openReader(abs string, o Options, latest int) (err error) {
	// Opened as if for writing, where that is possible: else SQLite would leave the files of the
	// log behind. query_only keeps this connection from writing.
	for _, how := range [][]string{{"rw", "_query_only=1"}, {"ro", "_query_only=1", "immutable=1"}} {
		if s.db, err = connect(abs, how[0], o.Busy, how[1:]...); err != nil {
			return err
		}
		ctx := context.Background()
		var h header
		if h, err = queryHeader(ctx, s.db); err == nil {
			if err := h.check(s.path, latest); err != nil {
				return err
			}
			s.attach = "file:" + (&url.URL{Path: abs}).EscapedPath() + "?mode=ro"
			if how[0] == "ro" {
				s.attach += "&immutable=1"
			}
			if h.version < int64(latest) {
				return &Error{Path: s.path, Text: fmt.Sprintf("the database has version %d, older than %d", h.version, latest),
					Hint: "open it for writing once, as strata run --db does: that brings it up to date"}
			}
			return s.checkColumns(ctx)
		}
		// A database with a log cannot be read from a directory that cannot be written, except
		// as it is when nobody writes to it.
		if _, statErr := os.Stat(abs + "-wal"); !errors.Is(statErr, fs.ErrNotExist) || !errors.Is(explain(s.path, "", err), ErrUnwritable) {
			return err
		}
		_ = s.db.Close()
	}
	return err
}

// checkColumns verifies that all tables are as this program knows them. More is fine: people add
// views and notes to their files.
func (s *Store) checkColumns(ctx context.Context) error {
	for _, t := range Tables() {
		rows, err := s.db.QueryContext(ctx, "SELECT name FROM pragma_table_info(?)", t.Name)
		if err != nil {
			return err
		}
		have := map[string]bool{}
		for rows.Next() {
			var n string
			if err := rows.Scan(&n); err != nil {
				rows.Close()
				return err
			}
			have[n] = true
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, c := range t.Columns {
			if !have[c.Name] {
				what := fmt.Sprintf("table %s has no column %s", t.Name, c.Name)
				if len(have) == 0 {
					what = "there is no table " + t.Name
				}
				return &Error{Path: s.path, Kind: ErrForeign, Text: what, Hint: "the file was changed by another program, or is from a build between two versions; give the name of a new file"}
			}
		}
	}
	return nil
}

// transaction runs f in a transaction that begins with the write lock, so that it cannot fail half
// way for want of it.
func (s *Store) transaction(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback() // SQLite may have done it already
		return err
	}
	if err := tx.Commit(); err != nil {
		_ = tx.Rollback()
		return err
	}
	return nil
}

// Warnings returns what the user should know about the file, such as a slow file system.
func (s *Store) Warnings() []string { return append([]string(nil), s.warnings...) }

// Path returns the file name given to Open.
func (s *Store) Path() string { return s.path }

// Close closes the database. The last one to close it also folds the log into the file, so that
// the file alone is complete.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.stmts {
		_ = st.Close()
	}
	clear(s.stmts)
	if s.file != nil {
		file := s.file
		s.file = nil
		defer release(file)
	}
	return explain(s.path, "close", s.db.Close())
}

// shorten cuts a key for messages.
func shorten(key string) string {
	if len(key) > 16 {
		return strings.ToValidUTF8(key[:16], "") + "..."
	}
	return key
}
