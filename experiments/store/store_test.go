package store

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var ctx = context.Background()

func newStore(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "results.db"), Options{ModelVersion: "1", Tool: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// sample is a row such as a run makes.
func sample(key string) Row {
	r := Row{
		Key: key,
		Values: Values{
			"status": "ok", "model_version": "1", "created_by": "strata test", "arch": "a100-sxm-80gb", "model": "gpt3-175b",
			"phase": "generate", "fidelity": "event", "parallel": "tp8", "tp": int64(8), "sp": false, "batch": int64(1),
			"prompt": int64(512), "generate": int64(128), "dtype": "bf16", "arch_hash": "a1", "graph_hash": "b2",
			"request": `{"arch":"a100-sxm-80gb"}`, "answer": `{"schema":"strata.run/1"}`,
			"seconds": 1.5, "ttft_seconds": 0.1, "tokens_per_second": 85.25, "mfu": 0.31, "joules": 1234.5, "events": int64(1e6),
		},
		Stalls: []Values{{"cause": "compute", "seconds": 0.5}, {"cause": "hbm", "seconds": 1.0}},
		Memory: []Values{{"tier": "hbm", "capacity_bytes": int64(80 << 30), "peak_bytes": int64(50 << 30)}},
		Energy: []Values{{"component": "hbm", "joules": 234.5}, {"component": "compute", "joules": 1000.0}},
		Inputs: []Input{{Hash: "a1", Kind: "arch", Name: "a100", Content: []byte("name: a100\n")}},
	}
	for i := range 12 {
		r.Operators = append(r.Operators, Values{"name": fmt.Sprintf("layer.op%d", i), "kind": "gemm", "calls": int64(96),
			"seconds": float64(i) / 8, "bound_by": "hbm", "hbm_bytes": int64(i) << 20, "stall_hbm_seconds": float64(i) / 8})
	}
	return r
}

func with(r Row, column string, v any) Row {
	r.Values = maps.Clone(r.Values)
	r.Values[column] = v
	return r
}

// counts returns the number of rows of every table that belongs to runs.
func counts(t testing.TB, s *Store) map[string]int {
	t.Helper()
	n := map[string]int{}
	for _, table := range []string{"runs", "operators", "stalls", "memory", "energy", "inputs", "run_inputs"} {
		var c int
		if err := s.db.QueryRow("SELECT count(*) FROM " + table).Scan(&c); err != nil {
			t.Fatal(err)
		}
		n[table] = c
	}
	return n
}

// drawValues draws any values that a table can keep.
func drawValues(t *rapid.T, table *Table) Values {
	vs := Values{}
	for _, c := range table.Columns {
		if c.Name == "key" || c.Name == contentHash || c.Name == "status" || (!c.Required && rapid.IntRange(0, 3).Draw(t, "leave out") == 0) {
			continue
		}
		switch c.Type {
		case Text:
			vs[c.Name] = rapid.String().Draw(t, c.Name)
		case JSON:
			vs[c.Name] = fmt.Sprintf(`{"n":%d}`, rapid.Int().Draw(t, c.Name))
		case Integer:
			vs[c.Name] = rapid.Int64().Draw(t, c.Name)
		case Bool:
			vs[c.Name] = rapid.Bool().Draw(t, c.Name)
		case Real:
			x := rapid.Float64().Filter(func(x float64) bool { return !math.IsInf(x, 0) && !math.IsNaN(x) }).Draw(t, c.Name)
			vs[c.Name] = x + 0 // no negative zero
		}
	}
	return vs
}

// What is put comes back, bit by bit.
func TestRoundTrip(t *testing.T) {
	s := newStore(t)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		r := Row{Key: fmt.Sprintf("key%06d", n), Values: drawValues(t, table("runs"))}
		r.Values["status"] = "ok"
		for _, c := range r.children() {
			for range rapid.IntRange(0, 3).Draw(t, c.table.Name) {
				*c.rows = append(*c.rows, drawValues(t, c.table))
			}
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "inputs") {
			r.Inputs = append(r.Inputs, Input{
				Hash: fmt.Sprintf("%s-%d", r.Key, i), Kind: "trace", Name: rapid.String().Draw(t, "name"),
				Content: rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "content"),
			})
		}
		for range 2 { // the second time changes nothing
			if err := s.Put(ctx, r); err != nil {
				t.Fatal(err)
			}
			got, err := s.Get(ctx, r.Key)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, r) {
				t.Fatalf("got  %+v\nwant %+v", got, r)
			}
		}
		// What was read can be put.
		got, _ := s.Get(ctx, r.Key)
		if err := s.Put(ctx, got); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPutAgain(t *testing.T) {
	ok := sample("k1")
	failed := with(with(ok, "status", "error"), "reason", "interrupted")
	infeasible := with(with(ok, "status", "infeasible"), "reason", "weights do not fit")
	fewer := ok
	fewer.Operators = ok.Operators[:3]
	moved := ok
	moved.Stalls = []Values{{"cause": "compute", "seconds": 0.25}, {"cause": "hbm", "seconds": 1.25}}
	tests := []struct {
		name       string
		first, now Row
		kind       error  // of the second Put
		want       Row    // in the file afterwards
		text       string // in the error
	}{
		{"same", ok, ok, nil, ok, ""},
		{"int for int64", ok, with(ok, "tp", 8), nil, ok, ""},
		{"another label", ok, with(with(ok, "created_by", "other build"), "request", `{"arch":"./a100.yaml"}`), nil, ok, ""},
		{"another number", ok, with(ok, "seconds", math.Nextafter(1.5, 2)), ErrConflict, ok, "seconds 1.5000000000000002 instead of 1.5"},
		{"a number less", ok, with(ok, "mfu", nil), ErrConflict, ok, "mfu nothing instead of 0.31"},
		{"another answer text", ok, with(ok, "answer", `{}`), nil, ok, ""},
		{"other stalls", ok, moved, ErrConflict, ok, "stalls[0].seconds 0.25 instead of 0.5"},
		{"fewer operators", ok, fewer, ErrConflict, ok, "3 instead of 12 operators"},
		{"ok then infeasible", ok, infeasible, ErrConflict, ok, "status infeasible instead of ok"},
		{"ok then error", ok, failed, nil, ok, ""},
		{"error then ok", failed, ok, nil, ok, ""},
		{"error then other error", failed, with(failed, "reason", "out of memory"), nil, with(failed, "reason", "out of memory"), ""},
		{"infeasible twice", infeasible, infeasible, nil, infeasible, ""},
		{"other version", ok, with(with(fewer, "seconds", 2.0), "model_version", "2"), nil, with(with(fewer, "seconds", 2.0), "model_version", "2"), ""},
		{"other version, error", ok, with(failed, "model_version", "2"), nil, with(failed, "model_version", "2"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStore(t)
			if err := s.Put(ctx, tt.first); err != nil {
				t.Fatal(err)
			}
			err := s.Put(ctx, tt.now)
			if !errors.Is(err, tt.kind) || (tt.kind == nil) != (err == nil) {
				t.Fatalf("second Put: %v, want %v", err, tt.kind)
			}
			if tt.kind != nil && (!strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), "determinism alarm") || !strings.Contains(err.Error(), s.Path())) {
				t.Errorf("error %q lacks %q, the words determinism alarm, or the file", err, tt.text)
			}
			got, err := s.Get(ctx, "k1")
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%v\ngot  %+v\nwant %+v", err, got, tt.want)
			}
			n := counts(t, s)
			if n["runs"] != 1 || n["operators"] != len(tt.want.Operators) || n["stalls"] != 2 || n["energy"] != 2 || n["memory"] != 1 {
				t.Errorf("counts %v", n)
			}
		})
	}
}

