package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments/store"
)

// fill sets every field to something that is not zero.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.String:
		v.SetString(fmt.Sprintf("text%d", *n))
	case reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.5)
	case reflect.Bool:
		v.SetBool(true)
	}
}

// scalarsOf lists the scalars of an encoded answer by path. Causes of stalls have a table of their own.
func scalarsOf(path string, v any, found map[string]any) {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			if path == "" && k == "stalls" {
				continue
			}
			scalarsOf(strings.TrimPrefix(path+"."+k, "."), e, found)
		}
	case []any, nil:
	default:
		found[path] = v
	}
}

// Every scalar of an answer has a column, whatever is added to the answer later, and it is that scalar which is put there.
func TestEveryScalarHasAColumn(t *testing.T) {
	var a eval.Answer
	n := 0
	fill(reflect.ValueOf(&a).Elem(), &n)
	text, err := EncodeAnswer(&a)
	if err != nil {
		t.Fatal(err)
	}
	var decoded map[string]any
	if err := json.Unmarshal(text, &decoded); err != nil {
		t.Fatal(err)
	}
	found := map[string]any{}
	scalarsOf("", decoded, found)
	delete(found, "schema") // the same for all
	for path := range found {
		if strings.HasPrefix(path, "sensitivity.") || strings.HasPrefix(path, "interval.") { // how a table was asked for that stored answers do not have
			delete(found, path)
		}
	}
	var columns []string
	for _, c := range store.Tables()[0].Columns {
		columns = append(columns, c.Name)
	}
	for _, s := range scalars {
		want, ok := found[s.path]
		if !ok {
			t.Errorf("the answer has no scalar %s", s.path)
		}
		delete(found, s.path)
		if !slices.Contains(columns, s.column) {
			t.Errorf("table runs has no column %s", s.column)
		}
		if got := fmt.Sprint(s.of(&a)); got != fmt.Sprint(want) {
			t.Errorf("column %s holds %s, the scalar %s is %v", s.column, got, s.path, want)
		}
	}
	for path := range found {
		t.Errorf("the scalar %s has no column: add one to experiments/store and to scalars", path)
	}
}

// point is a small point that runs in milliseconds.
func point(t *testing.T) *Point {
	t.Helper()
	m, err := MachineOf("a100-sxm-80gb", nil)
	if err != nil {
		t.Fatal(err)
	}
	model, err := ModelOf("llama2-7b")
	if err != nil {
		t.Fatal(err)
	}
	p := &Point{Machine: m, Model: model, Options: Options{Phase: "decode", Prompt: 100, TP: 2}}
	p.Defaults()
	return p
}

func database(t *testing.T) *store.Store {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "results.db"), store.Options{ModelVersion: eval.Version, Tool: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// record runs a point and puts it into the database.
func record(t *testing.T, db *store.Store, p *Point) store.Row {
	t.Helper()
	r, err := p.Request()
	if err != nil {
		t.Fatal(err)
	}
	r.Advise = true
	var row store.Row
	res, err := eval.Run(t.Context(), r)
	var unfit *plan.DoesNotFit
	switch {
	case errors.As(err, &unfit):
		row, err = RecordInfeasible(p, &r, unfit, "test")
	case err == nil:
		row, err = Record(p, &r, &res.Answer, "test")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Put(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	return row
}

// A stored row runs again from the database alone to the same answer: of a model, of a trace, of a machine that was
// changed, and one that does not fit.
func TestRerun(t *testing.T) {
	db := database(t)
	points := []*Point{point(t), point(t), point(t), point(t)}
	g, err := points[1].Graph()
	if err != nil {
		t.Fatal(err)
	}
	points[1].Trace, points[1].Model, points[1].TP = g, nil, 1
	if points[2].Machine, err = MachineOf("a100-sxm-80gb", []string{"chip.memory[hbm].bandwidth=3 TB/s"}); err != nil {
		t.Fatal(err)
	}
	points[2].Fidelity = eval.Analytic
	if points[3].Machine, err = MachineOf("a100-sxm-80gb", []string{"chip.memory[hbm].capacity=1 GiB"}); err != nil {
		t.Fatal(err)
	}
	for _, p := range points {
		row := record(t, db, p)
		c, err := Rerun(t.Context(), db, row.Key[:20], nil)
		if err != nil {
			t.Fatal(err)
		}
		if !c.Same() || c.Key != row.Key || c.Arch != "a100-sxm-80gb" {
			t.Errorf("%+v", c)
		}
	}
	if rows, err := db.List(t.Context(), store.Filter{}); err != nil || len(rows) != len(points) {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

// Putting the same point twice changes nothing.
func TestRecordIsIdempotent(t *testing.T) {
	db := database(t)
	first, second := record(t, db, point(t)), record(t, db, point(t))
	if !reflect.DeepEqual(first, second) {
		t.Error("the two rows differ")
	}
	if rows, err := db.List(t.Context(), store.Filter{}); err != nil || len(rows) != 1 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

// An answer that is not what the point gives is found, and where it differs.
func TestRerunFindsDifferences(t *testing.T) {
	db := database(t)
	p := point(t)
	r, err := p.Request()
	if err != nil {
		t.Fatal(err)
	}
	r.Advise = true
	res, err := eval.Run(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	res.Seconds *= 2
	res.Operators = res.Operators[1:]
	row, err := Record(p, &r, &res.Answer, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Put(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	c, err := Rerun(t.Context(), db, row.Key, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(c.Differences, "\n")
	if len(c.Differences) != 2 || !strings.Contains(all, "seconds: ") || !strings.Contains(all, "operators: ") {
		t.Errorf("%q", c.Differences)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Rerun(ctx, db, row.Key, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := Rerun(t.Context(), db, "nosuchkey", nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no such row: %v", err)
	}
}
