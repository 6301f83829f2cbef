package sweep

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/pareto"
	"github.com/stratasim/strata/experiments/shard"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/traces/llm"
)

// byName finds presets.
type byName struct{}

func (byName) Machine(name string) (*arch.Machine, error) { return experiments.MachineOf(name, nil) }
func (byName) Model(name string) (*llm.Model, error)      { return experiments.ModelOf(name) }

func read(t testing.TB, text string) *Space {
	t.Helper()
	s, err := Read("sweep.yaml", []byte(text), byName{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const small = `
name: small
arch: h100-sxm
model: llama2-7b
workload: {phase: decode, prompt: 1024, fidelity: analytic, layers: 2}
axes:
  - {path: "chip.memory[hbm].bandwidth", name: bw, range: {from: 1 TB/s, to: 4 TB/s, step: 1 TB/s}}
  - {path: batch, log: {from: 1, to: 64, factor: 4}}
  - {path: tp, values: [1, 2, 3]}
  - {path: prefetch, values: [0, 1], when: "tp == 2"}
constraints: ["bw * tp <= quantity('7 TB/s')", "seconds < 0.0007"]
`

// Points of a grid are numbered with the last axis moving first; those that differ on axes which are off are one.
func TestPoints(t *testing.T) {
	s := read(t, small)
	if s.Points() != 4*4*3*2 || !slices.Equal(s.Axes(), []string{"bw", "batch", "tp", "prefetch"}) {
		t.Fatalf("%d points on %q", s.Points(), s.Axes())
	}
	var got []string
	for i := range s.Points() {
		values, ok, err := s.Point(i)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			got = append(got, fmt.Sprint(i, s.Parameters(values)))
		}
	}
	if len(got) != 4*4*4 {
		t.Errorf("%d distinct points", len(got))
	}
	for k, want := range []string{`0{"bw":1000000000000,"batch":1,"tp":1}`, `2{"bw":1000000000000,"batch":1,"tp":2,"prefetch":0}`, `3{"bw":1000000000000,"batch":1,"tp":2,"prefetch":1}`,
		`4{"bw":1000000000000,"batch":1,"tp":3}`, `6{"bw":1000000000000,"batch":4,"tp":1}`} {
		if got[k] != want {
			t.Errorf("point %d is %s, want %s", k, got[k], want)
		}
	}
}

// An axis that is off has the value of the base in conditions, be it an option or a leaf of the machine or the model.
func TestAxesThatAreOff(t *testing.T) {
	s := read(t, `
name: off
arch: h100-sxm
model: llama2-7b
workload: {phase: decode, layers: 1, fidelity: analytic}
axes:
  - {path: batch, values: [1, 2]}
  - {path: chip.clock, name: clock, values: [1 GHz, 1.5 GHz], when: "batch > 1"}
  - {path: model.hidden, name: hidden, values: [2048, 8192], when: "clock > 1.8e9"}
  - {path: prompt, values: [128, 256], when: "hidden == 4096"}
columns: {worse: "1 / (batch - 1)"}
`)
	var got []string
	for i := range s.Points() {
		if values, ok, err := s.Point(i); err != nil {
			t.Fatal(err)
		} else if ok {
			got = append(got, s.Parameters(values))
		}
	}
	want := []string{`{"batch":1,"hidden":2048}`, `{"batch":1,"hidden":8192}`, `{"batch":2,"clock":1000000000,"prompt":128}`, `{"batch":2,"clock":1000000000,"prompt":256}`,
		`{"batch":2,"clock":1500000000,"prompt":128}`, `{"batch":2,"clock":1500000000,"prompt":256}`}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	_, p := run(t, s, filepath.Join(t.TempDir(), "x.db"), Options{})
	if p.Status[Rejected] != 2 || p.Status[OK] != 4 || p.Status[Failed] > 0 { // a column that divides by zero rejects
		t.Errorf("%+v", p)
	}
}

// Ranges have the values that a person would count, in the units of their leaves.
func TestRanges(t *testing.T) {
	for _, tt := range []struct{ axis, want string }{
		{`{path: "chip.memory[hbm].bandwidth", range: {from: 1 TB/s, to: 2.5 TB/s, step: 500 GB/s}}`, "1 TB/s 1.5 TB/s 2 TB/s 2.5 TB/s"},
		{`{path: "chip.memory[hbm].capacity", log: {from: 16 GiB, to: 64 GiB, factor: 2}}`, "16 GiB 32 GiB 64 GiB"},
		{`{path: chip.clock, range: {from: 1 GHz, to: 1.5 GHz, step: 0.25 GHz}}`, "1 GHz 1.25 GHz 1.5 GHz"},
		{`{path: batch, log: {from: 1, to: 10, points: 7}}`, "1 2 3 5 7 10"}, // rounded values once
		{`{path: power_limit, range: {from: 300, to: 700, step: 200}}`, "300 500 700"},
		{`{path: model.num_hidden_layers, values: [16, 32]}`, "16 32"},
		{`{path: runtime, values: [vllm, compiled]}`, "vllm compiled"},
		{`{path: host_sync, values: [true, false]}`, "true false"},
	} {
		s := read(t, "name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - "+tt.axis+"\n")
		var got []string
		for i := range s.Points() {
			values, _, err := s.Point(i)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, values[0].Text)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %s", tt.axis, got, tt.want)
		}
	}
}

// Samples lie within their ranges, are the same for the same seed only, and a Latin hypercube has one point in each of as many parts.
func TestSamples(t *testing.T) {
	for _, kind := range []string{"random", "latin-hypercube", "halton"} {
		text := func(seed int) string {
			return fmt.Sprintf("name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: batch, range: {from: 1, to: 1001}}\n  - {path: chip.clock, log: {from: 1 GHz, to: 2 GHz}}\n  - {path: tp, values: [1, 2]}\nsampler: {kind: %s, points: 50, seed: %d}\n", kind, seed)
		}
		list := func(seed int) []string {
			s := read(t, text(seed))
			var all []string
			parts := map[int64]int{}
			for i := range s.Points() {
				v, _, err := s.Point(i)
				if err != nil {
					t.Fatal(err)
				}
				n := v[0].Any.(int64)
				if n < 1 || n > 1001 || v[1].Any.(int64) < 1e9 || v[1].Any.(int64) > 2e9 {
					t.Errorf("%s: %v", kind, v)
				}
				parts[min((n-1)/20, 49)]++
				all = append(all, s.Parameters(v))
			}
			if kind == "latin-hypercube" && len(parts) < 45 { // values are rounded at the borders of parts
				t.Errorf("%d of 50 parts have a point", len(parts))
			}
			return all
		}
		if a, b, c := list(1), list(1), list(2); !slices.Equal(a, b) || slices.Equal(a, c) || len(a) != 50 {
			t.Errorf("%s: samples of seeds 1, 1, 2 are equal: %t, %t", kind, slices.Equal(a, b), slices.Equal(a, c))
		}
	}
}

// What is wrong with a file is said with line, field and what was perhaps meant, all at once.
func TestReadErrors(t *testing.T) {
	_, err := Read("bad.yaml", []byte(`name: bad
arch: h100-sxm
model: llama2-7b
workload: {prompts: 3, batch: x}
set: {"chip.memory[hbm].bandwith": 3 TB/s}
axes:
  - {path: "chip.memory[hbm].bandwith", values: [1 TB/s]}
  - {path: chip.cores.count, range: {from: 10, to: 5}}
  - {path: tp, values: [1, 1, y]}
  - {path: model.hiden, values: [1]}
  - {path: "chip.memory[hbm].bandwidth", values: [1 TB/s, 3 apples]}
  - {path: batch, name: tp, values: [1]}
  - {path: pp, values: [1], when: "nothing > 1"}
  - {path: "chip.clock", log: {from: 1 GHz, to: 2 GHz}}
constraints: ["tpp < 3", "tp <", "1 < 2", "seconds"]
objectives: [{column: second}, {column: bound_by}]
`), byName{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"bad.yaml:4: workload.batch: \"x\" is not a whole number",
		"bad.yaml:4: workload.prompts: no such option (did you mean prompt?)",
		"bad.yaml:5: set.chip.memory[hbm].bandwith: ",
		"bad.yaml:7: axes[0].path: there is nothing called chip.memory[hbm].bandwith to change (did you mean chip.memory[hbm].bandwidth?)",
		"bad.yaml:8: axes[1].range.to: 5 is not more than 10",
		"bad.yaml:9: axes[2].values[1]: 1 is in the list twice",
		"bad.yaml:9: axes[2].values[2]: \"y\" is not a whole number",
		"bad.yaml:10: axes[3].path: no such leaf of a model: model.hiden (did you mean model.hidden?)",
		"bad.yaml:11: axes[4].values[1]: \"3 apples\": unknown unit",
		"there is an axis tp before it",
		"bad.yaml:15: constraints[0]: tpp < 3: character 1: unknown name tpp; did you mean pp?",
		"constraints[1]: tp <: character 4: unexpected token",
		"constraints[2]: 1 < 2: is the same for all points",
		"constraints[3]: seconds: expected bool, but got float64",
		"objectives[0].column: second: no such column of results (did you mean seconds?)",
		"objectives[1].column: bound_by: is no number",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %q in:\n%v", want, err)
		}
	}
	for _, tt := range []struct{ text, want string }{
		{"name: x\naxes: []\n", "axes"},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: fidelity, values: [analytic, analitic]}\n", "did you mean analytic?"},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\nworkload: {phase: bogus}\naxes:\n  - {path: batch, values: [1]}\n", "f.yaml:4: workload.phase: \"bogus\": must be one of prefill, decode"},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\nmapping: {zero: 1}\naxes:\n  - {path: dp, values: [1]}\n", "f.yaml:4: mapping.zero: it goes with training, and the phase is generate"},
		{"name: x\naxes:\n  - {path: batch, values: [1]}\n", "which machine?"},
		{"name: x\narch: h100-sxn\nmodel: llama2-7b\naxes:\n  - {path: batch, values: [1]}\n", `did you mean "h100-sxm"?`},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: batch, range: {from: 1, to: 9}}\n", "a grid has no end of values of batch"},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: chip.memory[hbm].bandwidth, values: [1 TB/s]}\n", "a path with brackets needs quotes"},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: batch, values: []}\n", "it has no values"},
		{"name: x\naxes:\n  - {path: arch, also: [model], values: [h100-sxm]}\n", "f.yaml:3: axes[0].also: a machine or a model is no value of something else"},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: batch, also: [chip.clock], values: [1]}\n", `axes[0].values[0]: "1": a frequency needs a unit`},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: batch, values: [1, 2], when: \"batch > 1\"}\n", "f.yaml:5: axes[0].when: batch is not known yet"},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: batch, values: [1, 2], when: \"tp > 1\"}\n  - {path: tp, values: [1, 2]}\n", "f.yaml:5: axes[0].when: tp is not known yet"},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: batch, name: tp, values: [1]}\n  - {path: tp, name: batch, values: [1]}\n", "f.yaml:5: axes[tp].name: tp is a column of results or an option, and the axis is of batch"},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: batch, name: seconds, values: [1]}\n", "seconds is a column of results or an option"},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: batch, name: \"true\", values: [1]}\n", `f.yaml:5: axes[true].name: "true" cannot be used in expressions`},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: \"chip.memory[0].bandwidth\", values: [1 TB/s]}\n", `f.yaml:5: axes[0].path: "0_bandwidth" cannot be used in expressions`},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\nmapping: {tp: 0}\naxes:\n  - {path: batch, values: [0]}\n", "f.yaml:4: mapping.tp: 0: must be at least 1\nf.yaml:6: axes[0].values[0]: 0: must be at least 1"},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: batch, values: [1]}\nobjectives: [{column: seconds}, {column: seconds, goal: max}]\n", "objectives[1].column: seconds is an objective already"},
		{"name: \"a\\nb\"\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: batch, values: [1]}\n", "f.yaml:1: name: "},
		{"name: " + strings.Repeat("n", 300) + "\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: batch, values: [1]}\n", "f.yaml:1: name: "},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\nsampler: {kind: random}\naxes:\n  - {path: batch, values: [1]}\n", "how many points?"},
		{"name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: batch, range: {from: 1, to: 99999, step: 1}}\n  - {path: prompt, range: {from: 1, to: 99999, step: 1}}\n", "the grid has more than"},
	} {
		if _, err := Read("f.yaml", []byte(tt.text), byName{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.text, err, tt.want)
		}
	}
}