func TestInvalidRows(t *testing.T) {
	badChild := sample("k")
	badChild.Energy = []Values{{"component": "hbm", "joules": 1.0}, {"component": "x"}}
	noContent := sample("k")
	noContent.Inputs = []Input{{Hash: "zz", Kind: "trace", Name: "t.jsonl"}}
	noKind := sample("k")
	noKind.Inputs = []Input{{Name: "t.jsonl", Content: []byte("x")}}
	tests := []struct {
		name string
		row  Row
		text string
	}{
		{"no key", sample(""), "a key is 1 to 200 characters"},
		{"space in key", sample("a b"), "without spaces"},
		{"long key", sample(strings.Repeat("x", 201)), "1 to 200 characters"},
		{"other key", with(sample("k"), "key", "l"), "another key"},
		{"no status", with(sample("k"), "status", nil), "status is missing"},
		{"unknown status", with(sample("k"), "status", "fine"), `status is "fine"`},
		{"no reason", with(sample("k"), "status", "infeasible"), "no reason"},
		{"no version", with(sample("k"), "model_version", nil), "model_version is missing"},
		{"unknown column", with(sample("k"), "second", 1.0), `table runs has no column "second"`},
		{"NaN", with(sample("k"), "seconds", math.NaN()), "seconds is NaN"},
		{"infinite", with(sample("k"), "seconds", math.Inf(-1)), "seconds is -Inf"},
		{"text for number", with(sample("k"), "seconds", "1"), "seconds takes a value of type real, not string"},
		{"float for integer", with(sample("k"), "tp", 8.0), "tp takes a value of type integer, not float64"},
		{"integer beyond float", with(sample("k"), "seconds", int64(1<<53+1)), "seconds takes a value of type real"},
		{"no JSON", with(sample("k"), "answer", "{"), "answer is not valid JSON"},
		{"not UTF-8", with(sample("k"), "arch", "\xff"), "arch is not valid UTF-8"},
		{"entry of a list", badChild, "energy, entry 2: joules is missing"},
		{"input without content", noContent, `input trace "t.jsonl" has no content`},
		{"input without kind", noKind, "has no kind"},
	}
	s := newStore(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := s.PutAll(ctx, []Row{sample("fine"), tt.row})
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want ErrInvalid with %q", err, tt.text)
			}
			for table, n := range counts(t, s) {
				if n != 0 {
					t.Errorf("%d rows in %s after an error", n, table)
				}
			}
		})
	}
}

