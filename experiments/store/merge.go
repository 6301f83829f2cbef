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
}

// MergedFile is what became of one file that was merged.
type MergedFile struct {
	Path               string
	Rows, NewRows      int64 // rows of the file, and those that were not there before
	Points, NewPoints  int64 // points of sweeps, likewise
	OldRows, OldPoints int64 // left out with MergeOptions.Newer
	Seconds            float64
	Err                error // why nothing of it was merged
}

// Merge puts rows, inputs, sweeps and points of other databases into this one, by the rules of Put: what is there already
// is left alone, an answer takes the place of an error, and two answers to one row are ErrConflict. So merging again changes
// nothing, and the order of files does not matter. Points are merged likewise: one that failed is replaced by one that did
// not.
//
// Each file is one transaction: all of it is merged or, on an error, nothing, and the others are merged all the same. The
// error says all that went wrong; files that were merged need not be merged again. Missing, damaged and locked files and
// those of other programs are errors, as is another sweep under the name of one that is there. So are rows of another version
// of the models, see MergeOptions.
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
	var files []MergedFile
	var errs mergeErrors
	for _, f := range m.look(ctx, paths) {
		began := time.Now()
		if f.Err == nil && ctx.Err() != nil {
			f.Err = ctx.Err()
		}
		if f.Err == nil {
			f.Err = m.file(ctx, &f)
		}
		if f.Err != nil {
			f = MergedFile{Path: f.Path, Err: f.Err}
			errs = append(errs, f.Err)
		} else {
			m.done = append(m.done, f.Path)
		}
		f.Seconds = time.Since(began).Seconds()
		files = append(files, f)
		if o.Done != nil {
			o.Done(f)
		}
	}
	if len(errs) == 0 {
		return files, nil
	}
	return files, errs
}

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
	version string   // of the models, whose rows are merged; "" while there are no rows
	whose   string   // the file that has it
	done    []string // files that are merged
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
			f.Err = &Error{Path: path, Kind: ErrInvalid, Text: "the file would be merged into itself", Hint: "leave it out: what is in it stays"}
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

