package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Sweep is a sweep or a search that was run into the file.
type Sweep struct {
	Name, Spec string
	Kind       string // "sweep" or "search"
	SpecHash   string // of what decides about its points
	Count      int64  // of its points, 0 where that is not known beforehand
}

// Point is what one point of a sweep came to.
type Point struct {
	Sweep  string
	Index  int64
	Key    string // of its row, "" where nothing was run
	Status string
	Reason string // "" only for ok
	// Parameters are its values on the axes, a JSON object.
	Parameters string
	Generation *int64
	Violation  *float64
	// Figures are those columns of table points that hold numbers of its result, by name; nil for none.
	Figures map[string]float64
	// Columns are figures that the sweep file defines, a JSON object, "" for none.
	Columns string
}

// PointFigures are the names of Point.Figures.
func PointFigures() []string {
	return []string{"area_mm2", "chip_usd", "tco_usd_per_hour", "tco_usd_per_million_tokens", "model_parameters", "active_parameters", "parameter_bytes", "loss_proxy", "loss_extrapolated"}
}

// PutSweep notes a sweep. One of that name with other points is ErrTaken; the text of its file may change.
func (s *Store) PutSweep(ctx context.Context, w Sweep) error {
	return s.write(ctx, "note sweep "+w.Name, func(tx *sql.Tx) error {
		var hash sql.NullString
		switch err := tx.QueryRowContext(ctx, "SELECT spec_hash FROM sweeps WHERE name = ?", w.Name).Scan(&hash); {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		case hash.String != w.SpecHash:
			return &Error{Path: s.path, Kind: ErrTaken, Text: fmt.Sprintf("there is a sweep %q with other points", w.Name),
				Hint: "give the changed one another name, or a database of its own: the rows that both have are run once all the same"}
		}
		count := any(w.Count)
		if w.Count == 0 {
			count = nil
		}
		_, err := tx.ExecContext(ctx, table("sweeps").insert()+" ON CONFLICT (name) DO UPDATE SET spec = excluded.spec", w.Name, w.Spec, "", w.Kind, w.SpecHash, count)
		return err
	})
}

// Sweeps returns the sweeps by name.
func (s *Store) Sweeps(ctx context.Context) ([]Sweep, error) {
	var list []Sweep
	err := each(ctx, s.db, 5, func(row []any) error {
		w := Sweep{Name: text(row[0]), Spec: text(row[1]), Kind: text(row[2]), SpecHash: text(row[3])}
		w.Count, _ = row[4].(int64)
		list = append(list, w)
		return nil
	}, "SELECT name, spec, coalesce(kind, ''), coalesce(spec_hash, ''), count FROM sweeps ORDER BY name")
	return list, explain(s.path, "list sweeps", err)
}

func (s *Store) putPoint(ctx context.Context, tx *sql.Tx, p *Point) error {
	null := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	t := table("points")
	vs := Values{"sweep": p.Sweep, "point": p.Index, "key": null(p.Key), "status": p.Status, "reason": null(p.Reason), "parameters": p.Parameters}
	if p.Generation != nil {
		vs["generation"] = *p.Generation
	}
	if p.Violation != nil {
		vs["violation"] = *p.Violation
	}
	for name, v := range p.Figures {
		vs[name] = v
	}
	if p.Columns != "" {
		vs["columns"] = p.Columns
	}
	row, err := t.canonical(vs)
	if err == nil && (p.Status == "ok") != (p.Reason == "") {
		err = fmt.Errorf("status %s with reason %q", p.Status, p.Reason)
	}
	if err != nil {
		return &Error{Path: s.path, Kind: ErrInvalid, Text: fmt.Sprintf("point %d of sweep %q was not put", p.Index, p.Sweep), Err: err}
	}
	_, err = s.stmt(ctx, tx, replacePoint).ExecContext(ctx, row...)
	return err
}

var replacePoint = "REPLACE" + table("points").insert()[len("INSERT"):]

// Points calls f with every point of a sweep in their order, until it returns an error, which is returned.
func (s *Store) Points(ctx context.Context, sweep string, f func(p Point) error) error {
	var failed error
	figures := PointFigures()
	err := each(ctx, s.db, 8+len(figures), func(row []any) error {
		p := Point{Sweep: sweep, Key: text(row[1]), Status: text(row[2]), Reason: text(row[3]), Parameters: text(row[4])}
		p.Index, _ = row[0].(int64)
		if n, ok := row[5].(int64); ok {
			p.Generation = &n
		}
		if v, ok := row[6].(float64); ok {
			p.Violation = &v
		}
		p.Columns = text(row[7])
		for i, name := range figures {
			if v, ok := row[8+i].(float64); ok {
				if p.Figures == nil {
					p.Figures = map[string]float64{}
				}
				p.Figures[name] = v
			}
		}
		failed = f(p)
		return failed
	}, "SELECT point, coalesce(key, ''), status, coalesce(reason, ''), parameters, generation, violation, coalesce(columns, ''), "+strings.Join(figures, ", ")+" FROM points WHERE sweep = ? ORDER BY point", sweep)
	if failed != nil {
		return failed
	}
	return explain(s.path, "list points of "+sweep, err)
}

// Own returns the figures that the sweep file defines, by name.
func (p *Point) Own() (map[string]float64, error) {
	if p.Columns == "" {
		return nil, nil
	}
	var own map[string]float64
	if err := json.Unmarshal([]byte(p.Columns), &own); err != nil {
		return nil, fmt.Errorf("columns of point %d of %q: %w", p.Index, p.Sweep, err)
	}
	return own, nil
}

// Columns returns some columns of the row with that key; a column that does not exist is ErrInvalid, and so is a missing row ErrNotFound.
func (s *Store) Columns(ctx context.Context, key string, columns []string) (Values, error) {
	part, err := s.part(columns)
	if err != nil {
		return nil, err
	}
	var values Values
	err = each(ctx, s.db, len(part.Columns), func(row []any) error {
		values = part.values(row)
		return nil
	}, "SELECT "+strings.Join(names(part.Columns), ", ")+" FROM runs WHERE key = ?", key)
	if err == nil && values == nil {
		return nil, &Error{Path: s.path, Kind: ErrNotFound, Text: "no row has the key " + shorten(key)}
	}
	return values, explain(s.path, "read row "+shorten(key), err)
}

// Answered is what of a row decides whether a point has to be run again.
type Answered struct {
	Status, Reason, ModelVersion string
}

// Answered returns what is known of a row by its full key, nil if there is none.
func (s *Store) Answered(ctx context.Context, key string) (*Answered, error) {
	var a Answered
	err := s.db.QueryRowContext(ctx, "SELECT status, coalesce(reason, ''), model_version FROM runs WHERE key = ?", key).Scan(&a.Status, &a.Reason, &a.ModelVersion)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(s.path, "look up row "+shorten(key), err)
	}
	return &a, nil
}

// text is a value that was read as a text.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// HasRows reports whether there is any row.
func (s *Store) HasRows(ctx context.Context) (bool, error) {
	var n int
	err := s.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM runs)").Scan(&n)
	return n > 0, explain(s.path, "look for rows", err)
}