func TestInputs(t *testing.T) {
	s := newStore(t)
	content := []byte("name: x\n")
	a, b, c := sample("a"), sample("b"), sample("c")
	in := Input{Kind: "arch", Name: "x.yaml", Content: content} // SHA-256, as of: printf 'name: x\n' | sha256sum
	const hash = "a2a79ea37edb1963efaae29281523ab441a8a99df048d204f22f3f413e325afc"
	a.Inputs = []Input{in, in}
	if err := s.Put(ctx, a); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(ctx, "a")
	if err != nil || len(got.Inputs) != 1 || string(got.Inputs[0].Content) != string(content) {
		t.Fatalf("%v, inputs %+v", err, got.Inputs)
	}
	if got.Inputs[0].Hash != hash {
		t.Errorf("hash %s, want %s", got.Inputs[0].Hash, hash)
	}
	if one, err := s.Input(ctx, hash); err != nil || !reflect.DeepEqual(one, got.Inputs[0]) {
		t.Errorf("%+v, %v, want %+v", one, err, got.Inputs[0])
	}
	if _, err := s.Input(ctx, "a62e"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an input that is not there: %v", err)
	}
	b.Inputs = []Input{{Hash: got.Inputs[0].Hash, Kind: "arch"}} // the file has the content
	if err := s.Put(ctx, b); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(ctx, "b"); err != nil || len(got.Inputs) != 1 || got.Inputs[0].Name != "x.yaml" {
		t.Errorf("%v, inputs %+v", err, got.Inputs)
	}
	c.Inputs = []Input{{Hash: got.Inputs[0].Hash, Kind: "arch", Content: []byte("name: y\n\n")}}
	if err := s.Put(ctx, c); !errors.Is(err, ErrConflict) {
		t.Errorf("other content under the same hash: %v", err)
	}
	if n := counts(t, s); n["inputs"] != 1 || n["run_inputs"] != 2 || n["runs"] != 2 {
		t.Errorf("counts %v", n)
	}
}

