package diff

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/experiments/store"
)

// drawAnswer draws an answer whose parts add up, or fall short of the total where loose is set.
func drawAnswer(t *rapid.T, label string, loose bool) *eval.Answer {
	a := &eval.Answer{Schema: eval.Schema, Arch: "m", Model: "x", Phase: "generate"}
	var total int64
	n := rapid.IntRange(0, 6).Draw(t, label+" operators")
	phases := map[string]int64{}
	for i := range n {
		op := eval.Operator{Name: fmt.Sprintf("op%d", rapid.IntRange(0, 8).Draw(t, "name")), Kind: "gemm", Phase: rapid.SampledFrom([]string{"prefill", "decode"}).Draw(t, "phase"), Calls: int64(i + 1)}
		if slices.ContainsFunc(a.Operators, func(o eval.Operator) bool { return o.Name == op.Name && o.Phase == op.Phase }) {
			continue
		}
		var sum int64
		for c := range op.Stalls {
			ps := rapid.Int64Range(0, 1e15/100).Draw(t, "ps")
			op.Stalls[c] = float64(ps) / 1e12
			a.Stalls[c] = float64(picoseconds(a.Stalls[c])+ps) / 1e12
			sum += ps
		}
		op.Seconds = float64(sum) / 1e12
		total += sum
		phases[op.Phase] += sum
		a.Operators = append(a.Operators, op)
	}
	for _, p := range []string{"prefill", "decode"} {
		if phases[p] > 0 {
			a.Phases = append(a.Phases, eval.PhaseTime{Phase: p, Steps: 1, Seconds: float64(phases[p]) / 1e12})
		}
	}
	if loose {
		total += rapid.Int64Range(-1e9, 1e9).Draw(t, "loose")
	}
	a.Seconds = float64(max(total, 0)) / 1e12
	return a
}

func encode(t interface{ Fatal(...any) }, a *eval.Answer) *Result {
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Read("drawn", text)
	if err != nil {
		t.Fatal(err)
	}
	r.Find(Candidates{})
	return r
}

// Whatever the answers, the changes of the causes, of the phases and of the operators add up to that of the total, as
// whole picoseconds, and those of each phase and operator to its own.
func TestPartsSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loose := rapid.Bool().Draw(t, "loose")
		d := Compare(encode(t, drawAnswer(t, "before", loose)), encode(t, drawAnswer(t, "after", loose)))
		sum := func(what string, want int64, parts []Part) {
			for i := range parts {
				want -= parts[i].Picoseconds
			}
			if want != 0 {
				t.Fatalf("%s: %d ps are missing", what, want)
			}
		}
		total := d.Time.Picoseconds
		if want := picoseconds(d.Time.After) - picoseconds(d.Time.Before); total != want {
			t.Fatalf("total %d, want %d", total, want)
		}
		sum("stalls", total, d.Stalls)
		var ops, phases []Part
		for i := range d.Operators {
			o := &d.Operators[i]
			ops = append(ops, o.Part)
			if o.Name != other {
				sum(o.Name, o.Picoseconds, o.Stalls)
			}
		}
		for i := range d.Phases {
			p := &d.Phases[i]
			phases = append(phases, p.Part)
			if p.Name != other {
				sum(p.Name, p.Picoseconds, p.Stalls)
			}
		}
		if len(ops) > 0 {
			sum("operators", total, ops)
			sum("phases", total, phases)
		}
		share := 0.0
		for i := range d.Stalls {
			if d.Stalls[i].Share != nil {
				share += *d.Stalls[i].Share
			}
		}
		if total != 0 && math.Abs(share-1) > 1e-6 {
			t.Fatalf("shares sum to %v", share)
		}
	})
}

// A result compared with itself has moved in nothing.
func TestSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := encode(t, drawAnswer(t, "both", rapid.Bool().Draw(t, "loose")))
		assertNothingMoved(t, Compare(r, r))
	})
}

func assertNothingMoved(t interface{ Fatalf(string, ...any) }, d *Diff) {
	for name, text := range flat(d) {
		if last := name[strings.LastIndexByte(name, '.')+1:]; strings.HasPrefix(last, "delta") && text != "0" {
			t.Fatalf("%s is %s", name, text)
		}
	}
	if len(d.Inputs.Options) > 0 || len(d.Inputs.Machine.Differences) > 0 || len(d.Inputs.Model.Differences) > 0 || len(d.Warnings) > 0 {
		t.Fatalf("inputs differ: %+v, warnings %q", d.Inputs, d.Warnings)
	}
	if !strings.Contains(d.Summary, "the same latency") {
		t.Fatalf("summary %q", d.Summary)
	}
}

