package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"iter"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Row is one point with everything that belongs to it: plain data, by the columns of Tables.
type Row struct {
	Key       string
	Values    Values // table runs, without the key
	Operators []Values
	Stalls    []Values
	Memory    []Values
	Energy    []Values
	Inputs    []Input // by hash, each once
	// Brief leaves the answer and the operators out. One of the same key that has them is the same row if all else is.
	Brief bool
}

// Input is a file that is needed to run a row again.
type Input struct {
	Hash    string // hash of the content; "" means its SHA-256
	Kind    string // "machine", "model" or "trace"
	Name    string
	Content []byte // may be left out when the hash is in the file already
}

// children returns the lists of a row with their tables.
func (r *Row) children() []child {
	return []child{
		{table("operators"), &r.Operators},
		{table("stalls"), &r.Stalls},
		{table("memory"), &r.Memory},
		{table("energy"), &r.Energy},
	}
}

type child struct {
	table *Table
	rows  *[]Values
}

// encoded is a row checked and ready to be written.
type encoded struct {
	run      []any
	children [][][]any
	inputs   []Input
	status   string
	version  string
	hash     string // of all that is no label
}

const maxKey = 200

func (s *Store) encode(r *Row) (*encoded, error) {
	bad := func(err error) error {
		return &Error{Path: s.path, Kind: ErrInvalid, Text: fmt.Sprintf("row %q was not put", shorten(r.Key)), Err: err}
	}
	if r.Key == "" || len(r.Key) > maxKey || !utf8.ValidString(r.Key) || strings.ContainsFunc(r.Key, func(c rune) bool { return c <= ' ' }) {
		return nil, bad(fmt.Errorf("a key is 1 to %d characters without spaces", maxKey))
	}
	if k, ok := r.Values["key"]; ok && k != r.Key {
		return nil, bad(errors.New("the values have another key"))
	}
	vs := make(Values, len(r.Values)+1)
	for n, v := range r.Values {
		vs[n] = v
	}
	vs["key"], vs[contentHash] = r.Key, ""
	runs := table("runs")
	var e encoded
	var err error
	if e.run, err = runs.canonical(vs); err != nil {
		return nil, bad(err)
	}
	e.status, _ = vs["status"].(string)
	e.version, _ = vs["model_version"].(string)
	reason, _ := vs["reason"].(string)
	switch {
	case e.status != "ok" && e.status != "infeasible" && e.status != "error":
		return nil, bad(fmt.Errorf("status is %q, not ok, infeasible or error", e.status))
	case e.status != "ok" && reason == "":
		return nil, bad(fmt.Errorf("status is %s, but no reason is given", e.status))
	}
	h, operators := sha256.New(), sha256.New()
	hashRow(h, runs, e.run)
	for _, c := range r.children() {
		if r.Brief && c.table.Name == "operators" {
			e.children = append(e.children, nil)
			continue
		}
		rows := make([][]any, len(*c.rows))
		into := h
		if c.table.Name == "operators" {
			into = operators
		}
		for i, vs := range *c.rows {
			if rows[i], err = c.table.canonical(vs); err != nil {
				return nil, bad(fmt.Errorf("%s, entry %d: %w", c.table.Name, i+1, err))
			}
			hashRow(into, c.table, rows[i])
		}
		e.children = append(e.children, rows)
	}
	e.hash = hex.EncodeToString(h.Sum(nil))
	if !r.Brief {
		e.hash += ":" + hex.EncodeToString(operators.Sum(nil))
	} else {
		e.run[runs.index("answer")] = nil
	}
	e.run[runs.index(contentHash)] = e.hash
	seen := map[string]bool{}
	for _, in := range r.Inputs {
		if in.Hash == "" {
			sum := sha256.Sum256(in.Content)
			in.Hash = hex.EncodeToString(sum[:])
		}
		if in.Kind == "" || !utf8.ValidString(in.Kind) || !utf8.ValidString(in.Name) || !utf8.ValidString(in.Hash) {
			return nil, bad(fmt.Errorf("input %q has no kind, or text that is not UTF-8", in.Name))
		}
		if !seen[in.Hash] {
			seen[in.Hash] = true
			e.inputs = append(e.inputs, in)
		}
	}
	return &e, nil
}