func TestPrefixes(t *testing.T) {
	s := newStore(t)
	for _, k := range []string{"ab12", "ab13", "abc", "abcd", "b_1", "b%2", "ü1", "c1", "c2", "c3", "c4", "c5", "c6"} {
		if err := s.Put(ctx, sample(k)); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		prefix, key string
		kind        error
		text        string
	}{
		{"ab12", "ab12", nil, ""},
		{"abc", "abc", nil, ""}, // a key, although another one begins with it
		{"abcd", "abcd", nil, ""},
		{"b_", "b_1", nil, ""}, // no wildcards
		{"b%", "b%2", nil, ""},
		{"ü", "ü1", nil, ""},
		{"ab1", "", ErrAmbiguous, "ab12, ab13 (give more"},
		{"c", "", ErrAmbiguous, "c1, c2, c3, c4, ..."},
		{"x", "", ErrNotFound, `"x"`},
		{"AB12", "", ErrNotFound, "AB12"},
		{"", "", ErrNotFound, "no key"},
	}
	for _, tt := range tests {
		r, err := s.Get(ctx, tt.prefix)
		if tt.kind == nil {
			if err != nil || r.Key != tt.key {
				t.Errorf("%q: %q, %v, want %q", tt.prefix, r.Key, err, tt.key)
			}
		} else if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%q: %v, want %v with %q", tt.prefix, err, tt.kind, tt.text)
		}
	}
}

func TestListAndSelect(t *testing.T) {
	s := newStore(t)
	rows := []Row{
		with(sample("z"), "batch", int64(2)),
		with(sample("y"), "batch", int64(16)),
		with(with(sample("x"), "arch", "tpu-v4"), "seconds", 3.0),
		with(with(with(sample("w"), "status", "infeasible"), "reason", "does not fit"), "seconds", nil),
	}
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}} {
		s := newStore(t)
		for _, i := range order {
			if err := s.Put(ctx, rows[i]); err != nil {
				t.Fatal(err)
			}
		}
		list, err := s.List(ctx, Filter{})
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, l := range list {
			keys = append(keys, l.Key)
		}
		if want := []string{"w", "z", "y", "x"}; !slices.Equal(keys, want) {
			t.Errorf("put in order %v: listed as %v, want %v", order, keys, want)
		}
	}
	if err := s.PutAll(ctx, rows); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		f    Filter
		want []string
	}{
		{Filter{Arch: "tpu-v4"}, []string{"x"}},
		{Filter{Status: "ok", Limit: 2}, []string{"z", "y"}},
		{Filter{Arch: "a100-sxm-80gb", Model: "gpt3-175b", Phase: "generate", Fidelity: "event", Status: "infeasible"}, []string{"w"}},
		{Filter{Model: "nothing"}, nil},
	} {
		list, err := s.List(ctx, tt.f)
		var keys []string
		for _, l := range list {
			keys = append(keys, l.Key)
		}
		if err != nil || !slices.Equal(keys, tt.want) {
			t.Errorf("%+v: %v, %v, want %v", tt.f, keys, err, tt.want)
		}
	}
	list, _ := s.List(ctx, Filter{Arch: "tpu-v4"})
	want := Summary{Key: "x", Status: "ok", Arch: "tpu-v4", Model: "gpt3-175b", Phase: "generate", Fidelity: "event", Parallel: "tp8", DType: "bf16",
		Batch: 1, Prompt: 512, Generate: 128, Seconds: 3, TTFTSeconds: 0.1, TokensPerSecond: 85.25, MFU: 0.31, Joules: 1234.5, ModelVersion: "1", Request: `{"arch":"a100-sxm-80gb"}`}
	if len(list) != 1 || list[0] != want {
		t.Errorf("summary %+v, want %+v", list, want)
	}
	vs, err := s.Select(ctx, []string{"key", "sp", "seconds"}, Filter{Status: "ok"})
	if want := []Values{{"key": "z", "sp": false, "seconds": 1.5}, {"key": "y", "sp": false, "seconds": 1.5}, {"key": "x", "sp": false, "seconds": 3.0}}; err != nil || !reflect.DeepEqual(vs, want) {
		t.Errorf("%v, %v, want %v", vs, err, want)
	}
	if vs, err := s.Select(ctx, nil, Filter{}); err != nil || len(vs) != 4 || vs[0]["reason"] != "does not fit" {
		t.Errorf("all columns: %v, %v", vs, err)
	}
	if _, err := s.Select(ctx, []string{"key; DROP TABLE runs"}, Filter{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a column that does not exist: %v", err)
	}
}

