package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// queryer is a database or a transaction.
type queryer interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}

// each calls f with the values of every row of a query.
func each(ctx context.Context, q queryer, columns int, f func(row []any) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	row, into := make([]any, columns), make([]any, columns)
	for i := range row {
		into[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := f(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// snapshot runs f on the database as it is at one moment, whatever others write meanwhile.
func (s *Store) snapshot(ctx context.Context, f func(q queryer) error) error {
	c, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	// Not a transaction of database/sql: those take the write lock, see connect.
	if _, err := c.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	err = f(c)
	if _, end := c.ExecContext(context.WithoutCancel(ctx), "COMMIT"); err == nil {
		err = end
	}
	return err
}

// Get returns the row with that key, or the only row whose key begins with it. No such row is
// ErrNotFound; several are ErrAmbiguous, and the error lists some of them.
func (s *Store) Get(ctx context.Context, key string) (r Row, err error) {
	err = s.snapshot(ctx, func(q queryer) error {
		full, err := s.resolve(ctx, q, key)
		if err == nil {
			r, err = s.read(ctx, q, full)
		}
		return err
	})
	if err != nil {
		return Row{}, explain(s.path, "read row "+shorten(key), err)
	}
	return r, nil
}

// resolve returns the full key for a key or for the beginning of exactly one key.
func (s *Store) resolve(ctx context.Context, q queryer, prefix string) (string, error) {
	if prefix == "" {
		return "", &Error{Path: s.path, Kind: ErrNotFound, Text: "no key is given", Hint: "a few characters of it are enough"}
	}
	const show = 4
	var found []string
	// Texts compare byte by byte, and no UTF-8 text has the byte 0xff.
	err := each(ctx, q, 1, func(row []any) error {
		found = append(found, fmt.Sprint(row[0]))
		return nil
	}, "SELECT key FROM runs WHERE key >= ? AND key < ? ORDER BY key LIMIT ?", prefix, prefix+"\xff", show+1)
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", &Error{Path: s.path, Kind: ErrNotFound, Text: fmt.Sprintf("no row has a key that begins with %q", shorten(prefix))}
	case len(found) == 1 || found[0] == prefix:
		return found[0], nil
	}
	list := found
	if len(list) > show {
		list = append(slices.Clone(list[:show]), "...")
	}
	return "", &Error{
		Path: s.path, Kind: ErrAmbiguous,
		Text: fmt.Sprintf("several rows have keys that begin with %q: %s", prefix, strings.Join(list, ", ")), Hint: "give more characters",
	}
}

// read returns the row with exactly that key.
func (s *Store) read(ctx context.Context, q queryer, key string) (Row, error) {
	r := Row{Key: key}
	runs := table("runs")
	err := each(ctx, q, len(runs.Columns), func(row []any) error {
		r.Values = runs.values(row)
		delete(r.Values, "key")
		delete(r.Values, contentHash)
		return nil
	}, "SELECT "+strings.Join(names(runs.Columns), ", ")+" FROM runs WHERE key = ?", key)
	if err != nil {
		return r, err
	}
	if r.Values == nil {
		return r, &Error{Path: s.path, Kind: ErrNotFound, Text: "no row has the key " + shorten(key)}
	}
	for _, c := range r.children() {
		err := each(ctx, q, len(c.table.Columns), func(row []any) error {
			*c.rows = append(*c.rows, c.table.values(row))
			return nil
		}, "SELECT "+strings.Join(names(c.table.Columns), ", ")+" FROM "+c.table.Name+" WHERE key = ? ORDER BY position", key)
		if err != nil {
			return r, err
		}
	}
	rows, err := q.QueryContext(ctx, "SELECT hash, kind, coalesce(name, ''), content FROM inputs WHERE hash IN (SELECT hash FROM run_inputs WHERE key = ?) ORDER BY hash", key)
	if err != nil {
		return r, err
	}
	defer rows.Close()
	for rows.Next() {
		var in Input
		if err := rows.Scan(&in.Hash, &in.Kind, &in.Name, &in.Content); err != nil {
			return r, err
		}
		r.Inputs = append(r.Inputs, in)
	}
	return r, rows.Err()
}

// Input returns the input with that hash, or ErrNotFound.
func (s *Store) Input(ctx context.Context, hash string) (Input, error) {
	in := Input{Hash: hash}
	err := s.db.QueryRowContext(ctx, "SELECT kind, coalesce(name, ''), content FROM inputs WHERE hash = ?", hash).Scan(&in.Kind, &in.Name, &in.Content)
	if errors.Is(err, sql.ErrNoRows) {
		return Input{}, &Error{Path: s.path, Kind: ErrNotFound, Text: "no input has the hash " + shorten(hash)}
	}
	return in, explain(s.path, "read input "+shorten(hash), err)
}

// Filter chooses rows: those that agree in all fields that are set.
type Filter struct {
	Arch, Model, Phase, Fidelity, Status string
	Limit                                int // at most so many; 0 means all
}

// where returns the rest of a query, in an order that does not depend on when rows were put.
func (f Filter) where() (string, []any) {
	var conditions []string
	var args []any
	for _, c := range []struct{ column, value string }{
		{"arch", f.Arch}, {"model", f.Model}, {"phase", f.Phase}, {"fidelity", f.Fidelity}, {"status", f.Status},
	} {
		if c.value != "" {
			conditions = append(conditions, c.column+" = ?")
			args = append(args, c.value)
		}
	}
	var q string
	if len(conditions) > 0 {
		q = " WHERE " + strings.Join(conditions, " AND ")
	}
	q += " ORDER BY arch, model, phase, fidelity, batch, prompt, generate, parallel, dtype, key"
	if f.Limit > 0 {
		q += " LIMIT ?"
		args = append(args, int64(f.Limit))
	}
	return q, args
}

// Summary is a row in one line. Numbers that a row does not have are 0.
type Summary struct {
	Key, Status, Reason                               string
	Arch, Model, Phase, Fidelity, Parallel, DType     string
	Batch, Prompt, Generate                           int64
	Seconds, TTFTSeconds, TPOTSeconds                 float64
	TokensPerSecond, MFU, Joules, USDPerMillionTokens float64
	BoundBy, ModelVersion, Runtime, Request           string
}

// List returns the rows that a filter chooses, ordered by name and size of the point.
func (s *Store) List(ctx context.Context, f Filter) ([]Summary, error) {
	where, args := f.where()
	rows, err := s.db.QueryContext(ctx, `SELECT key, status, coalesce(reason, ''), coalesce(arch, ''), coalesce(model, ''), coalesce(phase, ''),
		coalesce(fidelity, ''), coalesce(parallel, ''), coalesce(dtype, ''), coalesce(batch, 0), coalesce(prompt, 0), coalesce(generate, 0),
		coalesce(seconds, 0.0), coalesce(ttft_seconds, 0.0), coalesce(tpot_seconds, 0.0), coalesce(tokens_per_second, 0.0), coalesce(mfu, 0.0),
		coalesce(joules, 0.0), coalesce(usd_per_million_tokens, 0.0), coalesce(bound_by, ''), model_version, coalesce(runtime, ''),
		coalesce(request, '') FROM runs`+where, args...)
	if err != nil {
		return nil, explain(s.path, "list rows", err)
	}
	defer rows.Close()
	var list []Summary
	for rows.Next() {
		var r Summary
		if err := rows.Scan(&r.Key, &r.Status, &r.Reason, &r.Arch, &r.Model, &r.Phase, &r.Fidelity, &r.Parallel, &r.DType,
			&r.Batch, &r.Prompt, &r.Generate, &r.Seconds, &r.TTFTSeconds, &r.TPOTSeconds, &r.TokensPerSecond, &r.MFU,
			&r.Joules, &r.USDPerMillionTokens, &r.BoundBy, &r.ModelVersion, &r.Runtime, &r.Request); err != nil {
			return nil, explain(s.path, "list rows", err)
		}
		list = append(list, r)
	}
	return list, explain(s.path, "list rows", rows.Err())
}

// Select returns some columns of table runs of the rows that a filter chooses, in the order of
// List. A column that does not exist is ErrInvalid.
func (s *Store) Select(ctx context.Context, columns []string, f Filter) ([]Values, error) {
	part, err := s.part(columns)
	if err != nil {
		return nil, err
	}
	var list []Values
	where, args := f.where()
	err = each(ctx, s.db, len(part.Columns), func(row []any) error {
		list = append(list, part.values(row))
		return nil
	}, "SELECT "+strings.Join(names(part.Columns), ", ")+" FROM runs"+where, args...)
	return list, explain(s.path, "select rows", err)
}

// part is table runs with some of its columns, all if none are named.
func (s *Store) part(columns []string) (*Table, error) {
	runs := table("runs")
	part := Table{Name: "runs"}
	for _, n := range columns {
		i := runs.index(n)
		if i < 0 {
			return nil, &Error{Path: s.path, Kind: ErrInvalid, Text: fmt.Sprintf("table runs has no column %q", n)}
		}
		part.Columns = append(part.Columns, runs.Columns[i])
	}
	if len(columns) == 0 {
		part.Columns = runs.Columns
	}
	return &part, nil
}

// SetMeta notes a fact about the file, such as how long a sweep took. It replaces what was there.
func (s *Store) SetMeta(ctx context.Context, name, value string) error {
	return s.write(ctx, "note "+name, func(tx *sql.Tx) error { return setMeta(ctx, tx, name, value) })
}

func setMeta(ctx context.Context, tx *sql.Tx, name, value string) error {
	_, err := tx.ExecContext(ctx, table("meta").insert()+" ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
	return err
}

// Meta returns the facts about the file.
func (s *Store) Meta(ctx context.Context) (map[string]string, error) {
	facts := map[string]string{}
	err := each(ctx, s.db, 2, func(row []any) error {
		facts[fmt.Sprint(row[0])] = fmt.Sprint(row[1])
		return nil
	}, "SELECT name, value FROM meta")
	return facts, explain(s.path, "read meta", err)
}

// write runs a small transaction.
func (s *Store) write(ctx context.Context, doing string, f func(tx *sql.Tx) error) error {
	if s.readOnly {
		return &Error{Path: s.path, Kind: ErrUnwritable, Text: doing + ": the database was opened for reading only"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return explain(s.path, doing, s.transaction(ctx, f))
}