// file merges one file in one transaction.
func (m *merger) file(ctx context.Context, f *MergedFile) (err error) {
	// The file stays open here meanwhile: closing it last folds its log, so that none is left behind.
	src, err := Open(f.Path, Options{ReadOnly: true, Busy: m.o.Busy})
	if err != nil {
		return err
	}
	defer src.Close()
	if err := src.check(ctx); err != nil {
		return err
	}
	if _, err := m.conn.ExecContext(ctx, "ATTACH ? AS src", src.attach); err != nil {
		return explain(f.Path, "merge", err)
	}
	after := context.WithoutCancel(ctx)
	defer func() {
		if _, e := m.conn.ExecContext(after, "DETACH src"); err == nil {
			err = explain(f.Path, "merge", e)
		}
	}()
	if _, err := m.conn.ExecContext(ctx, "BEGIN"); err != nil {
		return explain(m.s.path, "merge", err)
	}
	if err = m.merge(ctx, src, f); err == nil {
		_, err = m.conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		_, _ = m.conn.ExecContext(after, "ROLLBACK") // SQLite may have done it already
	}
	return explain(m.s.path, "merge "+f.Path, err)
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

func (m *merger) merge(ctx context.Context, src *Store, f *MergedFile) error {
	exec := func(query string, args ...any) (int64, error) {
		r, err := m.conn.ExecContext(ctx, query, args...)
		if err != nil {
			return 0, err
		}
		return r.RowsAffected()
	}
	count := func(into *int64, query string, args ...any) error {
		return m.conn.QueryRowContext(ctx, query, args...).Scan(into)
	}
	// A write first takes the lock that all others need.
	if _, err := exec("DELETE FROM main.meta WHERE 0"); err != nil {
		return err
	}
	if err := errors.Join(
		count(&f.Rows, "SELECT count(*) FROM src.runs"), count(&f.Points, "SELECT count(*) FROM src.points"),
		count(&f.OldRows, "SELECT count(*) FROM src.runs WHERE model_version <> ?", m.version),
	); err != nil {
		return err
	}
	for _, q := range []string{"DROP TABLE IF EXISTS temp.take", "CREATE TEMP TABLE take (key TEXT PRIMARY KEY, there INTEGER) WITHOUT ROWID"} {
		if _, err := exec(q); err != nil {
			return err
		}
	}
	if err := m.sweeps(ctx, src); err != nil {
		return err
	}
	if err := m.rowConflict(ctx, src); err != nil {
		return err
	}
	var err error
	if f.NewRows, err = exec(`INSERT INTO temp.take SELECT s.key, d.key IS NOT NULL FROM src.runs s LEFT JOIN main.runs d ON d.key = s.key
		WHERE s.model_version = ? AND (d.key IS NULL OR d.model_version <> s.model_version OR d.status = 'error' AND s.status <> 'error')`, m.version); err != nil {
		return err
	}
	var parts []*Table // tables of rows of runs
	for i := range tables {
		if t := &tables[i]; t.child || t.Name == "runs" || t.Name == "run_inputs" {
			parts = append(parts, t)
		}
	}
	for _, t := range parts {
		if _, err := exec("DELETE FROM main." + t.Name + " WHERE key IN (SELECT key FROM temp.take WHERE there)"); err != nil {
			return err
		}
	}
	if err := m.inputs(ctx, src, exec); err != nil {
		return err
	}
	if f.NewRows > 0 {
		some := " WHERE key IN (SELECT key FROM temp.take)"
		if f.NewRows == f.Rows {
			some = ""
		}
		for _, t := range parts {
			columns := strings.Join(names(t.all()), ", ")
			if _, err := exec("INSERT INTO main." + t.Name + " (" + columns + ") SELECT " + columns + " FROM src." + t.Name + some); err != nil {
				return err
			}
		}
	}
	if err := m.points(ctx, src, f, exec); err != nil {
		return err
	}
	_, err = exec("INSERT INTO main.meta (name, value) SELECT name, value FROM src.meta WHERE name LIKE 'sweep.%' AND name NOT IN (SELECT name FROM main.meta)")
	return err
}

// sweeps merges the table of that name.
func (m *merger) sweeps(ctx context.Context, src *Store) error {
	var problem error
	err := each(ctx, m.conn, 3, func(row []any) error {
		what := "another list of points"
		if row[1] != row[2] {
			what = fmt.Sprintf("%v points instead of %v", row[2], row[1])
		}
		problem = &Error{Path: src.path, Kind: ErrConflict, Text: fmt.Sprintf("its sweep %q is not the one of that name in %s: %s", text(row[0]), m.holder(ctx, "sweeps", "name", row[0]), what),
			Hint: "they are from different files of sweeps; merge only what was made from one"}
		return nil
	}, `SELECT s.name, d.count, s.count FROM src.sweeps s JOIN main.sweeps d ON d.name = s.name WHERE s.spec_hash IS NOT d.spec_hash OR s.kind IS NOT d.kind ORDER BY s.name LIMIT 1`)
	if err != nil || problem != nil {
		return errors.Join(err, problem)
	}
	columns := strings.Join(names(table("sweeps").Columns), ", ")
	_, err = m.conn.ExecContext(ctx, "INSERT INTO main.sweeps ("+columns+") SELECT "+columns+" FROM src.sweeps WHERE name NOT IN (SELECT name FROM main.sweeps)")
	return err
}

// rowConflict looks for a row with two answers.
func (m *merger) rowConflict(ctx context.Context, src *Store) error {
	var keys []string
	err := each(ctx, m.conn, 1, func(row []any) error {
		keys = append(keys, text(row[0]))
		return nil
	}, `SELECT s.key FROM src.runs s JOIN main.runs d ON d.key = s.key WHERE s.model_version = d.model_version AND s.content_hash <> d.content_hash
		AND s.status <> 'error' AND d.status <> 'error' ORDER BY s.key`)
	if err != nil {
		return err
	}
	for _, key := range keys {
		old, err := m.s.read(ctx, m.conn, key)
		if err != nil {
			return err
		}
		now, err := src.read(ctx, src.db, key)
		if err != nil {
			return err
		}
		kept := len(old.Operators) > 0 && len(now.Operators) > 0
		if !kept {
			old.Operators, now.Operators = nil, nil
		}
		diffs := differences(&old, &now)
		if len(diffs) == 0 && kept {
			continue // only what a hash is made of is another now
		}
		if len(diffs) == 0 {
			diffs = []string{"in its operators, which were not kept"}
		}
		return &Error{Path: src.path, Kind: ErrConflict,
			Text: fmt.Sprintf("determinism alarm: row %s of the same version of the models has another answer than in %s: %s", shorten(key), m.holder(ctx, "runs", "key", key), strings.Join(diffs, "; ")),
			Hint: "one of the two is wrong: run the point again, and if the answers still differ report it with both files"}
	}
	return nil
}

// inputs merges those that rows of the source need.
func (m *merger) inputs(ctx context.Context, src *Store, exec func(string, ...any) (int64, error)) error {
	var hash, name string
	err := m.conn.QueryRowContext(ctx, `SELECT s.hash, coalesce(s.name, '') FROM src.inputs s JOIN main.inputs d ON d.hash = s.hash WHERE s.content <> d.content ORDER BY s.hash LIMIT 1`).Scan(&hash, &name)
	switch {
	case err == nil:
		return &Error{Path: src.path, Kind: ErrConflict, Text: fmt.Sprintf("input %q has other content under the same hash %s than in %s", name, shorten(hash), m.holder(ctx, "inputs", "hash", hash))}
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	columns := strings.Join(names(table("inputs").Columns), ", ")
	_, err = exec("INSERT INTO main.inputs (" + columns + ") SELECT " + columns + ` FROM src.inputs WHERE hash NOT IN (SELECT hash FROM main.inputs)
		AND hash IN (SELECT hash FROM src.run_inputs WHERE key IN (SELECT key FROM temp.take))`)
	return err
}

// points merges the table of that name.
func (m *merger) points(ctx context.Context, src *Store, f *MergedFile, exec func(string, ...any) (int64, error)) error {
	// Points whose rows are of an older version count as not there.
	const (
		oldSource = "s.key IN (SELECT key FROM src.runs WHERE model_version <> ?1)"
		oldHere   = "d.key IN (SELECT key FROM main.runs WHERE model_version <> ?1)"
	)
	if err := m.conn.QueryRowContext(ctx, "SELECT count(*) FROM src.points s WHERE "+oldSource, m.version).Scan(&f.OldPoints); err != nil {
		return err
	}
	var problem error
	err := each(ctx, m.conn, 2, func(row []any) error {
		point, _ := row[1].(int64)
		a, err := pointOf(ctx, m.conn, "main", text(row[0]), point)
		if err != nil {
			return err
		}
		b, err := pointOf(ctx, m.conn, "src", text(row[0]), point)
		if err != nil {
			return err
		}
		problem = &Error{Path: src.path, Kind: ErrConflict,
			Text: fmt.Sprintf("determinism alarm: point %d of sweep %q is %s, but in %s it is %s", point, text(row[0]), b, m.pointHolder(ctx, text(row[0]), point), a),
			Hint: "one of the two is wrong: run the point again, and if the answers still differ report it with both files"}
		return nil
	}, `SELECT s.sweep, s.point FROM src.points s JOIN main.points d ON d.sweep = s.sweep AND d.point = s.point
		WHERE (s.key IS NOT d.key OR s.status <> d.status OR s.reason IS NOT d.reason OR s.parameters <> d.parameters OR s.generation IS NOT d.generation OR s.violation IS NOT d.violation)
		AND (s.parameters <> d.parameters OR NOT s.`+failedPoint+` AND NOT d.`+failedPoint+`) AND NOT ifnull(`+oldSource+`, 0) AND NOT ifnull(`+oldHere+`, 0) ORDER BY s.sweep, s.point LIMIT 1`, m.version)
	if err != nil || problem != nil {
		return errors.Join(err, problem)
	}
	columns := strings.Join(names(table("points").Columns), ", ")
	f.NewPoints, err = exec("INSERT OR REPLACE INTO main.points ("+columns+") SELECT "+columns+` FROM src.points s WHERE NOT ifnull(`+oldSource+`, 0) AND NOT EXISTS (
		SELECT 1 FROM main.points d WHERE d.sweep = s.sweep AND d.point = s.point AND NOT (d.`+failedPoint+` AND NOT s.`+failedPoint+`) AND NOT ifnull(`+oldHere+`, 0))`, m.version)
	return err
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
	for _, path := range m.done {
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