func TestSweepsAndMeta(t *testing.T) {
	s := newStore(t)
	for _, w := range []Sweep{{"hbm", "a", "sweep", "1", 4}, {"ddr", "x", "search", "2", 0}, {"hbm", "b", "sweep", "1", 4}} {
		if err := s.PutSweep(ctx, w); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutSweep(ctx, Sweep{"hbm", "c", "sweep", "3", 5}); !errors.Is(err, ErrTaken) {
		t.Errorf("other points under the same name: %v", err)
	}
	got, err := s.Sweeps(ctx)
	if want := []Sweep{{"ddr", "x", "search", "2", 0}, {"hbm", "b", "sweep", "1", 4}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	g, v := int64(3), 0.5
	row := sample("k")
	row.Brief, row.Operators = true, nil
	delete(row.Values, "answer")
	for _, status := range []string{"timeout", "rejected"} { // the second takes the place of the first
		points := []Point{{Sweep: "hbm", Index: 1, Key: "k", Status: "ok", Parameters: `{"bw":1}`, Figures: map[string]float64{"area_mm2": 826}, Columns: `{"edp":2}`}, {Sweep: "hbm", Status: status, Reason: "too slow", Parameters: `{}`, Generation: &g, Violation: &v}}
		if err := s.PutPoints(ctx, []Row{row}, points); err != nil {
			t.Fatal(err)
		}
	}
	var list []string
	if err := s.Points(ctx, "hbm", func(p Point) error {
		list = append(list, fmt.Sprintf("%d %s %s %s %s %t %t %v %s", p.Index, p.Key, p.Status, p.Reason, p.Parameters, p.Generation != nil, p.Violation != nil, p.Figures, p.Columns))
		return nil
	}); err != nil || !slices.Equal(list, []string{"0  rejected too slow {} true true map[] ", `1 k ok  {"bw":1} false false map[area_mm2:826] {"edp":2}`}) {
		t.Errorf("%q, %v", list, err)
	}
	if a, err := s.Answered(ctx, "k"); err != nil || a == nil || *a != (Answered{"ok", "", "1"}) {
		t.Errorf("%v, %v", a, err)
	}
	brief, err := s.Get(ctx, "k")
	if err != nil || brief.Values["answer"] != nil || len(brief.Operators) > 0 || len(brief.Stalls) == 0 {
		t.Errorf("a brief row: %v, %v", brief, err)
	}
	if err := s.Put(ctx, sample("k")); err != nil { // the same row, whole
		t.Error(err)
	}
	row.Values["seconds"] = 2.0
	if err := s.Put(ctx, row); !errors.Is(err, ErrConflict) {
		t.Errorf("another brief row: %v", err)
	}
	if err := s.PutPoints(ctx, nil, []Point{{Sweep: "hbm", Index: 2, Status: "ok", Reason: "why", Parameters: `{}`}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("ok with a reason: %v", err)
	}
	if err := s.SetMeta(ctx, "sweep.hbm.wall_seconds", "12"); err != nil {
		t.Fatal(err)
	}
	facts, err := s.Meta(ctx)
	if want := map[string]string{"schema_version": fmt.Sprint(len(migrations())), "model_version": "1", "tool": "test", "sweep.hbm.wall_seconds": "12"}; err != nil || !maps.Equal(facts, want) {
		t.Errorf("%v, %v, want %v", facts, err, want)
	}
}

// raw opens a file with plain SQLite.
func raw(t testing.TB, path, statements string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(statements); err != nil {
		t.Fatal(err)
	}
	return db
}

// dirState returns all files under a directory with their content.
func dirState(t testing.TB, dir string) map[string]string {
	t.Helper()
	state := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		state[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// Open refuses what it cannot use, says why, and changes nothing.
func TestOpenRefuses(t *testing.T) {
	latest := len(migrations())
	ours := func(statements string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			s, err := Open(path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			raw(t, path, statements).Close()
		}
	}
	write := func(content string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name     string
		file     string // below the directory of the test; "" is "x.db"
		make     func(t *testing.T, path string)
		readOnly bool
		kind     error
		text     string
	}{
		{"a directory", "", func(t *testing.T, path string) { os.Mkdir(path, 0o755) }, false, ErrForeign, "directory"},
		{"a directory to read", "", func(t *testing.T, path string) { os.Mkdir(path, 0o755) }, true, ErrForeign, "directory"},
		{"a named pipe", "", func(t *testing.T, path string) { syscall.Mkfifo(path, 0o644) }, false, ErrForeign, "regular file"},
		{"text", "", write("name: a100\n"), false, ErrForeign, "not an SQLite database"},
		{"long text", "", write(strings.Repeat("name: a100\n", 1000)), false, ErrForeign, "not an SQLite database"},
		{"text to read", "", write("name: a100\n"), true, ErrForeign, "not an SQLite database"},
		{"another program's", "", func(t *testing.T, path string) { raw(t, path, "CREATE TABLE t (x)").Close() }, false, ErrForeign, "another program"},
		{"another program's with runs", "", func(t *testing.T, path string) { raw(t, path, migrations()[0]).Close() }, false, ErrForeign, "another program"},
		{"another program's with a log", "", func(t *testing.T, path string) {
			raw(t, path, "PRAGMA journal_mode=WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)").Close()
		}, false, ErrForeign, "another program"},
		{"another program's id", "", func(t *testing.T, path string) { raw(t, path, "PRAGMA application_id=77").Close() }, false, ErrForeign, "another program"},
		{"newer", "", ours(fmt.Sprintf("PRAGMA user_version=%d", latest+1)), false, ErrNewer, fmt.Sprintf("version %d, this program knows versions up to %d", latest+1, latest)},
		{"newer to read", "", ours("PRAGMA user_version=99"), true, ErrNewer, "version 99"},
		{"a table less", "", ours("DROP TABLE energy"), false, ErrForeign, "no table energy"},
		{"a column less", "", ours("ALTER TABLE runs DROP COLUMN mfu"), true, ErrForeign, "table runs has no column mfu"},
		{"no directory", "no/such/x.db", nil, false, ErrUnwritable, "mkdir -p"},
		{"below a file", "file/x.db", func(t *testing.T, path string) { os.WriteFile(filepath.Dir(path), nil, 0o644) }, false, ErrUnwritable, "not a directory"},
		{"nothing to read", "", nil, true, ErrNotFound, "no such file"},
		{"an empty file to read", "", write(""), true, ErrForeign, "empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "x.db")
			if tt.file != "" {
				path = filepath.Join(dir, tt.file)
			}
			if tt.make != nil {
				tt.make(t, path)
			}
			before := dirState(t, dir)
			s, err := Open(path, Options{ReadOnly: tt.readOnly})
			if err == nil {
				s.Close()
				t.Fatal("no error")
			}
			var e *Error
			if !errors.Is(err, tt.kind) || !errors.As(err, &e) || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), path) || e.Hint == "" {
				t.Errorf("error %q, want %v with %q, the file and a hint", err, tt.kind, tt.text)
			}
			if tt.name == "a table less" {
				return // ours, though broken: its header may have been touched
			}
			if after := dirState(t, dir); !maps.Equal(before, after) {
				t.Errorf("files before %q, after %q", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
			}
		})
	}
	for _, path := range []string{"", "/proc/strata-test.db", "/dev/full", "bad\x00name.db"} {
		if _, err := Open(path, Options{}); !errors.Is(err, ErrUnwritable) && !errors.Is(err, ErrForeign) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestOpenTakes(t *testing.T) {
	dir := t.TempDir()
	for name, prepare := range map[string]func(path string){
		"odd ?name#with%20signs&mode=ro.db": nil,
		"empty.db":                          func(path string) { os.WriteFile(path, nil, 0o644) },
		"empty-database.db":                 func(path string) { raw(t, path, "CREATE TABLE t (x); DROP TABLE t").Close() },
	} {
		path := filepath.Join(dir, name)
		if prepare != nil {
			prepare(path)
		}
		for range 2 {
			s, err := Open(path, Options{})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := s.Put(ctx, sample("k")); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Closed files are complete alone.
	if got := slices.Sorted(maps.Keys(dirState(t, dir))); len(got) != 3 {
		t.Errorf("files %q, want three", got)
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	w, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Put(ctx, sample("k")); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	// It sees what a writer adds later, and does not keep it from writing.
	if err := w.Put(ctx, sample("l")); err != nil {
		t.Fatal(err)
	}
	if list, err := r.List(ctx, Filter{}); err != nil || len(list) != 2 {
		t.Errorf("%d rows, %v, want 2", len(list), err)
	}
	if err := r.Put(ctx, sample("m")); !errors.Is(err, ErrUnwritable) {
		t.Errorf("Put: %v", err)
	}
	if err := r.SetMeta(ctx, "a", "b"); !errors.Is(err, ErrUnwritable) {
		t.Errorf("SetMeta: %v", err)
	}
	if _, err := r.db.Exec("DELETE FROM runs"); err == nil {
		t.Error("the connection writes")
	}
	r.Close()
	w.Close()
	before := dirState(t, dir)
	if len(before) != 1 {
		t.Errorf("files %q, want one", slices.Sorted(maps.Keys(before)))
	}
	r, err = Open(path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Get(ctx, "l"); err != nil || !reflect.DeepEqual(got, sample("l")) {
		t.Errorf("%v, %+v", err, got)
	}
	r.Close()
	if after := dirState(t, dir); !maps.Equal(before, after) {
		t.Errorf("reading leaves %q", slices.Sorted(maps.Keys(after)))
	}
}

// A database in a directory that cannot be written can be read, and writing to it is refused
// at once.
func TestReadOnlyDirectory(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	w, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Put(ctx, sample("k")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for name, lock := range map[string]func() error{
		"directory": func() error { return os.Chmod(dir, 0o555) },
		"file":      func() error { return os.Chmod(path, 0o444) },
		"both":      func() error { return errors.Join(os.Chmod(path, 0o444), os.Chmod(dir, 0o555)) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := lock(); err != nil {
				t.Fatal(err)
			}
			defer func() { os.Chmod(dir, 0o755); os.Chmod(path, 0o644) }()
			if _, err := Open(path, Options{}); !errors.Is(err, ErrUnwritable) || !strings.Contains(err.Error(), "ls -ld") {
				t.Errorf("for writing: %v", err)
			}
			if name == "directory" {
				if _, err := Open(filepath.Join(dir, "new.db"), Options{}); !errors.Is(err, ErrUnwritable) {
					t.Errorf("a new file: %v", err)
				}
			}
			r, err := Open(path, Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := r.Get(ctx, "k"); err != nil {
				t.Error(err)
			}
		})
	}
	os.Chmod(path, 0)
	defer os.Chmod(path, 0o644)
	for _, ro := range []bool{false, true} {
		if _, err := Open(path, Options{ReadOnly: ro}); !errors.Is(err, ErrUnwritable) || !strings.Contains(err.Error(), "cannot be read") {
			t.Errorf("a file without permissions: %v", err)
		}
	}
}

// whole verifies that every run has all its parts, and SQLite's own checks.
func whole(t testing.TB, s *Store) {
	t.Helper()
	n := counts(t, s)
	if n["operators"] != 12*n["runs"] || n["stalls"] != 2*n["runs"] || n["memory"] != n["runs"] || n["energy"] != 2*n["runs"] || n["run_inputs"] != n["runs"] {
		t.Errorf("parts of rows are missing: %v", n)
	}
	var text string
	if err := s.db.QueryRow("PRAGMA integrity_check").Scan(&text); err != nil || text != "ok" {
		t.Errorf("integrity: %s, %v", text, err)
	}
}

func TestFull(t *testing.T) {
	s := newStore(t)
	var pages int
	if err := s.db.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages+30)); err != nil {
		t.Fatal(err)
	}
	var err error
	n := 0
	for ; n < 1000 && err == nil; n++ {
		err = s.Put(ctx, sample(fmt.Sprintf("k%04d", n)))
	}
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "free some space") || n < 3 {
		t.Fatalf("after %d rows: %v", n, err)
	}
	whole(t, s)
	if got := counts(t, s)["runs"]; got != n-1 {
		t.Errorf("%d runs after %d successful Puts", got, n-1)
	}
	// With space again, it goes on.
	if _, err := s.db.Exec("PRAGMA max_page_count = 100000"); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, sample(fmt.Sprintf("k%04d", n-1))); err != nil {
		t.Fatal(err)
	}
	whole(t, s)
}

func TestBusy(t *testing.T) {
	s := newStore(t)
	other := raw(t, s.path, "BEGIN IMMEDIATE")
	defer other.Close()
	const short = 30 * time.Millisecond
	if _, err := Open(s.path, Options{Busy: short}); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("Open: %v", err)
	}
	r, err := Open(s.path, Options{Busy: short, ReadOnly: true})
	if err != nil {
		t.Errorf("reading beside a writer: %v", err)
	} else {
		r.Close()
	}
	if _, err := s.db.Exec("PRAGMA busy_timeout = 30"); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, sample("k")); !errors.Is(err, ErrBusy) {
		t.Errorf("Put: %v", err)
	}
	if _, err := other.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, sample("k")); err != nil {
		t.Errorf("Put after the lock is gone: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	s := newStore(t)
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Put(stopped, sample("k")); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "nothing of it was kept") {
		t.Errorf("Put: %v", err)
	}
	if n := counts(t, s); n["runs"] != 0 {
		t.Errorf("counts %v", n)
	}
	if err := s.Put(ctx, sample("k")); err != nil {
		t.Error(err)
	}
}

// Several handles make one new file and write to it at once; the last Put of each key is the same
// row, so all agree.
func TestManyWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	const writers, rows = 4, 15
	var wg sync.WaitGroup
	for w := range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			s, err := Open(path, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for i := range rows {
				if err := s.Put(ctx, sample(fmt.Sprintf("w%d-%d", w, i))); err != nil {
					t.Error(err)
				}
				if err := s.Put(ctx, sample(fmt.Sprintf("all-%d", i))); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	whole(t, s)
	if n := counts(t, s); n["runs"] != writers*rows+rows || n["inputs"] != 1 {
		t.Errorf("counts %v", n)
	}
}

// One handle serves several goroutines.
func TestOneStoreManyGoroutines(t *testing.T) {
	s := newStore(t)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 10 {
				if err := s.Put(ctx, sample(fmt.Sprintf("w%d-%d", w, i))); err != nil {
					t.Error(err)
				}
				if _, err := s.Get(ctx, fmt.Sprintf("w%d-%d", w, i)); err != nil {
					t.Error(err)
				}
				if _, err := s.List(ctx, Filter{Limit: 3}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	whole(t, s)
	if n := counts(t, s); n["runs"] != 40 {
		t.Errorf("counts %v", n)
	}
}

// writerEnv makes the test binary a process that writes rows and says so.
const writerEnv = "STRATA_STORE_TEST_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(localEnv); path != "" {
		writeLocal(path)
	}
	if arg := os.Getenv(writerEnv); arg != "" {
		path, name, _ := strings.Cut(arg, "|")
		s, err := Open(path, Options{})
		for i := 0; err == nil && i < 60; i++ {
			key := fmt.Sprintf("%s-%d", name, i)
			if err = s.Put(ctx, sample(key)); err == nil {
				fmt.Println(key)
			}
		}
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func writer(path, name string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerEnv+"="+path+"|"+name)
	cmd.Stderr = os.Stderr
	return cmd
}

func TestTwoProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	cmds := []*exec.Cmd{writer(path, "a"), writer(path, "b")}
	for _, c := range cmds {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range cmds {
		if err := c.Wait(); err != nil {
			t.Errorf("a writer ended with %v", err)
		}
	}
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	whole(t, s)
	if n := counts(t, s); n["runs"] != 120 {
		t.Errorf("%d runs, want 120", n["runs"])
	}
}

// A process that is killed loses no row that it was told is safe, and leaves no half row.
func TestKilled(t *testing.T) {
	for _, after := range []int{1, 7, 20} {
		path := filepath.Join(t.TempDir(), "x.db")
		c := writer(path, "a")
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		var safe []string
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if safe = append(safe, lines.Text()); len(safe) == after {
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = c.Wait()
		s, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		whole(t, s)
		for _, key := range safe {
			if _, err := s.Get(ctx, key); err != nil {
				t.Errorf("lost: %v", err)
			}
		}
		s.Close()
	}
}

func BenchmarkPut(b *testing.B) {
	s := newStore(b)
	b.ResetTimer()
	for i := range b.N {
		if err := s.Put(ctx, sample(fmt.Sprintf("k%09d", i))); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkPutAll100(b *testing.B) {
	s := newStore(b)
	b.ResetTimer()
	for i := range b.N {
		rows := make([]Row, 100)
		for k := range rows {
			rows[k] = sample(fmt.Sprintf("k%09d-%d", i, k))
		}
		if err := s.PutAll(ctx, rows); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(100*b.N)/b.Elapsed().Seconds(), "rows/s")
}