// sameAnswer compares hashes of two rows: of all but the operators, and of these where both rows have them.
func sameAnswer(a, b string) bool {
	x, xs, _ := strings.Cut(a, ":")
	y, ys, _ := strings.Cut(b, ":")
	return x == y && (xs == "" || ys == "" || xs == ys)
}

// otherAnswer is the condition, in SQL, that two hashes are not of the same answer: what sameAnswer denies.
func otherAnswer(a, b string) string {
	return strings.NewReplacer("$a", a, "$b", b).Replace("(substr($a, 1, 64) <> substr($b, 1, 64) OR length($a) > 64 AND length($b) > 64 AND $a <> $b)")
}

// hashRow adds a row to a hash: names, types and exact values, without labels.
func hashRow(h hash.Hash, t *Table, row []any) {
	var b []byte
	field := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	field(t.Name)
	for i, v := range row {
		c := &t.Columns[i]
		if v == nil || c.Label {
			continue
		}
		field(c.Name)
		switch x := v.(type) {
		case string:
			b = append(b, 's')
			field(x)
		case int64:
			b = append(b, 'i')
			b = binary.BigEndian.AppendUint64(b, uint64(x))
		case float64:
			b = append(b, 'f')
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(x))
		case bool:
			b = append(b, 'b')
			if x {
				b = append(b, 1)
			} else {
				b = append(b, 0)
			}
		}
	}
	b = append(b, 0)
	h.Write(b)
}

// Put adds a row in one transaction. A row that is there already, with the same answer, is left
// alone, and so is an answer when the new row is only an error. The same key with another answer
// from the same version of the models is ErrConflict. A row with status error, or of another
// version of the models, is replaced. A row that breaks the rules of its columns is ErrInvalid.
// After any error nothing of the row is in the file.
func (s *Store) Put(ctx context.Context, r Row) error {
	return s.PutAll(ctx, []Row{r})
}

// PutAll is Put for several rows in one transaction, which is several times faster: either all
// of them are in the file afterwards or, on an error, none.
func (s *Store) PutAll(ctx context.Context, rows []Row) error {
	return s.PutPoints(ctx, rows, nil)
}