// answer runs a point and returns it with its row and the text of its answer.
func answer(t *testing.T, o experiments.Options, arch, model string, set ...string) (store.Row, []byte) {
	t.Helper()
	m, changes, err := experiments.ChangedMachine(arch, set)
	if err != nil {
		t.Fatal(err)
	}
	llm, err := experiments.ModelOf(model)
	if err != nil {
		t.Fatal(err)
	}
	o.Set = changes
	p := &experiments.Point{Machine: m, Model: llm, Options: o}
	p.Defaults()
	req, err := p.Request()
	if err != nil {
		t.Fatal(err)
	}
	req.Advise = true
	res, err := eval.Run(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	row, err := experiments.Record(p, &req, &res.Answer, "test")
	if err != nil {
		t.Fatal(err)
	}
	text, err := experiments.EncodeAnswer(&res.Answer)
	if err != nil {
		t.Fatal(err)
	}
	return row, text
}

func read(t *testing.T, text []byte) *Result {
	t.Helper()
	r, err := Read("a.json", text)
	if err != nil {
		t.Fatal(err)
	}
	r.Find(Candidates{})
	return r
}

// The changed leaf is found whether the inputs come from a database or are found again by their hash, with its old
// and its new value.
func TestInputs(t *testing.T) {
	decode := experiments.Options{Phase: "decode", Batch: 4}
	rowA, textA := answer(t, decode, "a100-sxm-80gb", "llama2-7b")
	rowB, textB := answer(t, decode, "a100-sxm-80gb", "llama2-7b", "chip.memory[hbm].bandwidth=3 TB/s", "runtime.profiles[compiled].gemm.tiles=[128x128, 64x64]")
	fromRow := func(row store.Row) *Result {
		r, err := OfRow("r.db:1", row)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for name, sides := range map[string][2]*Result{
		"JSON": {read(t, textA), read(t, textB)}, "rows": {fromRow(rowA), fromRow(rowB)}, "one of each": {read(t, textA), fromRow(rowB)},
	} {
		t.Run(name, func(t *testing.T) {
			d := Compare(sides[0], sides[1])
			got := d.Inputs.Machine
			if got.How != "leaves" || len(got.Differences) != 2 || len(d.Inputs.Options) != 0 || d.Inputs.Model.How != "same" {
				t.Fatalf("%+v", d.Inputs)
			}
			x := got.Differences[0]
			if x.Path != "chip.memory[hbm].bandwidth" || x.Before != "2039 GB/s" || x.After != "3 TB/s" || x.AfterSource != commandLine || !strings.Contains(x.BeforeSource, "data sheet") {
				t.Errorf("%+v", x)
			}
			if x := got.Differences[1]; x.Path != "runtime.profiles[compiled].gemm.tiles" || x.After != "[128x128, 64x64]" {
				t.Errorf("%+v", x)
			}
			if name != "rows" {
				return
			}
			assertNothingMoved(t, Compare(sides[0], sides[0]))
		})
	}
	// The same name, other content: it must not pass for the preset.
	fake := bytes.Replace(textA, []byte(archHash(t, textA)), []byte(strings.Repeat("0", 64)), 1)
	if d := Compare(read(t, fake), read(t, textB)); d.Inputs.Machine.How != "unknown" || !strings.Contains(d.Inputs.Machine.Text, "before: its a100-sxm-80gb is another one") {
		t.Errorf("%+v", d.Inputs.Machine)
	}
}

func archHash(t *testing.T, text []byte) string {
	t.Helper()
	return read(t, text).answer.Manifest.ArchHash
}

// In real answers causes, phases and operators account for all of the time, to the picosecond: nothing is left for a part
// "other".
func TestNothingElse(t *testing.T) {
	for _, points := range [][2]experiments.Options{
		{{Phase: "generate", Batch: 3, Prompt: 100, Generate: 5}, {Phase: "generate", Batch: 2, Prompt: 300, Generate: 9, TP: 2}},
		{{Phase: "prefill", Batch: 1, Prompt: 777}, {Phase: "decode", Batch: 7, Runtime: "eager", HostSync: true}},
		{{Phase: "decode", Batch: 5, Fidelity: eval.Analytic, Ideal: []string{"launch"}}, {Phase: "decode", Batch: 5, Exact: true, Layers: 2}},
	} {
		_, a := answer(t, points[0], "a100-sxm-80gb", "llama2-7b")
		_, b := answer(t, points[1], "a100-sxm-80gb", "llama2-7b", "chip.clock=1 GHz")
		d := Compare(read(t, a), read(t, b))
		for name, text := range flat(d) {
			if strings.HasSuffix(name, ".name") && text == other {
				t.Errorf("%s in %+v", name, points)
			}
		}
	}
}

// Two models on two machines in two phases are compared all the same, with a warning for each.
func TestUnlike(t *testing.T) {
	_, a := answer(t, experiments.Options{Phase: "generate", Batch: 2, Generate: 3}, "a100-sxm-80gb", "llama2-7b")
	_, b := answer(t, experiments.Options{Phase: "prefill", Batch: 2, Fidelity: eval.Analytic}, "tpu-v4", "gpt3-2.7b")
	d := Compare(read(t, a), read(t, b))
	if len(d.Warnings) != 3 || len(d.Inputs.Model.Differences) == 0 || len(d.Inputs.Machine.Differences) < 20 {
		t.Errorf("warnings %q, inputs %+v", d.Warnings, d.Inputs)
	}
	states := map[string]bool{}
	for i := range d.Operators {
		states[d.Operators[i].State] = true
	}
	if !states["added"] || !states["removed"] || !states["both"] {
		t.Errorf("states %v", states)
	}
	for _, style := range []report.Style{{}, {Unicode: true, Color: true}} {
		var text, csv bytes.Buffer
		if err := errors.Join(d.Text(&text, style), d.CSV(&csv)); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text.String(), "warning: the two differ in phase") || bytes.Contains(text.Bytes(), []byte("NaN")) {
			t.Error(text.String())
		}
	}
}

// What is no result is refused with the place.
func TestMalformed(t *testing.T) {
	good := `{"schema":"strata.run/1","arch":"m","seconds":1,"stalls":{"hbm":1}}`
	if _, err := Read("good.json", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"empty", " ", "f:1: the file is empty"},
		{"no JSON", "\n\nhello", "f:3: not JSON"},
		{"cut", good[:40], "cut off"},
		{"list", "[1]", "f:1: array, not a result"},
		{"other schema", "{\n\"schema\":\"strata.stats/1\"}", `f:2: schema: "strata.stats/1" is not that of a result`},
		{"no schema", "{}", "f:1: schema: missing"},
		{"no stalls", `{"schema":"strata.run/1","arch":"m","seconds":1}`, "stalls: missing"},
		{"wrong type", strings.Replace(good, `"seconds":1`, "\n\"seconds\":\"1\"", 1), "f:2: seconds: string where a number belongs"},
		{"negative", strings.Replace(good, `"seconds":1`, `"seconds":-1`, 1), "seconds: -1: must be"},
		{"two", good + "\n" + good, "f:2: a second value"},
		{"op without kind", `{"schema":"strata.op/1","arch":"m","seconds":1,"stalls":{}}`, "op: its kind is missing"},
	} {
		_, err := Read("f", []byte(tt.text))
		var malformed *Malformed
		if !errors.As(err, &malformed) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// Causes that this version does not know are a part of their own.
func TestOther(t *testing.T) {
	a, err := Read("a", []byte(`{"schema":"strata.run/2","arch":"m","seconds":3,"stalls":{"hbm":1,"quantum":2},"bubble_seconds":0.5,"new":{"watts":3,"mode":"slow","list":[{"a":1}]},"manifest":{"pins":"x"}}`))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Read("b", []byte(`{"schema":"strata.run/2","arch":"m","seconds":4,"stalls":{"hbm":1,"quantum":3},"bubble_seconds":1.5,"new":{"watts":4,"mode":"fast","list":[{"a":2}]},"manifest":{"pins":"y"}}`))
	if err != nil {
		t.Fatal(err)
	}
	d := Compare(a, b)
	if last := d.Stalls[len(d.Stalls)-1]; last.Name != other || last.Delta != 1 || *last.Share != 1 {
		t.Errorf("%+v", last)
	}
	if f := d.Figures; len(f) != 2 || f[0].Name != "bubble_seconds" || f[0].Delta != 1 || f[1].Name != "new.watts" || f[1].Delta != 1 {
		t.Errorf("%+v", f)
	}
	if o := d.Inputs.Options; len(o) != 2 || o[0].Path != "manifest.pins" || o[1].Path != "new.mode" || o[1].After != "fast" {
		t.Errorf("%+v", o)
	}
	if len(d.Warnings) != 2 {
		t.Errorf("%q", d.Warnings)
	}
}

// Figures are printed by the unit in their name, also where a quantile follows it.
func TestShown(t *testing.T) {
	for name, want := range map[string]string{"latency_seconds.p50": "1.500 s", "peak_watts": "1.500 W", "d.tokens_per_second.mean": "1.500 tok/s", "joules_per_request.max": "1.500 J",
		"kv_bytes": "1 B", "hfu": "150.0 %", "events": "1.5", "clock_hertz": "0 MHz"} {
		if got := shown(name)(1.5); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestSetOf(t *testing.T) {
	got := setOf(changesOf([]string{"power is high", "changed: a[x].b=1 GB/s, c=[1, 2, 3], d=yes"}))
	if len(got) != 3 || got["a[x].b"] != "1 GB/s" || got["c"] != "[1, 2, 3]" || got["d"] != "yes" {
		t.Errorf("%q", got)
	}
}

// The effects of the inputs one at a time sum to the change, whether the requests come from rows or are found again.
func TestAttribute(t *testing.T) {
	rowA, textA := answer(t, experiments.Options{Phase: "decode", Batch: 4, Runtime: "vllm"}, "a100-sxm-80gb", "llama2-7b")
	rowB, textB := answer(t, experiments.Options{Phase: "decode", Batch: 8, TP: 2, Runtime: "vllm"}, "a100-sxm-80gb", "llama2-13b", "chip.memory[hbm].bandwidth=3 TB/s", "chip.clock=1.5 GHz")
	a, err := OfRow("r.db:a", rowA)
	if err != nil {
		t.Fatal(err)
	}
	b, err := OfRow("r.db:b", rowB)
	if err != nil {
		t.Fatal(err)
	}
	for _, sides := range [][2]*Result{{a, b}, {read(t, textA), read(t, textB)}} {
		d := Compare(sides[0], sides[1])
		if err := d.Attribute(context.Background(), sides[0], sides[1], nil); err != nil {
			t.Fatal(err)
		}
		names := map[string]float64{}
		var sum int64
		for i := range d.Effects {
			e := &d.Effects[i]
			sum += e.Picoseconds
			names[e.Name] = e.Delta
			if e.Note != "" {
				t.Errorf("%+v", e)
			}
		}
		if sum != d.Time.Picoseconds {
			t.Errorf("effects sum to %d, not %d ps", sum, d.Time.Picoseconds)
		}
		if len(names) != 6 || names["chip.memory[hbm].bandwidth"] >= 0 || names["chip.clock"] >= 0 || names["the model"] <= 0 || names["batch"] <= 0 || names["tp"] >= 0 {
			t.Errorf("%v", names)
		}
	}
	// With itself there is nothing to try; what another version made is not compared with this one.
	d := Compare(a, a)
	if err := d.Attribute(context.Background(), a, a, nil); err != nil || len(d.Effects) != 1 || d.Effects[0].Picoseconds != 0 {
		t.Errorf("%+v, %v", d.Effects, err)
	}
	// Options that cannot be told from an answer are not passed over.
	odd := read(t, bytes.Replace(textB, []byte(b.answer.Manifest.Key), []byte(strings.Repeat("0", 64)), 1))
	d = Compare(a, odd)
	if err := d.Attribute(context.Background(), a, odd, nil); err != nil || len(d.Effects) < 2 || !strings.Contains(d.Effects[len(d.Effects)-2].Note, "cannot be told") {
		t.Errorf("%+v, %v", d.Effects, err)
	}
	other := *a
	other.answer.Seconds *= 2
	if err := d.Attribute(context.Background(), &other, a, nil); err == nil || !strings.Contains(err.Error(), "run it again first") {
		t.Error(err)
	}
	unknown, err := Read("u", []byte(`{"schema":"strata.run/1","arch":"m","seconds":1,"stalls":{"hbm":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	unknown.Find(Candidates{})
	if err := d.Attribute(context.Background(), unknown, a, nil); err == nil || !strings.Contains(err.Error(), "inputs are not known (the answer has no arch_hash; the answer has no graph_hash)") {
		t.Error(err)
	}
}

// A row without an answer says why.
func TestUnfitRow(t *testing.T) {
	row := store.Row{Key: "k", Values: store.Values{"status": "infeasible", "reason": "too big"}}
	if _, err := OfRow(filepath.Join("r.db", "k"), row); err == nil || !strings.Contains(err.Error(), "infeasible: too big") {
		t.Error(err)
	}
}