// dump is all of a database but times of day and who wrote it, a line a row.
func dump(t testing.TB, path string) string {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var lines []string
	for _, table := range store.Tables() {
		if table.Name == "meta" {
			continue
		}
		rows, err := db.Query("SELECT * FROM " + table.Name)
		if err != nil {
			t.Fatal(err)
		}
		names, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			row, into := make([]any, len(names)), make([]any, len(names))
			for i := range row {
				into[i] = &row[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf("%s %v", table.Name, row))
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		rows.Close()
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func open(t testing.TB, path string) *store.Store {
	t.Helper()
	db, err := store.Open(path, store.Options{ModelVersion: eval.Version, Tool: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// run runs a sweep into a file to its end and returns its dump.
func run(t testing.TB, s *Space, path string, o Options) (string, *Progress) {
	t.Helper()
	o.Store, o.Tool = open(t, path), "test"
	p, err := s.Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	o.Store.Close()
	return dump(t, path), p
}

// A sweep comes to the same whatever the number of workers and shards, and to the rows that strata run makes.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	s := read(t, small)
	whole, p := run(t, s, filepath.Join(dir, "a.db"), Options{Workers: 1})
	if p.Done != 64 || p.Points != 64 || p.Status[OK] == 0 || p.Status[Rejected] == 0 || p.Status[Invalid] == 0 || p.Status[Failed] > 0 {
		t.Errorf("%+v", p)
	}
	if many, _ := run(t, s, filepath.Join(dir, "b.db"), Options{Workers: 7}); many != whole {
		t.Error("7 workers come to something else")
	}
	again, p := run(t, s, filepath.Join(dir, "a.db"), Options{})
	if again != whole || p.Before != 64 || p.Done != 64 {
		t.Errorf("a second run changes something: %+v", p)
	}
	for i := range int64(3) {
		run(t, s, filepath.Join(dir, "c.db"), Options{Shard: shard.Shard{Index: i, Count: 3}})
	}
	if dump(t, filepath.Join(dir, "c.db")) != whole {
		t.Error("three shards come to something else")
	}

	db := open(t, filepath.Join(dir, "a.db"))
	ctx := context.Background()
	var key string
	if err := db.Points(ctx, "small", func(p store.Point) error {
		if p.Status == OK && strings.Contains(p.Parameters, `"bw":2000000000000,"batch":4,"tp":1`) {
			key = p.Key
		}
		return nil
	}); err != nil || key == "" {
		t.Fatalf("no such point: %v", err)
	}
	c, err := experiments.Rerun(ctx, db, key, nil)
	if err != nil || !c.Same() {
		t.Errorf("run again: %+v, %v", c, err)
	}
	m, set, err := experiments.ChangedMachine("h100-sxm", []string{"chip.memory[hbm].bandwidth=2 TB/s"})
	if err != nil {
		t.Fatal(err)
	}
	model, err := experiments.ModelOf("llama2-7b")
	if err != nil {
		t.Fatal(err)
	}
	point := &experiments.Point{Machine: m, Model: model, Options: experiments.Options{Phase: "decode", Prompt: 1024, Batch: 4, Layers: 2, Fidelity: "analytic", Set: set}}
	point.Defaults()
	r, err := point.Request()
	if err != nil {
		t.Fatal(err)
	}
	r.Advise = true
	res, err := eval.Run(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	row, err := experiments.Record(point, &r, &res.Answer, "test")
	if err != nil || row.Key != key {
		t.Fatalf("key %s, that of the point is %s: %v", row.Key, key, err)
	}
	if err := db.Put(ctx, row); err != nil { // an error if it were another answer
		t.Error(err)
	}
	if again, _ := run(t, read(t, strings.Replace(small, "name: small", "name: other", 1)), filepath.Join(dir, "a.db"), Options{}); strings.Count(again, "\nruns ") != strings.Count(whole, "\nruns ") {
		t.Error("another sweep of the same points has other rows")
	}
	if _, err := read(t, strings.Replace(small, "values: [1, 2, 3]", "values: [1, 2]", 1)).Run(ctx, Options{Store: db}); !errors.Is(err, store.ErrTaken) {
		t.Errorf("other points under the same name: %v", err)
	}
}

// What goes wrong with a point is its result, and the others go on.
func TestPointsGoWrong(t *testing.T) {
	defer func() { simulator = eval.Run }()
	var broken, slow atomic.Bool
	broken.Store(true)
	slow.Store(true)
	simulator = func(ctx context.Context, r eval.Request) (*eval.Result, error) {
		switch r.Graph.Batch {
		case 4:
			if broken.Load() {
				var nothing *eval.Request
				return nil, fmt.Errorf("%v", nothing.Graph.Batch)
			}
		case 16:
			if slow.Load() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		case 64:
			return nil, errors.New("internal: it is wrong")
		}
		return eval.Run(ctx, r)
	}
	text := "name: x\narch: h100-sxm\nmodel: llama2-7b\nworkload: {phase: decode, layers: 1, fidelity: analytic}\naxes:\n  - {path: batch, values: [1, 4, 16, 64, 256, 1000000]}\n"
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path)
	s := read(t, text)
	statuses := func() (list []string) {
		if err := db.Points(context.Background(), "x", func(p store.Point) error {
			list = append(list, p.Status+" "+p.Reason)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return list
	}
	p, err := s.Run(context.Background(), Options{Store: db, Timeout: 200 * time.Millisecond})
	if err != nil || p.Done != 6 {
		t.Fatalf("%+v, %v", p, err)
	}
	got := statuses()
	for i, want := range []string{"ok ", "error internal: panic: runtime error: invalid memory address", "timeout it takes longer than 200ms", "error internal: it is wrong", "ok ", "infeasible "} {
		if !strings.HasPrefix(got[i], want) {
			t.Errorf("point %d: %q, want %s", i, got[i], want)
		}
	}
	if !strings.Contains(got[1], "sweep_test.go:") {
		t.Errorf("a panic without its place: %s", got[1])
	}
	broken.Store(false)
	slow.Store(false)
	if p, err = s.Run(context.Background(), Options{Store: db}); err != nil || p.Before != 6 {
		t.Errorf("without --retry: %+v, %v", p, err)
	}
	if p, err = s.Run(context.Background(), Options{Store: db, Retry: []string{Timeout, Failed}}); err != nil || p.Before != 3 || p.Status[OK] != 4 || p.Status[Failed] != 1 {
		t.Errorf("with --retry: %+v, %v", p, err)
	}
}

// Points that need more memory than there is for several at a time are run alone, and those for which even that is not enough are
// given up.
func TestMemoryGuard(t *testing.T) {
	defer func() { simulator = eval.Run }()
	var runs, most atomic.Int64
	simulator = func(ctx context.Context, r eval.Request) (*eval.Result, error) {
		if n := runs.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer runs.Add(-1)
		size := map[int64]int{1: 0, 2: 150 << 20, 3: 150 << 20, 4: 600 << 20}[r.Graph.Batch]
		held := make([][]byte, 0, size>>20)
		for range size >> 20 {
			held = append(held, bytes.Repeat([]byte{1}, 1<<20))
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		if size > 0 {
			select {
			case <-time.After(300 * time.Millisecond):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		res, err := eval.Run(ctx, r)
		if len(held) > 1<<30 {
			t.Log(held)
		}
		return res, err
	}
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	s := read(t, "name: x\narch: h100-sxm\nmodel: llama2-7b\nworkload: {phase: decode, layers: 1, fidelity: analytic}\naxes:\n  - {path: batch, values: [1, 2, 3, 4]}\n")
	p, err := s.Run(context.Background(), Options{Store: db, Workers: 4, Memory: 300 << 20})
	if err != nil || p.Status[OK] != 3 || p.Status[Memory] != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}

// child is another process that runs a sweep, for tests that end it.
func child(t *testing.T, path string, text string, env ...string) *exec.Cmd {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sweep.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.count=1")
	c.Env = append(os.Environ(), append(env, "STRATA_TEST_DB="+path, "STRATA_TEST_SWEEP="+file)...)
	c.Stderr = os.Stderr
	return c
}

// TestChild is the other process.
func TestChild(t *testing.T) {
	path := os.Getenv("STRATA_TEST_DB")
	if path == "" {
		return
	}
	data, err := os.ReadFile(os.Getenv("STRATA_TEST_SWEEP"))
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("STRATA_TEST_DIE") != "" {
		simulator = func(ctx context.Context, r eval.Request) (*eval.Result, error) {
			if r.Graph.Batch == 7 {
				os.Exit(9) // as a stack that overflows
			}
			return eval.Run(ctx, r)
		}
	}
	s := read(t, string(data))
	if s.File.Search != nil {
		if _, err := s.Search(context.Background(), Options{Store: open(t, path), Tool: "test"}); err != nil {
			t.Fatal(err)
		}
		return
	}
	run(t, s, path, Options{})
}

const killed = `
name: killed
arch: h100-sxm
model: llama2-7b
workload: {phase: decode, fidelity: analytic, layers: 2}
axes:
  - {path: "chip.memory[hbm].bandwidth", range: {from: 1 TB/s, to: 5 TB/s, step: 250 GB/s}}
  - {path: batch, range: {from: 1, to: 50, step: 1}}
constraints: ["seconds < 0.0008"]
`

// However often and whenever a sweep is ended with kill -9, running it again comes to the database of one that was not disturbed.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	dir := t.TempDir()
	want, p := run(t, read(t, killed), filepath.Join(dir, "whole.db"), Options{})
	if p.Done != 850 {
		t.Fatalf("%+v", p)
	}
	path := filepath.Join(dir, "killed.db")
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	ends := 0
	for range 20 {
		c := child(t, path, killed)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		after := time.Duration(rng.Int64N(int64(700 * time.Millisecond)))
		timer := time.AfterFunc(after, func() { _ = c.Process.Kill() })
		if err := c.Wait(); err != nil {
			ends++
		}
		timer.Stop()
	}
	if ends == 0 {
		t.Error("no process was ended before its end")
	}
	if got, _ := run(t, read(t, killed), path, Options{}); got != want {
		t.Errorf("after %d ends the database differs", ends)
	}
	if left, _ := filepath.Glob(path + "-running*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// Several processes that run one sweep into one file come to the same as one.
func TestSeveralProcesses(t *testing.T) {
	dir := t.TempDir()
	want, _ := run(t, read(t, killed), filepath.Join(dir, "whole.db"), Options{})
	path := filepath.Join(dir, "shared.db")
	var wait sync.WaitGroup
	for range 3 {
		c := child(t, path, killed)
		wait.Go(func() {
			if out, err := c.Output(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wait.Wait()
	if dump(t, path) != want {
		t.Error("the database differs")
	}
}

// A point that brings the process down is given up after three times, and the others are run.
func TestDeadlyPoint(t *testing.T) {
	text := "name: x\narch: h100-sxm\nmodel: llama2-7b\nworkload: {phase: decode, layers: 1, fidelity: analytic}\naxes:\n  - {path: batch, range: {from: 1, to: 20, step: 1}}\n"
	path := filepath.Join(t.TempDir(), "x.db")
	for range mostTries {
		if err := child(t, path, text, "STRATA_TEST_DIE=1").Run(); err == nil {
			t.Fatal("the process came to its end")
		}
	}
	c := child(t, path, text, "STRATA_TEST_DIE=1")
	if out, err := c.Output(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	counts := map[string]int{}
	if err := open(t, path).Points(context.Background(), "x", func(p store.Point) error {
		counts[p.Status]++
		if p.Index == 6 && p.Reason != "the process died 3 times while it was being run" {
			t.Errorf("%+v", p)
		}
		return nil
	}); err != nil || counts[OK] != 19 || counts[Failed] != 1 {
		t.Errorf("%v, %v", counts, err)
	}
}

// An interrupted sweep keeps what was finished. Workers may be batches ahead of the one that is being put when it is interrupted, so
// there are many more points than those, and most are rejected before they cost anything.
func TestInterrupt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := read(t, strings.NewReplacer("to: 50,", "to: 300,", "constraints: [", `constraints: ["batch <= 20", `).Replace(killed))
	if most := int64(4 * batchPoints); s.count < 2*most {
		t.Fatalf("%d points: all may be done before the end", s.count)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p, err := s.Run(ctx, Options{Store: open(t, path), Tool: "test", Progress: func(p Progress) {
		if p.Done > 0 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || p.Done == 0 || p.Done == p.Points {
		t.Fatalf("%+v, %v", p, err)
	}
	want, _ := run(t, s, filepath.Join(t.TempDir(), "whole.db"), Options{})
	if got, q := run(t, s, path, Options{}); got != want || q.Before != p.Done {
		t.Errorf("%+v then %+v", p, q)
	}
}

const joint = `
name: joint
arch: a100-sxm-80gb
model: llama2-7b
workload: {phase: decode, prompt: 1024, fidelity: analytic, layers: 2}
axes:
  - {path: "chip.memory[hbm].bandwidth", name: bw, range: {from: 1 TB/s, to: 6 TB/s}}
  - {path: chip.cores.count, name: cores, range: {from: 32, to: 200}}
  - {path: batch, log: {from: 1, to: 64, factor: 2}}
columns: {edp: "joules * seconds"}
constraints: ["area_mm2 < 800", "bw * batch < quantity('100 TB/s')"]
objectives: [{column: seconds}, {column: chip_usd}]
search: {algorithm: nsga2, population: 24, generations: 12, seed: 5}
`

// searched runs a search into a file, and returns its dump and front.
func searched(t testing.TB, text, path string) (string, *Best) {
	t.Helper()
	s, db := read(t, text), open(t, path)
	if err := s.CheckSearch(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Search(context.Background(), Options{Store: db, Tool: "test", Workers: 3}); err != nil {
		t.Fatal(err)
	}
	best, err := s.Best(context.Background(), db)
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	return dump(t, path), best
}

// A genetic search finds more than as many points at random, its front holds the constraints, and the same seed comes to the same.
func TestSearch(t *testing.T) {
	dir := t.TempDir()
	first, best := searched(t, joint, filepath.Join(dir, "a.db"))
	if again, _ := searched(t, joint, filepath.Join(dir, "b.db")); again != first {
		t.Error("the same seed comes to something else")
	}
	if other, _ := searched(t, strings.Replace(joint, "seed: 5", "seed: 6", 1), filepath.Join(dir, "c.db")); other == first {
		t.Error("another seed comes to the same")
	}
	_, chance := searched(t, strings.Replace(joint, "nsga2", "random", 1), filepath.Join(dir, "d.db"))
	if best.Status[Rejected] == 0 || len(best.Front) < 5 {
		t.Errorf("%+v", best)
	}
	points := func(b *Best) (list []pareto.Point) {
		for _, p := range b.Front {
			list = append(list, pareto.Point{Objectives: p.Values})
		}
		return list
	}
	ref, err := pareto.Reference(append(points(best), points(chance)...))
	if err != nil {
		t.Fatal(err)
	}
	volume := func(b *Best) float64 {
		v, err := pareto.Hypervolume(points(b), ref)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if a, b := volume(best), volume(chance); a < 1.02*b {
		t.Errorf("a hypervolume of %g, at random %g", a, b)
	}
	db := open(t, filepath.Join(dir, "a.db"))
	if err := db.Points(context.Background(), "joint", func(p store.Point) error {
		own, err := p.Own()
		if p.Status == OK && (p.Figures["area_mm2"] >= 800 || !(own["edp"] > 0)) {
			t.Errorf("%+v", p)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// A condition that cannot be worked out makes a point invalid, and does not keep the search from going on.
func TestSearchGoesOn(t *testing.T) {
	text := strings.Replace(joint, "columns:", "  - {path: tp, values: [1, 2], when: \"8 % (batch - 2) >= 0\"}\ncolumns:", 1)
	text = strings.Replace(text, "generations: 12", "generations: 2", 1)
	s := read(t, text)
	db := open(t, filepath.Join(t.TempDir(), "a.db"))
	for range 2 {
		p, err := s.Search(context.Background(), Options{Store: db, Tool: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if p.Status[Invalid] == 0 {
			t.Errorf("%+v", p)
		}
	}
}

// Options that are left out, adapters given one by one, and a prompt of 0 come to the requests of strata run.
func TestBuildOptions(t *testing.T) {
	s := read(t, `name: x
arch: h100-sxm
model: llama2-7b
workload: {phase: decode, fidelity: analytic, lora.targets: mlp}
axes:
  - {path: prompt, values: [0, 512]}
  - {path: lora.rank, values: [0, 8]}
`)
	b := NewBuilder(s)
	for i, want := range []int64{0, 0, 512, 512} {
		values, _, err := s.Point(int64(i))
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Build(values)
		if i%2 == 0 {
			if !experiments.IsInput(err) || !strings.Contains(err.Error(), "rank is missing") {
				t.Errorf("point %d: %v", i, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if o := got.Point.Options; o.Prompt != want || o.LoRA.String() != "rank=8,adapters=1,targets=gate,up,down,dtype=bf16" {
			t.Errorf("point %d: prompt %d, adapters %s", i, o.Prompt, o.LoRA)
		}
	}
}

// A search with one objective finds the end of its range.
func TestSearchOne(t *testing.T) {
	text := strings.NewReplacer("algorithm: nsga2, population: 24, generations: 12", "algorithm: cmaes, population: 12, generations: 20", "[{column: seconds}, {column: chip_usd}]", "[{column: edp}]").Replace(joint)
	_, best := searched(t, text, filepath.Join(t.TempDir(), "a.db"))
	if len(best.Front) != 1 || !strings.Contains(best.Front[0].Parameters, `"batch":1}`) {
		t.Errorf("%+v", best.Front)
	}
	s := read(t, strings.Replace(text, "[{column: edp}]", "[{column: edp}, {column: seconds}]", 1))
	if err := s.CheckSearch(); err == nil || !strings.Contains(err.Error(), "cmaes has one objective") {
		t.Error(err)
	}
}

// However often a search is ended with kill -9, it goes on to the same population.
func TestKillSearch(t *testing.T) {
	dir := t.TempDir()
	want, _ := searched(t, joint, filepath.Join(dir, "whole.db"))
	path := filepath.Join(dir, "killed.db")
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	for range 8 {
		c := child(t, path, joint)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(rng.Int64N(int64(800*time.Millisecond))), func() { _ = c.Process.Kill() })
		_ = c.Wait()
		timer.Stop()
	}
	if got, _ := searched(t, joint, path); got != want {
		t.Error("the database differs")
	}
}

// FuzzRead: whatever the text, Read says what is wrong, or the points of the space can be built or are refused.
func FuzzRead(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(killed))
	f.Add([]byte(joint))
	f.Add([]byte(derivedSpace))
	f.Add([]byte("name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: batch, log: {from: 1, to: 1000, points: 4}, when: 'tp > 1 and \"a\" in [\"a\"]'}\nsampler: {kind: halton, points: 3, seed: 9}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Read("fuzz.yaml", data, byName{})
		if err != nil {
			return
		}
		b := NewBuilder(s)
		r := &runner{space: s}
		for i := range min(s.Points(), 20) {
			values, ok, err := s.Point(i)
			if err != nil || !ok {
				continue
			}
			if p := s.Parameters(values); !json.Valid([]byte(p)) {
				t.Fatalf("parameters %s", p)
			}
			if given, _, err := s.given(values); err == nil {
				r.holds(&store.Point{}, given, fromValues)
			}
			_, _ = b.Build(values)
		}
	})
}

// BenchmarkSweep is ten thousand points of one model on machines that differ, store included.
func BenchmarkSweep(b *testing.B) {
	s := read(b, `
name: bench
arch: h100-sxm
model: llama2-7b
workload: {phase: decode, fidelity: analytic}
axes:
  - {path: "chip.memory[hbm].bandwidth", name: bw, range: {from: 1 TB/s, to: 4.96 TB/s, step: 40 GB/s}}
  - {path: batch, values: [1, 2, 4, 6, 8, 12, 16, 24, 32, 48]}
  - {path: prompt, range: {from: 128, to: 1280, step: 128}}
`)
	for range b.N {
		db, err := store.Open(filepath.Join(b.TempDir(), "x.db"), store.Options{ModelVersion: eval.Version})
		if err != nil {
			b.Fatal(err)
		}
		p, err := s.Run(context.Background(), Options{Store: db, Tool: "bench"})
		if err != nil || p.Status[OK] != 10000 {
			b.Fatalf("%+v, %v", p, err)
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(10000*float64(b.N)/b.Elapsed().Seconds(), "points/s")
}