// PutPoints is PutAll with points of sweeps, in the same transaction. A point that is there already is replaced.
func (s *Store) PutPoints(ctx context.Context, rows []Row, points []Point) error {
	if len(rows) == 0 && len(points) == 0 {
		return nil
	}
	doing := fmt.Sprintf("put %d points", len(points))
	switch {
	case len(rows) > 1:
		doing = fmt.Sprintf("put %d rows", len(rows))
	case len(rows) == 1:
		doing = "put row " + shorten(rows[0].Key)
	}
	if s.readOnly {
		return &Error{Path: s.path, Kind: ErrUnwritable, Text: doing + ": the database was opened for reading only"}
	}
	es := make([]*encoded, len(rows))
	for i := range rows {
		var err error
		if es[i], err = s.encode(&rows[i]); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := map[string]int{}
	err := s.transaction(ctx, func(tx *sql.Tx) error {
		// In the order of their keys, rows that are neighbours in the file are written together.
		for _, i := range slices.SortedStableFunc(indices(len(rows)), func(a, b int) int { return strings.Compare(rows[a].Key, rows[b].Key) }) {
			if err := s.put(ctx, tx, &rows[i], es[i], stored); err != nil {
				return err
			}
		}
		for i := range points {
			if err := s.putPoint(ctx, tx, &points[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return explain(s.path, doing, err)
	}
	s.prepareWanted(ctx)
	for h, n := range stored {
		s.inputs[h] = n
	}
	return nil
}

// indices are 0 to n − 1.
func indices(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func (s *Store) put(ctx context.Context, tx *sql.Tx, r *Row, e *encoded, stored map[string]int) error {
	var status, version, hash string
	switch err := s.stmt(ctx, tx, lookup).QueryRowContext(ctx, r.Key).Scan(&status, &version, &hash); {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	default:
		if version == e.version && status != "error" {
			if sameAnswer(hash, e.hash) || e.status == "error" {
				return nil
			}
			return s.conflict(ctx, tx, r) // unless only what a hash is made of is another now
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM runs WHERE key = ?", r.Key); err != nil {
			return err
		}
	}
	if err := s.insertRun(ctx, tx, e.run); err != nil {
		return err
	}
	for i, c := range r.children() {
		if err := s.insertChildren(ctx, tx, c.table, r.Key, e.children[i]); err != nil {
			return err
		}
	}
	for _, in := range e.inputs {
		if err := s.putInput(ctx, tx, in, stored); err != nil {
			return err
		}
		if _, err := s.stmt(ctx, tx, table("run_inputs").insert()).ExecContext(ctx, r.Key, in.Hash); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) putInput(ctx context.Context, tx *sql.Tx, in Input, stored map[string]int) error {
	for _, known := range []map[string]int{s.inputs, stored} {
		if n, ok := known[in.Hash]; ok && (n == len(in.Content) || len(in.Content) == 0) {
			return nil
		}
	}
	var have []byte
	err := tx.QueryRowContext(ctx, "SELECT content FROM inputs WHERE hash = ?", in.Hash).Scan(&have)
	switch {
	case err == nil:
		if len(in.Content) > 0 && string(have) != string(in.Content) {
			return &Error{Path: s.path, Kind: ErrConflict,
				Text: fmt.Sprintf("input %s %q: the file has other content under the same hash %s", in.Kind, in.Name, shorten(in.Hash))}
		}
		stored[in.Hash] = len(have)
		return nil
	case !errors.Is(err, sql.ErrNoRows):
		return err
	case len(in.Content) == 0:
		return &Error{Path: s.path, Kind: ErrInvalid, Text: fmt.Sprintf("input %s %q has no content, and the file does not have it", in.Kind, in.Name)}
	}
	if _, err := tx.ExecContext(ctx, table("inputs").insert(), in.Hash, in.Kind, in.Name, in.Content); err != nil {
		return err
	}
	stored[in.Hash] = len(in.Content)
	return nil
}

// conflict says in what a row differs from the one in the file.
func (s *Store) conflict(ctx context.Context, tx *sql.Tx, r *Row) error {
	old, err := s.read(ctx, tx, r.Key)
	if err != nil {
		return err
	}
	diffs := differences(&old, r)
	if len(diffs) == 0 {
		return nil
	}
	return &Error{
		Path: s.path, Kind: ErrConflict,
		Text: fmt.Sprintf("determinism alarm: row %s of the same version of the models has another answer in the file: %s", shorten(r.Key), strings.Join(diffs, "; ")),
		Hint: "one of the two is wrong: run the point again, and if the answers still differ report it with both files",
	}
}

// differences lists in what two rows differ, labels aside: the new value instead of the old one.
func differences(old, now *Row) []string {
	var diffs []string
	compare := func(what string, t *Table, a, b Values) {
		for _, c := range t.Columns {
			x, _ := c.canonical(a[c.Name])
			y, _ := c.canonical(b[c.Name])
			if x != y && !c.Label && c.Name != "key" {
				diffs = append(diffs, what+c.Name+brief(x, y))
			}
		}
	}
	compare("", table("runs"), old.Values, now.Values)
	news := now.children()
	for i, c := range old.children() {
		a, b := *c.rows, *news[i].rows
		if c.table.Name == "operators" && (len(a) == 0 || len(b) == 0 && now.Brief) {
			continue
		}
		if len(a) != len(b) {
			diffs = append(diffs, fmt.Sprintf("%d instead of %d %s", len(b), len(a), c.table.Name))
			continue
		}
		for k := range a {
			compare(fmt.Sprintf("%s[%d].", c.table.Name, k), c.table, a[k], b[k])
		}
	}
	const most = 5
	if len(diffs) > most {
		diffs = append(diffs[:most], fmt.Sprintf("and %d more", len(diffs)-most))
	}
	return diffs
}

// brief shows two short values.
func brief(old, now any) string {
	show := func(v any) string {
		if v == nil {
			return "nothing"
		}
		return fmt.Sprint(v)
	}
	if a, b := show(old), show(now); len(a) <= 40 && len(b) <= 40 {
		return fmt.Sprintf(" %s instead of %s", b, a)
	}
	return ""
}

// lookup finds what decides about a row with the same key.
const lookup = "SELECT status, model_version, content_hash FROM runs WHERE key = ?"

// prepare prepares the statements that each Put needs.
func (s *Store) prepare(ctx context.Context) error {
	queries := []string{lookup, replacePoint}
	for _, t := range tables {
		queries = append(queries, t.insert())
	}
	for _, q := range queries {
		st, err := s.db.PrepareContext(ctx, q)
		if err != nil {
			return err
		}
		s.stmts[q] = st
	}
	return nil
}

func (s *Store) stmt(ctx context.Context, tx *sql.Tx, query string) *sql.Stmt {
	return tx.StmtContext(ctx, s.stmts[query])
}

// insertRun adds a row of table runs. Only columns with a value are bound: most have none, and each takes a call into C.
func (s *Store) insertRun(ctx context.Context, tx *sql.Tx, row []any) error {
	t := table("runs")
	given := make([]byte, len(row))
	args := make([]any, 0, len(row))
	for i, v := range row {
		if v != nil {
			given[i] = 1
			args = append(args, v)
		}
	}
	query, known := s.shapes[string(given)]
	if !known {
		var columns []string
		for i, c := range t.Columns {
			if given[i] > 0 {
				columns = append(columns, c.Name)
			}
		}
		query = fmt.Sprintf("INSERT INTO runs (%s) VALUES (?%s)", strings.Join(columns, ", "), strings.Repeat(", ?", len(columns)-1))
		if len(s.shapes) >= mostShapes {
			_, err := tx.ExecContext(ctx, query, args...) // rows of ever new shapes: no sweep's
			return err
		}
		s.shapes[string(given)] = query
	}
	return s.prepared(ctx, tx, query, args)
}

// mostShapes bounds the statements that are kept for rows with some columns or others.
const mostShapes = 64

// childrenAtOnce is how many rows of a list go into one statement.
const childrenAtOnce = 8

// insertChildren adds the lists of a row.
func (s *Store) insertChildren(ctx context.Context, tx *sql.Tx, t *Table, key string, rows [][]any) error {
	for n := 0; n < len(rows); n += childrenAtOnce {
		part := rows[n:min(n+childrenAtOnce, len(rows))]
		var args []any
		for k, row := range part {
			args = append(append(args, key, int64(n+k)), row...)
		}
		query := t.insert()
		one := query[strings.LastIndex(query, "("):]
		query += strings.Repeat(", "+one, len(part)-1)
		if err := s.prepared(ctx, tx, query, args); err != nil {
			return err
		}
	}
	return nil
}

// prepared runs a statement that is likely to be run again.
func (s *Store) prepared(ctx context.Context, tx *sql.Tx, query string, args []any) error {
	st := s.stmts[query]
	if st == nil {
		var err error
		if st, err = tx.PrepareContext(ctx, query); err != nil {
			return err
		}
		defer st.Close()
		if s.wanted == nil {
			s.wanted = map[string]bool{}
		}
		s.wanted[query] = true // prepared for all transactions after this one, which holds the connection
		_, err = st.ExecContext(ctx, args...)
		return err
	}
	_, err := tx.StmtContext(ctx, st).ExecContext(ctx, args...)
	return err
}

// prepareWanted prepares the statements that the last transaction used for the first time.
func (s *Store) prepareWanted(ctx context.Context) {
	for query := range s.wanted {
		if st, err := s.db.PrepareContext(ctx, query); err == nil { // without it they are prepared again
			s.stmts[query] = st
		}
	}
	clear(s.wanted)
}
