package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MergeOptions are options of Merge.
type MergeOptions struct {
	// Newer merges files of several versions of the models: rows of the newest one and points that refer to them. Without
	// it they are an error.
	Newer bool
	Busy  time.Duration      // how long to wait for other processes; 0 means 10 s
	Done  func(f MergedFile) // called after each file, or nil
	group int                // how many files make a transaction; 0 means groupSize
}

// MergedFile is what became of one file that was merged.
type MergedFile struct {
	Path               string
	Rows, NewRows      int64 // rows of the file, and those that were not there before
	Points, NewPoints  int64 // points of sweeps, likewise
	OldRows, OldPoints int64 // left out with MergeOptions.Newer
	Err                error // why nothing of it was merged
}

// Merge puts rows, inputs, sweeps and points of other databases into this one, by the rules of Put: what is there already
// is left alone, an answer takes the place of an error, and two answers to one row are ErrConflict. So merging again changes
// nothing, and the order of files does not matter. Points are merged likewise: one that failed is replaced by one that did
// not.
//
// All of a file is merged or, on an error, nothing, and the others are merged all the same. The error says all that went wrong;
// files that were merged need not be merged again. Missing, damaged and locked files and those of other programs are errors, as
// is another sweep under the name of one that is there. So are rows of another version of the models, see MergeOptions.
//
// A few files make one transaction. Keys are hashes, so those of every file lie between those of all others and touch all
// leaves of the tables: merged one by one, n files would be written n times. In a transaction ranges of keys follow one another.
func (s *Store) Merge(ctx context.Context, paths []string, o MergeOptions) ([]MergedFile, error) {
	if s.readOnly {
		return nil, &Error{Path: s.path, Kind: ErrUnwritable, Text: "merge: the database was opened for reading only"}
	}
	m := &merger{s: s, o: o}
	var err error
	if m.conn, err = s.db.Conn(ctx); err != nil {
		return nil, explain(s.path, "merge", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer m.conn.Close()
	// Keys of shards lie between one another, so all leaves of the tables are written to; 2 MB of cache would not do.
	// Rows come with all that they refer to, so that need not be looked up for each.
	pragmas := func(ctx context.Context, list ...string) error {
		for _, p := range list {
			if _, err := m.conn.ExecContext(ctx, "PRAGMA "+p); err != nil {
				return explain(s.path, "merge", err)
			}
		}
		return nil
	}
	defer pragmas(context.WithoutCancel(ctx), "cache_size = -2000", "foreign_keys = on")
	if err := pragmas(ctx, "cache_size = -262144", "temp_store = MEMORY", "foreign_keys = off"); err != nil {
		return nil, err
	}
	clear(s.inputs) // others are added below
	files := m.look(ctx, paths)
	var group []*MergedFile
	for i := range files {
		if files[i].Err == nil {
			group = append(group, &files[i])
		}
		if len(group) == cmp.Or(o.group, groupSize) || i == len(files)-1 {
			m.group(ctx, group)
			group = nil
		}
	}
	var errs mergeErrors
	for i := range files {
		if f := &files[i]; f.Err != nil {
			errs = append(errs, f.Err)
			files[i] = MergedFile{Path: f.Path, Err: f.Err}
			if o.Done != nil {
				o.Done(files[i])
			}
		}
	}
	if len(errs) == 0 {
		return files, nil
	}
	return files, errs
}

// groupSize is how many files are merged in one transaction. SQLite attaches ten at most.
const groupSize = 8

// mergeErrors are the errors of several files.
type mergeErrors []error

func (e mergeErrors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

func (e mergeErrors) Unwrap() []error { return e }

type merger struct {
	s       *Store
	o       MergeOptions
	conn    *sql.Conn
	version string    // of the models, whose rows are merged; "" while there are no rows
	whose   string    // the file that has it
	done    []string  // files that are merged
	taken   []*source // those of the transaction, whose rows are not in the tables yet
}

// look opens each file once, to know early which cannot be merged, and which version of the models the rows are of.
func (m *merger) look(ctx context.Context, paths []string) []MergedFile {
	own, err := versionsOf(ctx, m.conn, "main")
	if err != nil {
		return []MergedFile{{Path: m.s.path, Err: explain(m.s.path, "merge", err)}}
	}
	if len(own) > 0 {
		m.version, m.whose = own[len(own)-1], m.s.path
	}
	var files []MergedFile
	var infos []os.FileInfo
	var versions [][]string
	for _, path := range paths {
		f := MergedFile{Path: path}
		var vs []string
		info, err := os.Stat(path)
		switch {
		case err == nil && os.SameFile(info, m.s.file):
			f.Err = &Error{Path: path, Kind: ErrSame, Text: "the file would be merged into itself", Hint: "leave it out: what is in it stays"}
		case err == nil && slices.ContainsFunc(infos, func(i os.FileInfo) bool { return os.SameFile(i, info) }):
			continue // named twice
		default:
			if err == nil {
				infos = append(infos, info)
			}
			vs, f.Err = m.lookAt(ctx, path)
		}
		files, versions = append(files, f), append(versions, vs)
		for _, v := range vs {
			if m.version == "" || m.o.Newer && compareVersions(v, m.version) > 0 {
				m.version, m.whose = v, path
			}
		}
	}
	for i := range files {
		if files[i].Err != nil || m.o.Newer {
			continue
		}
		for _, v := range versions[i] {
			if v != m.version {
				hint := "run those points again with one version of the program, or merge with --newer, which leaves the rows of the older one out"
				files[i].Err = &Error{Path: files[i].Path, Kind: ErrVersion, Hint: hint,
					Text: fmt.Sprintf("it has rows of version %s of the models, and %s of version %s", v, m.whose, m.version)}
				break
			}
		}
	}
	return files
}

func (m *merger) lookAt(ctx context.Context, path string) ([]string, error) {
	src, err := Open(path, Options{ReadOnly: true, Busy: m.o.Busy})
	if err != nil {
		return nil, err
	}
	defer src.Close()
	vs, err := versionsOf(ctx, src.db, "main")
	return vs, explain(path, "merge", err)
}

// versionsOf lists the versions of the models in table runs, the newest last.
func versionsOf(ctx context.Context, q queryer, schema string) ([]string, error) {
	var vs []string
	err := each(ctx, q, 1, func(row []any) error {
		vs = append(vs, text(row[0]))
		return nil
	}, "SELECT DISTINCT model_version FROM "+schema+".runs")
	slices.SortFunc(vs, compareVersions)
	return vs, err
}

// compareVersions compares two versions such as 0.5.0 number by number; what is no number is compared as text.
func compareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, err := strconv.Atoi(as[i])
		y, err2 := strconv.Atoi(bs[i])
		order := cmp.Compare(x, y)
		if err != nil || err2 != nil {
			order = cmp.Compare(as[i], bs[i])
		}
		if order != 0 {
			return order
		}
	}
	return cmp.Compare(len(as), len(bs))
}

// source is a file that is being merged.
type source struct {
	*MergedFile
	store  *Store // open meanwhile: closing it last folds its log, so that none is left behind
	schema string // its name in the transaction
	number int
	// overtaken says that an answer of a later file takes the place of an error of this one.
	overtaken bool
}

// group merges some files in one transaction. Files that are in the way are left out.
func (m *merger) group(ctx context.Context, files []*MergedFile) {
	after := context.WithoutCancel(ctx)
	var sources []*source
	defer func() {
		for _, src := range sources {
			if _, err := m.conn.ExecContext(after, "DETACH "+src.schema); src.Err == nil {
				src.Err = explain(src.Path, "merge", err)
			}
			src.store.Close()
		}
	}()
	for i, f := range files {
		src := &source{MergedFile: f, schema: fmt.Sprintf("src%d", i), number: i}
		if src.Err = ctx.Err(); src.Err != nil {
			continue
		}
		if src.store, src.Err = Open(f.Path, Options{ReadOnly: true, Busy: m.o.Busy}); src.Err != nil {
			continue
		}
		if src.Err = src.store.check(ctx); src.Err == nil {
			_, err := m.conn.ExecContext(ctx, "ATTACH ? AS "+src.schema, src.store.attach)
			src.Err = explain(f.Path, "merge", err)
		}
		if src.Err != nil {
			src.store.Close()
			continue
		}
		sources = append(sources, src)
	}
	var merged []*source
	err := func() error {
		if _, err := m.conn.ExecContext(ctx, "BEGIN"); err != nil {
			return err
		}
		for _, q := range []string{
			"DELETE FROM main.meta WHERE 0", // a write first takes the lock that all others need
			"DROP TABLE IF EXISTS temp.take",
			"CREATE TEMP TABLE take (key TEXT PRIMARY KEY, source INTEGER, hash TEXT, status TEXT, there INTEGER) WITHOUT ROWID",
		} {
			if _, err := m.conn.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		m.taken = nil
		for _, src := range sources {
			var problem *Error
			switch err := m.conflicts(ctx, src); {
			case err == nil:
			case errors.As(err, &problem):
				src.Err = err
				continue
			default:
				return err
			}
			if err := m.add(ctx, src); err != nil {
				return err
			}
			merged = append(merged, src)
			m.taken = append(m.taken, src)
		}
		if err := m.copyRows(ctx, merged); err != nil {
			return err
		}
		_, err := m.conn.ExecContext(ctx, "COMMIT")
		return err
	}()
	if err != nil {
		_, _ = m.conn.ExecContext(after, "ROLLBACK") // SQLite may have done it already
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		for _, src := range sources {
			if src.Err == nil {
				src.Err = explain(m.s.path, "merge "+src.Path, err)
			}
		}
		return
	}
	for _, src := range merged {
		m.done = append(m.done, src.Path)
		if m.o.Done != nil {
			m.o.Done(*src.MergedFile)
		}
	}
}

// check looks for damage: a file that was cut off or written over.
func (s *Store) check(ctx context.Context) error {
	var found string
	err := s.db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found)
	if err == nil && found != "ok" {
		return &Error{Path: s.path, Kind: ErrCorrupt, Text: "the database is damaged: " + strings.ReplaceAll(found, "\n", " "),
			Hint: "was it copied while it was written? Copy it again, or run its points again"}
	}
	return explain(s.path, "look for damage", err)
}

// failedPoint chooses points that are worth another try.
const failedPoint = "status IN ('timeout', 'memory', 'error')"

// exec runs a statement in which SRC stands for the file that is being merged.
func (m *merger) exec(ctx context.Context, src *source, query string, args ...any) (int64, error) {
	r, err := m.conn.ExecContext(ctx, strings.ReplaceAll(query, "SRC", src.schema), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// each is each, in which SRC stands for the file that is being merged.
func (m *merger) each(ctx context.Context, src *source, columns int, f func(row []any) error, query string, args ...any) error {
	return each(ctx, m.conn, columns, f, strings.ReplaceAll(query, "SRC", src.schema), args...)
}

// conflicts looks for what keeps a file from being merged; that is an *Error.
func (m *merger) conflicts(ctx context.Context, src *source) error {
	for _, look := range []func(context.Context, *source) error{m.sweepConflict, m.rowConflict, m.inputConflict, m.pointConflict} {
		if err := look(ctx, src); err != nil {
			return err
		}
	}
	return nil
}

// add merges what a file has but its rows, and notes which of these are to be copied.
func (m *merger) add(ctx context.Context, src *source) error {
	for _, n := range []struct {
		into  *int64
		query string
	}{
		{&src.Rows, "SELECT count(*) FROM SRC.runs WHERE ?1 = ?1"},
		{&src.Points, "SELECT count(*) FROM SRC.points WHERE ?1 = ?1"},
		{&src.OldRows, "SELECT count(*) FROM SRC.runs WHERE model_version <> ?1"},
		{&src.OldPoints, "SELECT count(*) FROM SRC.points s WHERE " + oldSource},
	} {
		if err := m.conn.QueryRowContext(ctx, strings.ReplaceAll(n.query, "SRC", src.schema), m.version).Scan(n.into); err != nil {
			return err
		}
	}
	list := func(table *Table) string { return strings.Join(names(table.Columns), ", ") }
	sweeps, inputs, points, answers := list(table("sweeps")), list(table("inputs")), list(table("points")), list(table("answers"))
	var err error
	if _, err = m.exec(ctx, src, "INSERT OR IGNORE INTO main.answers ("+answers+") SELECT "+answers+" FROM SRC.answers"); err != nil {
		return err
	}
	if src.NewPoints, err = m.exec(ctx, src, "INSERT OR REPLACE INTO main.points ("+points+") SELECT "+points+` FROM SRC.points s WHERE NOT ifnull(`+oldSource+`, 0) AND NOT EXISTS (
		SELECT 1 FROM main.points d WHERE d.sweep = s.sweep AND d.point = s.point AND NOT (d.`+failedPoint+` AND NOT s.`+failedPoint+`) AND NOT ifnull(`+oldHere+`, 0))`, m.version); err != nil {
		return err
	}
	if err := m.each(ctx, src, 1, func(row []any) error {
		for _, other := range m.taken {
			if n, _ := row[0].(int64); int64(other.number) == n {
				other.overtaken = true
			}
		}
		return nil
	}, "SELECT DISTINCT t.source FROM SRC.runs s JOIN temp.take t ON t.key = s.key WHERE t.status = 'error' AND s.status <> 'error'"); err != nil {
		return err
	}
	if src.NewRows, err = m.exec(ctx, src, `INSERT INTO temp.take SELECT s.key, ?2, s.content_hash, s.status, d.key IS NOT NULL FROM SRC.runs s LEFT JOIN main.runs d ON d.key = s.key
		WHERE s.model_version = ?1 AND (d.key IS NULL OR d.model_version <> s.model_version OR d.status = 'error' AND s.status <> 'error')
		ON CONFLICT (key) DO UPDATE SET source = excluded.source, hash = excluded.hash, status = excluded.status WHERE status = 'error' AND excluded.status <> 'error'`, m.version, src.number); err != nil {
		return err
	}
	for _, q := range []string{
		"INSERT INTO main.sweeps (" + sweeps + ") SELECT " + sweeps + " FROM SRC.sweeps WHERE name NOT IN (SELECT name FROM main.sweeps)",
		"INSERT INTO main.inputs (" + inputs + ") SELECT " + inputs + ` FROM SRC.inputs WHERE hash NOT IN (SELECT hash FROM main.inputs)
			AND hash IN (SELECT hash FROM SRC.run_inputs WHERE key IN (SELECT key FROM temp.take WHERE source = ` + fmt.Sprint(src.number) + "))",
		"INSERT INTO main.meta (name, value) SELECT name, value FROM SRC.meta WHERE name LIKE 'sweep.%' AND name NOT IN (SELECT name FROM main.meta)",
	} {
		if _, err := m.exec(ctx, src, q); err != nil {
			return err
		}
	}
	return nil
}

// rangeBytes is about how much of all files belongs to one range of keys: far less than the cache holds.
var rangeBytes int64 = 64 << 20 // another in tests

// copyRows copies the rows that were noted with all that belongs to them, by ranges of keys, so that what is written to at a
// time fits into the cache.
func (m *merger) copyRows(ctx context.Context, sources []*source) error {
	var parts []*Table // tables of what belongs to rows
	for i := range tables {
		if t := &tables[i]; t.child || t.Name == "runs" || t.Name == "run_inputs" {
			parts = append(parts, t)
		}
	}
	for _, t := range parts {
		if _, err := m.conn.ExecContext(ctx, "DELETE FROM main."+t.Name+" WHERE key IN (SELECT key FROM temp.take WHERE there)"); err != nil {
			return err
		}
	}
	bytes := m.s.size()
	for _, src := range sources {
		bytes += src.store.size()
	}
	starts, err := m.ranges(ctx, bytes/rangeBytes+1)
	if err != nil {
		return err
	}
	for i, from := range starts {
		within := "key >= ?1"
		args := []any{from}
		if i+1 < len(starts) {
			within += " AND key < ?2"
			args = append(args, starts[i+1])
		}
		for _, t := range parts {
			columns := strings.Join(names(t.all()), ", ")
			for _, src := range sources {
				some := within
				if src.NewRows < src.Rows || src.overtaken {
					some = fmt.Sprintf("key IN (SELECT key FROM temp.take WHERE source = %d AND %s)", src.number, within)
				}
				if src.NewRows == 0 {
					continue
				}
				if _, err := m.exec(ctx, src, "INSERT INTO main."+t.Name+" ("+columns+") SELECT "+columns+" FROM SRC."+t.Name+" WHERE "+some, args...); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// ranges divides the rows that were noted into about n equal ranges, of which it returns the first keys.
func (m *merger) ranges(ctx context.Context, n int64) ([]string, error) {
	var count int64
	if err := m.conn.QueryRowContext(ctx, "SELECT count(*) FROM temp.take").Scan(&count); err != nil {
		return nil, err
	}
	starts := []string{""}
	step := max(count/n, 1000)
	i := int64(0)
	err := each(ctx, m.conn, 1, func(row []any) error {
		if i++; i%step == 0 && count-i >= step {
			starts = append(starts, text(row[0]))
		}
		return nil
	}, "SELECT key FROM temp.take ORDER BY key")
	return starts, err
}

// size is that of the file, 0 if it cannot be told.
func (s *Store) size() int64 {
	info, err := os.Stat(s.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// sweepConflict looks for another sweep of the same name.
func (m *merger) sweepConflict(ctx context.Context, src *source) error {
	var problem error
	err := m.each(ctx, src, 3, func(row []any) error {
		what := "another list of points"
		if row[1] != row[2] {
			what = fmt.Sprintf("%v points instead of %v", row[2], row[1])
		}
		problem = &Error{Path: src.Path, Kind: ErrConflict, Text: fmt.Sprintf("its sweep %q is not the one of that name in %s: %s", text(row[0]), m.holder(ctx, "sweeps", "name", row[0]), what),
			Hint: "they are from different files of sweeps; merge only what was made from one"}
		return nil
	}, `SELECT s.name, d.count, s.count FROM SRC.sweeps s JOIN main.sweeps d ON d.name = s.name WHERE s.spec_hash IS NOT d.spec_hash OR s.kind IS NOT d.kind ORDER BY s.name LIMIT 1`)
	return cmp.Or(err, problem)
}

// rowConflict looks for a row with two answers.
func (m *merger) rowConflict(ctx context.Context, src *source) error {
	type pair struct {
		key   string
		taken int64 // number of the source that has the other, or -1 for the database
	}
	var pairs []pair
	err := m.each(ctx, src, 2, func(row []any) error {
		n, _ := row[1].(int64)
		pairs = append(pairs, pair{text(row[0]), n})
		return nil
	}, `SELECT s.key, -1 FROM SRC.runs s JOIN main.runs d ON d.key = s.key WHERE s.model_version = d.model_version AND `+otherAnswer("s.content_hash", "d.content_hash")+`
		AND s.status <> 'error' AND d.status <> 'error'
		UNION ALL SELECT s.key, t.source FROM SRC.runs s JOIN temp.take t ON t.key = s.key WHERE s.model_version = ? AND `+otherAnswer("s.content_hash", "t.hash")+`
		AND s.status <> 'error' AND t.status <> 'error' ORDER BY 1`, m.version)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		key := p.key
		old, err := m.s.read(ctx, m.conn, key)
		for _, other := range m.taken {
			if int64(other.number) == p.taken {
				old, err = other.store.read(ctx, other.store.db, key)
			}
		}
		if err != nil {
			return err
		}
		now, err := src.store.read(ctx, src.store.db, key)
		if err != nil {
			return err
		}
		kept := len(old.Operators) > 0 && len(now.Operators) > 0
		if !kept {
			old.Operators, now.Operators = nil, nil
		}
		diffs := differences(&old, &now)
		if len(diffs) == 0 {
			continue // only what a hash is made of is another now
		}
		return &Error{Path: src.Path, Kind: ErrConflict,
			Text: fmt.Sprintf("determinism alarm: row %s of the same version of the models has another answer than in %s: %s", shorten(key), m.holder(ctx, "runs", "key", key), strings.Join(diffs, "; ")),
			Hint: "one of the two is wrong: run the point again, and if the answers still differ report it with both files"}
	}
	return nil
}

// inputConflict looks for two contents under one hash.
func (m *merger) inputConflict(ctx context.Context, src *source) error {
	var problem error
	err := m.each(ctx, src, 2, func(row []any) error {
		problem = &Error{Path: src.Path, Kind: ErrConflict, Text: fmt.Sprintf("input %q has other content under the same hash %s than in %s", text(row[1]), shorten(text(row[0])), m.holder(ctx, "inputs", "hash", row[0]))}
		return nil
	}, "SELECT s.hash, coalesce(s.name, '') FROM SRC.inputs s JOIN main.inputs d ON d.hash = s.hash WHERE s.content <> d.content ORDER BY s.hash LIMIT 1")
	return cmp.Or(err, problem)
}

// Points whose rows are of an older version count as not there.
const (
	oldSource = "s.key IN (SELECT key FROM SRC.runs WHERE model_version <> ?1)"
	oldHere   = "d.key IN (SELECT key FROM main.runs WHERE model_version <> ?1)"
)

// pointConflict looks for a point that came to two things.
func (m *merger) pointConflict(ctx context.Context, src *source) error {
	var problem error
	err := m.each(ctx, src, 2, func(row []any) error {
		point, _ := row[1].(int64)
		a, err := pointOf(ctx, m.conn, "main", text(row[0]), point)
		if err != nil {
			return err
		}
		b, err := pointOf(ctx, m.conn, src.schema, text(row[0]), point)
		if err != nil {
			return err
		}
		problem = &Error{Path: src.Path, Kind: ErrConflict,
			Text: fmt.Sprintf("determinism alarm: point %d of sweep %q is %s, but in %s it is %s", point, text(row[0]), b, m.pointHolder(ctx, text(row[0]), point), a),
			Hint: "one of the two is wrong: run the point again, and if the answers still differ report it with both files"}
		return nil
	}, `SELECT s.sweep, s.point FROM SRC.points s JOIN main.points d ON d.sweep = s.sweep AND d.point = s.point
		WHERE (s.key IS NOT d.key OR s.status <> d.status OR s.reason IS NOT d.reason OR s.parameters <> d.parameters OR s.generation IS NOT d.generation OR s.violation IS NOT d.violation)
		AND (s.parameters <> d.parameters OR NOT s.`+failedPoint+` AND NOT d.`+failedPoint+`) AND NOT ifnull(`+oldSource+`, 0) AND NOT ifnull(`+oldHere+`, 0) ORDER BY s.sweep, s.point LIMIT 1`, m.version)
	return cmp.Or(err, problem)
}

// pointOf describes a point in a few words.
func pointOf(ctx context.Context, conn *sql.Conn, schema, sweep string, point int64) (string, error) {
	var key, status, reason, parameters string
	err := conn.QueryRowContext(ctx, "SELECT coalesce(key, ''), status, coalesce(reason, ''), parameters FROM "+schema+".points WHERE sweep = ? AND point = ?", sweep, point).
		Scan(&key, &status, &reason, &parameters)
	words := status
	if key != "" {
		words += ", row " + shorten(key)
	}
	if reason != "" {
		words += " (" + reason + ")"
	}
	return words + " with " + parameters, err
}

// holder names the file that something in the database came from: one that was merged before, or else the database.
func (m *merger) holder(ctx context.Context, table, column string, value any) string {
	return m.find(ctx, "SELECT 1 FROM "+table+" WHERE "+column+" = ?", value)
}

func (m *merger) pointHolder(ctx context.Context, sweep string, point int64) string {
	return m.find(ctx, "SELECT 1 FROM points WHERE sweep = ? AND point = ?", sweep, point)
}

func (m *merger) find(ctx context.Context, query string, args ...any) string {
	paths := slices.Clone(m.done)
	for _, src := range m.taken {
		paths = append(paths, src.Path)
	}
	for _, path := range paths {
		src, err := Open(path, Options{ReadOnly: true, Busy: m.o.Busy})
		if err != nil {
			continue
		}
		var one int
		err = src.db.QueryRowContext(ctx, query, args...).Scan(&one)
		src.Close()
		if err == nil {
			return filepath.ToSlash(path)
		}
	}
	return m.s.path
}
