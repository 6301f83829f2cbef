package oracle_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/oracle"
	spaces "github.com/stratasim/strata/experiments/sweep"
	"github.com/stratasim/strata/traces/llm"
)

// byName finds presets.
type byName struct{}

func (byName) Machine(name string) (*arch.Machine, error) { return experiments.MachineOf(name, nil) }
func (byName) Model(name string) (*llm.Model, error)      { return experiments.ModelOf(name) }

// smallSpace has an axis of every kind: lists, ranges with steps, open ranges, a condition, a parameter, leaves of machine and model, options.
const smallSpace = `
name: small
arch: h100-sxm
model: llama2-7b
workload: {phase: decode, prompt: 128, layers: 1, generate: 7}
axes:
  - {path: "chip.memory[hbm].bandwidth", name: hbm, range: {from: 1 TB/s, to: 4 TB/s}}
  - {path: chip.cores.count, name: cores, range: {from: 32, to: 132}}
  - {path: model.num_attention_heads, values: [6, 8, 16]}
  - {path: model.num_key_value_heads, values: [2, 4, 16]}
  - {name: ratio, range: {from: 1, to: 3}}
  - {path: tp, values: [1, 2]}
  - {path: batch, log: {from: 1, to: 64, factor: 4}, when: "tp == 2"}
  - {path: dtype, values: [bf16, fp8]}
  - {path: host_sync, values: [true, false]}
derived:
  model.hidden_size: 128 * num_attention_heads
  model.intermediate_size: round(ratio * hidden_size / 64) * 64
constraints: ["parameters < 500e6 && cores < 130", "seconds < 1", "num_key_value_heads != 4"]
columns: {edp: joules * seconds, odd: "1 / (batch - 1)"}
objectives: [{column: edp}]
`

// askFor answers a request and takes the answer apart.
func askFor(tb testing.TB, o *oracle.Oracle, line string) map[string]any {
	tb.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(answer(tb, o, line)), &m); err != nil {
		tb.Fatal(err)
	}
	return m
}

func quoted(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// The answer to a point is that to the request which says the same without a space, with figures of the point on top, for every space
// that comes with strata and both fidelities.
func TestPointIsItsRequest(t *testing.T) {
	for _, name := range append(oracle.Spaces(), "") {
		text := oracle.SpaceFile(name)
		x := quoted(name)
		if name == "" {
			text = []byte(smallSpace)
			x = `{"yaml":` + quoted(smallSpace) + `}`
		}
		s, err := spaces.ReadDescription(name, text, byName{}, spaces.Limits{Values: 1000})
		if err != nil {
			t.Fatal(err)
		}
		compared := 0
		for i, values := range s.Sample(7, 6) {
			c, err := spaces.NewBuilder(s).Candidate(values)
			if err != nil {
				t.Fatal(err)
			}
			explicit, err := oracle.ExplicitRequest(c)
			if err != nil {
				if name == "hw-gpt-bench-s" { // one of its choices has no family of transformers
					continue
				}
				t.Fatal(err)
			}
			compared++
			fidelity := []string{"analytic", "event"}[i%2]
			o := oracle.New(oracle.Options{})
			point := answer(t, o, `{"id":1,"space":`+x+`,"point":`+s.Parameters(values)+`,"fidelity":"`+fidelity+`"}`)
			var e map[string]any
			if err := json.Unmarshal(explicit, &e); err != nil {
				t.Fatalf("%s: %v", explicit, err)
			}
			e["fidelity"], e["id"] = fidelity, 1
			line, _ := json.Marshal(e)
			plain := answer(t, oracle.New(oracle.Options{}), string(line))
			if !strings.Contains(plain, `"status":"ok"`) {
				t.Fatalf("%s: %s", line, plain)
			}
			if got, ok := strings.CutPrefix(point, strings.TrimSuffix(plain, "}")); !ok || !strings.HasPrefix(got, `,"columns":{"parameters":`) {
				t.Errorf("%s\n%s\nis not\n%s", name, point, plain)
			}
			if again := answer(t, o, `{"id":1,"space":`+x+`,"point":`+s.Parameters(values)+`,"fidelity":"`+fidelity+`"}`); again != point {
				t.Errorf("the second time: %s", again)
			}
		}
		if compared == 0 {
			t.Errorf("%s: nothing to compare", name)
		}
	}
}

// What a space leaves out is left out of its points.
func TestPointIsIdeal(t *testing.T) {
	seconds := map[string]float64{}
	for _, workload := range []string{`{"phase":"decode"}`, `{"phase":"decode","ideal":"refresh,launch"}`} {
		text := answer(t, oracle.New(oracle.Options{}), `{"space":{"name":"x","arch":"h100-sxm","model":"llama2-7b","workload":`+workload+`,"axes":[{"path":"batch","values":["1"]}]},"point":{"batch":1}}`)
		var got eval.Answer
		if err := json.Unmarshal([]byte(text), &got); err != nil || !(got.Seconds > 0) {
			t.Fatal(text, err)
		}
		seconds[strings.Join(got.Ideal, " ")] = got.Seconds
	}
	if !(seconds["launch refresh"] < 0.95*seconds[""]) {
		t.Errorf("without launches and refresh, and with them: %v s", seconds)
	}
}

// A sweep of a space and estimates of its points agree.
func TestPointIsThatOfTheSweep(t *testing.T) {
	s, err := spaces.ReadDescription("small", []byte(smallSpace), byName{}, spaces.Limits{Values: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, values := range s.Sample(3, 4) {
		b, err := spaces.NewBuilder(s).Build(values)
		if err != nil {
			t.Fatal(err)
		}
		r := b.Request
		r.Fidelity = "analytic"
		a := askFor(t, oracle.New(oracle.Options{}), `{"space":{"yaml":`+quoted(smallSpace)+`},"point":`+s.Parameters(values)+`}`)
		res, err := eval.Run(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if a["seconds"] != res.Answer.Seconds || a["joules"] != res.Answer.Energy.Joules || a["manifest"].(map[string]any)["graph_hash"] != res.Answer.Manifest.GraphHash {
			t.Errorf("%s: %v s, in the sweep %v s", s.Parameters(values), a["seconds"], res.Answer.Seconds)
		}
	}
}

// What a space is, and the ways to name it.
func TestSpaceIsDescribed(t *testing.T) {
	o := oracle.New(oracle.Options{})
	yaml := `{"yaml":` + quoted(smallSpace) + `}`
	d := askFor(t, o, `{"id":"d","space":`+yaml+`}`)["space"].(map[string]any)
	text, _ := json.Marshal(d)
	for _, want := range []string{`"name":"small"`, `"points":null`,
		`{"high":4000000000000,"log":false,"low":1000000000000,"name":"hbm","type":"float"}`, `{"high":132,"log":false,"low":32,"name":"cores","type":"int"}`,
		`{"name":"num_attention_heads","type":"int","values":[6,8,16]}`, `{"high":3,"log":false,"low":1,"name":"ratio","type":"int"}`,
		`{"name":"batch","type":"int","values":[1,4,16,64],"when":"tp == 2"}`, `{"name":"dtype","type":"categorical","values":["bf16","fp8"]}`,
		`{"name":"host_sync","type":"bool","values":[true,false]}`, `"columns":["edp","odd"]`, `"objectives":[{"column":"edp","goal":"min"}]`} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	id := d["hash"].(string)
	if again := askFor(t, o, `{"space":`+quoted(id)+`}`)["space"].(map[string]any)["hash"]; again != id {
		t.Errorf("by its hash it is %v", again)
	}
	if a := askFor(t, oracle.New(oracle.Options{}), `{"space":`+quoted(id)+`}`); a["error"].(map[string]any)["code"] != "unknown-space" {
		t.Errorf("to an oracle that never saw it: %v", a)
	}
	object := `{"name":"o","arch":"h100-sxm","model":"llama2-7b","axes":[{"path":"batch","values":["1","2"]}]}`
	if a := askFor(t, o, `{"space":`+object+`}`); a["status"] != "ok" || a["space"].(map[string]any)["points"] != 2.0 {
		t.Errorf("as an object: %v", a)
	}
	// Forgotten: as many others were asked for since.
	for i := range 40 {
		askFor(t, o, fmt.Sprintf(`{"space":{"name":"o%d","arch":"h100-sxm","model":"llama2-7b","axes":[{"path":"batch","values":["1","2"]}]}}`, i))
	}
	if a := askFor(t, o, `{"space":`+quoted(id)+`,"point":{}}`); a["error"].(map[string]any)["code"] != "unknown-space" {
		t.Errorf("after 40 others: %v", a)
	}
	// A machine and a model that were added without a name.
	machine, _, err := o.AddMachine([]byte("base: h100-sxm\nname: mine\n"))
	if err != nil {
		t.Fatal(err)
	}
	of := `{"space":{"name":"o","arch":` + quoted(machine) + `,"model":"llama2-7b","set":{"chip.memory[hbm].bandwidth":"4 TB/s"},"axes":[{"path":"batch","values":["1","2"]}]},"point":{"batch":2}}`
	if a := askFor(t, oracle.New(oracle.Options{}), of); a["error"].(map[string]any)["path"] != "/space/arch" {
		t.Errorf("a machine that nobody added: %v", a)
	}
	if a := askFor(t, o, of); a["status"] != "ok" || a["arch"] != "mine" {
		t.Errorf("a machine that was added: %v", a)
	}
	file := filepath.Join(t.TempDir(), "s.yaml")
	if err := os.WriteFile(file, []byte(smallSpace), 0o644); err != nil {
		t.Fatal(err)
	}
	if a := askFor(t, oracle.New(oracle.Options{Files: true}), `{"space":`+quoted(file)+`}`); a["space"].(map[string]any)["hash"] != id {
		t.Errorf("from a file: %v", a)
	}
	if a := askFor(t, o, `{"space":`+quoted(file)+`}`); a["status"] != "invalid" {
		t.Errorf("strangers read files: %v", a)
	}
}

const smallPoint = `"hbm":2e12,"cores":"100","num_attention_heads":8,"num_key_value_heads":2,"ratio":2,"tp":1,"dtype":"bf16","host_sync":false`

// What is wrong with a point, and where.
func TestPointErrors(t *testing.T) {
	o := oracle.New(oracle.Options{})
	space := `{"yaml":` + quoted(smallSpace) + `}`
	point := strings.Replace(smallPoint, `"100"`, "100", 1)
	with := func(from, to string) string {
		if !strings.Contains(point, from) {
			t.Fatalf("no %s", from)
		}
		return `{"space":` + space + `,"point":{` + strings.Replace(point, from, to, 1) + `}}`
	}
	plain := `{"space":` + space + `,"point":{` + point + `}}`
	expressions := func(members string) string {
		return `{"space":{"name":"x","arch":"h100-sxm","model":"llama2-7b","axes":[{"path":"batch","values":["1","2"]}],` + members + `}}`
	}
	if a := askFor(t, o, plain); a["status"] != "ok" {
		t.Fatal(a)
	}
	for _, tt := range []struct{ line, want string }{
		{with(`"tp":1`, `"tp":3`), `invalid range /point/tp 3 is none of its values; one of 1, 2`},
		{with(`"tp":1`, `"tp":"1"`), ``}, // a text that is a value of the list
		{with(`"tp":1`, `"tp":[1]`), `invalid type /point/tp it takes a number, a text or a truth; one of 1, 2`},
		{with(`"tp":1`, `"tp":true`), `invalid unknown-value /point/tp true is none of its values; one of 1, 2`},
		{with(`"tp":1,`, ``), `invalid missing /point/tp missing: tp; one of 1, 2`},
		{with(`"tp":1,`, `"tp":null,`), `invalid missing /point/tp missing: tp; one of 1, 2`},
		{with(`"tp":1`, `"tp":2`), `invalid missing /point/batch missing: batch; one of 1, 4, 16, 64`},
		{with(`"tp":1`, `"tp":1,"batch":5`), `invalid range /point/batch 5 is none of its values; one of 1, 4, 16, 64`},
		{with(`"tp":1`, `"tp":1,"batch":4`), ``}, // it has no effect
		{with(`"tp":1`, `"tp":1,"tq":4`), `invalid unknown-member /point/tq the space has no parameter "tq"; did you mean "tp"?`},
		{with(`"tp":1`, `"tp":1,"tp":2`), `invalid duplicate-member /point/tp member "tp" is there twice; leave one of them out`},
		{with(`"hbm":2e12`, `"hbm":5e12`), `invalid range /point/hbm 5e+12 is out of its range; a number from 1e+12 to 4e+12`},
		{with(`"hbm":2e12`, `"hbm":1e999`), `invalid range /point/hbm 1e999 is too large; a number from 1e+12 to 4e+12`},
		{with(`"cores":100`, `"cores":100.5`), `invalid range /point/cores 100.5 is no whole number; a whole number from 32 to 132`},
		{with(`"dtype":"bf16"`, `"dtype":"bf17"`), `invalid unknown-value /point/dtype "bf17" is none of its values; one of "bf16", "fp8"`},
		{with(`"cores":100`, `"cores":131`), `infeasible constraint /point the point does not keep to parameters < 500e6 && cores < 130; `},
		{with(`"num_key_value_heads":2`, `"num_key_value_heads":16`), `infeasible point /point kv_heads: 8 query heads cannot share 16 key/value heads evenly (kv_heads must divide heads); `},
		{`{"space":` + space + `,"point":[]}`, `invalid type /point must be an object, is an array; `},
		{`{"space":` + space + `,"point":{` + point + `},"batch":1}`, `invalid unknown-member /batch there is no member "batch" here*`},
		{`{"space":` + space + `,"point":{` + point + `},"mapping":{}}`, `invalid conflict /mapping a space says itself how its points are mapped; leave it out`},
		{`{"space":` + space + `,"point":{` + point + `},"arch":"h100-sxm"}`, `invalid unknown-member /arch there is no member "arch" here*`},
		{`{"space":` + space + `,"model":"llama2-7b"}`, `invalid conflict  op, model, systolic, dram, network and space exclude one another; `},
		{`{"space":7}`, `invalid type /space must be the name of a space or a sweep file as an object, is a number; `},
		{`{"space":{"yaml":1}}`, `invalid type /space/yaml must be the text of a sweep file, and nothing beside it; {"yaml":"name: …"}`},
		{`{"space":{"yaml":"a: ["}}`, `invalid value /space *`},
		{`{"space":"nothing"}`, `invalid unknown-space /space unknown space "nothing"; known: hw-gpt-bench-s, llama-like, moe-like`},
		{`{"space":{"name":"x","arch":"h100","model":"llama2-7b","axes":[{"path":"batch","values":["1"]}]}}`, `invalid value /space/arch *`},
		{`{"space":{"name":"x","arch":"h100-sxm","model":"llama2-7b","axes":[{"path":"batch","range":{"from":"1","to":"90000","step":"1"}}]}}`, `invalid value /space/axes/0/range/step *`},
		{`{"space":{"name":"x","arch":"h100-sxm","model":"llama2-7b","workload":{"exact":"true"},"axes":[{"path":"batch","values":["1"]}]},"point":{"batch":1}}`, `unsupported not-simulated /point estimates have no option exact; leave it out`},
		{`{"space":{"name":"x","arch":"h100-sxm","model":"llama2-7b","axes":[{"path":"batch","values":["1"]}],"columns":{"a":"sum(1..999999)"}}}`, `invalid value /space/columns/a line 1: sum(1..999999): a range is not for spaces that are asked about; write the cases out`},
		{`{"space":{"name":"x","arch":"h100-sxm","model":"llama2-7b","axes":[{"path":"batch","values":["1"]}],"constraints":["all([1, 2], # < batch)"]}}`, `invalid value /space/constraints/0 line 1: all([1, 2], # < batch): a loop over a list is not for spaces that are asked about; write the cases out`},
		{expressions(`"columns":{"a":"len(replace(repeat('a', 9), 'a', 'bb'))"}`), `invalid value /space/columns/a line 1: len(replace(repeat('a', 9), 'a', 'bb')): re*`},
		{expressions(`"constraints":["let a = 'x'; let b = a + a; b + b != 'y'"]`), `invalid value /space/constraints/0 line 1: let a = 'x'; let b = a + a; b + b != 'y': let is not for spaces that are asked about; write the cases out`},
		{expressions(`"constraints":["batch.foo() < 1"]`), `invalid value /space/constraints/0 line 1: batch.foo() < 1: batch.foo is not for*`},
		{expressions(`"constraints":["` + strings.Repeat("-", 8000) + `batch < 1","` + strings.Repeat("batch<9&&", 20) + `batch < 1"]`), `invalid value /space line 1: the expressions have 8198 bytes together, those of spaces that are asked about at most 8192; `},
		{`{"space":{"name":"x","arch":"h100-sxm","model":"llama2-7b","axes":[{"name":"s","values":["` + strings.Repeat("s", 513) + `"]}],"derived":{"model.num_hidden_layers":"len(s+s)"}}}`,
			`invalid value /space/axes/0/values a value has 513 bytes, at most 512 are allowed in spaces that are asked about; `},
		{expressions(`"set":{"b":"1"` + numbered(1000, `,"a%d":"1"`) + `}`), `invalid value /space/set line 1: 1001 changes, at most 1000 are allowed in spaces that are asked about; `},
		{`{"space":{"name":"x","arch":"h100-sxm","model":"llama2-7b","axes":[{"path":"batch","also":["tp"` + strings.Repeat(`,"tp"`, 64) + `],"values":["1"]}]}}`,
			`invalid value /space/axes/0/also line 1: 65 leaves, at most 64 are allowed in spaces that are asked about; `},
		{expressions(`"derived":{"model.num_hidden_layers":"max(round(batch * 1.5), int('3'), bitand(7, 4))"},"constraints":["quantity('3 GB') > parameter_bytes or hasPrefix(dtype, 'b')"]`), ``},
		{`{"space":` + space + `,"limits":{"seconds":1}}`, `invalid not-applicable /limits/seconds the answer has no figure seconds; this answer has none`},
	} {
		a := askFor(t, o, tt.line)
		got := ""
		if a["status"] != "ok" {
			e := a["error"].(map[string]any)
			got = fmt.Sprintf("%s %s %s %s; %s", a["status"], e["code"], e["path"], e["message"], e["hint"])
		}
		if start, any := strings.CutSuffix(tt.want, "*"); any {
			if !strings.HasPrefix(got, start) {
				t.Errorf("%s:\n%s, want\n%s", tt.line, got, tt.want)
			}
		} else if got != tt.want {
			t.Errorf("%s:\n%s, want\n%s", tt.line[len(tt.line)/2:], got, tt.want)
		}
	}
	// An axis without effect has none on the answer.
	if one, other := answer(t, o, plain), answer(t, o, with(`"tp":1`, `"tp":1,"batch":4`)); one != other {
		t.Errorf("%s\n%s", one, other)
	}
	// Violations: signed, those of conditions before and after the run, and those of limits.
	v := askFor(t, o, `{"space":`+space+`,"point":{`+point+`},"limits":{"joules":1e9}}`)
	want := map[string]bool{"parameters < 500e6 && cores < 130": false, "seconds < 1": false, "num_key_value_heads != 4": false, "joules": false}
	got := map[string]bool{}
	for n, by := range v["violations"].(map[string]any) {
		got[n] = by.(float64) > 0
	}
	if !maps.Equal(got, want) {
		t.Errorf("violations %v", v["violations"])
	}
	// Chosen figures come with the columns of the space.
	m := askFor(t, o, `{"space":`+space+`,"point":{`+point+`},"metrics":["mfu"]}`)
	if m["mfu"] != v["mfu"] || m["seconds"] != nil || m["columns"].(map[string]any)["edp"] == nil || len(m["violations"].(map[string]any)) != 3 {
		t.Errorf("metrics: %v", m)
	}
	c := v["columns"].(map[string]any)
	if c["edp"] != v["joules"].(float64)*v["seconds"].(float64) || c["odd"] != nil || c["area_mm2"] == nil {
		t.Errorf("columns %v", c)
	}
}

// Texts of values may have any character, and points that differ are not taken for one another.
func TestPointsOfOddTextsDiffer(t *testing.T) {
	o := oracle.New(oracle.Options{})
	space := `{"name":"x","arch":"h100-sxm","model":"llama2-7b","workload":{"phase":"decode"},"axes":[{"name":"a","values":["p","p\u0000=q","p;1=q"]},{"name":"b","values":["q\u0000=r","r","q;1=r"]}],` +
		`"derived":{"model.num_hidden_layers":"(a == 'p' ? 1 : 2)","model.num_attention_heads":"(b == 'r' ? 64 : 32)"}}`
	seen := map[string]string{}
	for _, a := range []string{"p", `p\u0000=q`} {
		for _, b := range []string{"r", `q\u0000=r`} {
			point := `{"a":"` + a + `","b":"` + b + `"}`
			got := answer(t, o, `{"space":`+space+`,"point":`+point+`}`)
			if !strings.HasPrefix(got, `{"status":"ok"`) {
				t.Fatal(got)
			}
			if other := seen[got]; other != "" {
				t.Errorf("%s is answered as %s", point, other)
			}
			seen[got] = point
		}
	}
}

// A machine beside the file of a space is that of its points too, wherever the program was started.
func TestPointHasTheMachineBesideItsSpace(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"m.yaml": "base: a100-sxm-80gb\nname: mine\n",
		"s.yaml": "name: s\narch: m.yaml\nmodel: llama2-7b\nworkload: {phase: decode}\naxes:\n  - {path: batch, values: [1, 2]}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := askFor(t, oracle.New(oracle.Options{Files: true}), `{"space":`+quoted(filepath.Join(dir, "s.yaml"))+`,"point":{"batch":2}}`)
	if a["status"] != "ok" || a["arch"] != "mine" {
		t.Error(a["arch"], a["error"])
	}
	text := []byte("name: s\narch: m.yaml\nmodel: llama2-7b\nworkload: {phase: decode}\naxes:\n  - {path: model.num_hidden_layers, values: [4, 8]}\n")
	is, err := oracle.ReadSpace("s.yaml", text, inDir(dir), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := oracle.New(oracle.Options{Files: true}).LUT(t.Context(), is, oracle.LUTOptions{Samples: 2, Dir: dir}); err != nil {
		t.Error(err)
	}
}

// inDir finds machines that are files of a directory, and presets of models.
type inDir string

func (d inDir) Machine(name string) (*arch.Machine, error) {
	return experiments.MachineOf(filepath.Join(string(d), name), nil)
}
func (inDir) Model(name string) (*llm.Model, error) { return experiments.ModelOf(name) }

// A point says nothing of itself when the machine of its space was forgotten, and is answered when that is posted again.
func TestPointOfForgottenMachine(t *testing.T) {
	o := oracle.New(oracle.Options{})
	o.KeepAdded(200 << 10)
	post := func(i int) string {
		id, _, err := o.AddMachine(fmt.Appendf(nil, "base: a100-sxm-80gb\nname: m%d\n", i))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	d, err := o.AddSpace([]byte("name: s\narch: " + quoted(post(0)) + "\nmodel: llama2-7b\nworkload: {phase: decode}\naxes:\n  - {path: batch, values: [1, 2]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < 20; i++ {
		post(i)
	}
	line := `{"space":` + quoted(d.Hash) + `,"point":{"batch":2}}`
	a := askFor(t, o, line)
	if e, _ := a["error"].(map[string]any); a["status"] != "invalid" || e["code"] != "unknown-arch" || e["path"] != "/space" {
		t.Error(a)
	}
	post(0)
	if a := askFor(t, o, line); a["status"] != "ok" {
		t.Error(a)
	}
}

// Whatever a program draws from what a space says of itself is answered, or not feasible; never wrong.
func TestDrawnPointsAreNeverInvalid(t *testing.T) {
	o := oracle.New(oracle.Options{})
	list := append(oracle.Spaces(), "")
	rapid.Check(t, func(r *rapid.T) {
		x := quoted(rapid.SampledFrom(list).Draw(r, "space"))
		if x == `""` {
			x = `{"yaml":` + quoted(smallSpace) + `}`
		}
		var d struct{ Space oracle.SpaceDescription }
		if err := json.Unmarshal([]byte(answer(t, o, `{"space":`+x+`}`)), &d); err != nil {
			r.Fatal(err)
		}
		point := map[string]any{}
		for _, p := range d.Space.Parameters {
			switch {
			case p.When != "" && rapid.Bool().Draw(r, "left out"):
				// It may only be left out where it has no effect: batch goes with tp 2.
				if point["tp"] == 2.0 {
					point[p.Name] = rapid.SampledFrom(p.Values).Draw(r, p.Name)
				}
			case p.Values != nil:
				point[p.Name] = rapid.SampledFrom(p.Values).Draw(r, p.Name)
			default:
				low, high := p.Low.(float64), p.High.(float64)
				v := rapid.Float64Range(low, high).Draw(r, p.Name)
				if step, ok := p.Step.(float64); ok {
					v = low + step*float64(int((v-low)/step))
				} else if p.Type == "int" {
					v = float64(int(v))
				}
				point[p.Name] = v
			}
		}
		text, _ := json.Marshal(point)
		a := askFor(t, o, `{"space":`+x+`,"point":`+string(text)+`}`)
		if s := a["status"]; s != "ok" && s != "infeasible" {
			r.Fatalf("%s: %v", text, a)
		}
		if a["status"] == "ok" && len(d.Space.Constraints) > 0 && len(a["violations"].(map[string]any)) != len(d.Space.Constraints) {
			r.Fatalf("violations %v", a["violations"])
		}
	})
}

// Points of a batch that are worked on together, of a space that nobody asked about before, have the answers that they have one by one.
func TestPointsTogether(t *testing.T) {
	s, err := spaces.Read("", oracle.SpaceFile("llama-like"), byName{})
	if err != nil {
		t.Fatal(err)
	}
	one, all := oracle.New(oracle.Options{}), oracle.New(oracle.Options{Workers: 8})
	var lines, want []string
	for i, values := range s.Sample(11, 24) {
		lines = append(lines, string(oracle.SpaceRequest(s, fmt.Sprint(i), "llama-like", values)))
		want = append(want, answer(t, one, lines[i]))
	}
	if got := answer(t, all, "["+strings.Join(lines, ",")+"]"); got != "["+strings.Join(want, ",")+"]" {
		t.Errorf("%.300s\nis not\n%.300s", got, want)
	}
}

// FuzzSpace: whatever a space or a point is, there is an answer with a status that is no fault.
func FuzzSpace(f *testing.F) {
	small, _ := json.Marshal(smallSpace)
	for _, s := range []string{`"llama-like"`, `{"yaml":` + string(small) + `}`, `"sha256:1"`,
		`{"name":"o","arch":"h100-sxm","model":"llama2-7b","axes":[{"path":"batch","values":["1","2"]}],"derived":{"model.layers":"batch"}}`,
		`{"name":"o","arch":"h100-sxm","model":"llama2-7b","workload":{"phase":"train","recompute":"full"},"axes":[{"name":"a","log":{"from":"1","to":"9"}}],"derived":{"global_batch":"a"},"quality":{"law":"kaplan2020","tokens":1}}`,
		`{"name":"o","arch":"h100-sxm","model":"llama2-7b","axes":[{"path":"model.moe.experts","values":["8"]}],"model_set":{"moe.top_k":"2","moe.ffn":"64"}}`} {
		f.Add([]byte(s), []byte(`{`+smallPoint+`}`))
		f.Add([]byte(s), []byte(`{"batch":1,"a":2.5,"num_local_experts":8}`))
	}
	o := oracle.New(oracle.Options{Workers: 1, CacheBytes: 1 << 20})
	f.Fuzz(func(t *testing.T, space, point []byte) {
		if len(space)+len(point) > 4096 || bytes.ContainsAny(space, "\n") || bytes.ContainsAny(point, "\n") {
			t.Skip("a line of some kilobytes")
		}
		for _, line := range []string{`{"space":` + string(space) + `}`, `{"space":` + string(space) + `,"point":` + string(point) + `}`} {
			a, err := o.Answer(t.Context(), []byte(line))
			if err != nil {
				t.Fatal(err)
			}
			var got struct{ Status oracle.Status }
			if err := json.Unmarshal(a, &got); err != nil {
				t.Fatalf("%s: %v", a, err)
			}
			if got.Status == "" || got.Status == oracle.Failed {
				t.Fatalf("%s: %s", line, a)
			}
		}
	})
}

// BenchmarkSpacePoint answers points of a known space with architectures that were never asked for, and the same architectures without
// a space for comparison. What a point takes besides its estimate is in "rejected", of points that a constraint on the parameters rejects.
func BenchmarkSpacePoint(b *testing.B) {
	text := string(oracle.SpaceFile("llama-like"))
	s, err := spaces.Read("", []byte(text), byName{})
	if err != nil {
		b.Fatal(err)
	}
	points := s.Sample(1, 1500)
	var lines [3][]string
	never := quoted(strings.Replace(text, "parameters < 12e9", "parameters < 1000", 1))
	for i, values := range points {
		c, err := spaces.NewBuilder(s).Candidate(values)
		if err != nil {
			b.Fatal(err)
		}
		explicit, err := oracle.ExplicitRequest(c)
		if err != nil {
			b.Fatal(err)
		}
		point := string(oracle.SpaceRequest(s, "1", "llama-like", values))
		lines[0] = append(lines[0], string(explicit))
		lines[1] = append(lines[1], point)
		if i == 0 {
			var d struct{ Space oracle.SpaceDescription }
			o := oracle.New(oracle.Options{})
			if err := json.Unmarshal([]byte(answer(b, o, `{"space":{"yaml":`+never+`}}`)), &d); err != nil {
				b.Fatal(err)
			}
			lines[2] = append(lines[2], `{"space":{"yaml":`+never+`}}`)
			never = quoted(d.Space.Hash)
			continue
		}
		lines[2] = append(lines[2], strings.Replace(point, `"llama-like"`, never, 1))
	}
	for i, name := range []string{"explicit", "point", "rejected"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			o := oracle.New(oracle.Options{CacheBytes: 1})
			answer(b, o, lines[i][0])
			answer(b, o, lines[i][1])
			k := 2
			for b.Loop() {
				if k == len(points) {
					b.StopTimer()
					o = oracle.New(oracle.Options{CacheBytes: 1})
					answer(b, o, lines[i][0])
					answer(b, o, lines[i][1])
					k = 2
					b.StartTimer()
				}
				answer(b, o, lines[i][k])
				k++
			}
		})
	}
}

// replaced replaces a part of a text that must be there.
func replaced(text, from, to string) string {
	if !strings.Contains(text, from) {
		panic("no " + from)
	}
	return strings.ReplaceAll(text, from, to)
}

// numbered is a text n times with 0, 1, … in it.
func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// TestSpaceEnds: reading a space ends with the context, and another request that waits for the same text reads it anew.
func TestSpaceEnds(t *testing.T) {
	o := oracle.New(oracle.Options{})
	text := []byte("name: s\narch: a100-sxm-80gb\nmodel: llama2-7b\nworkload: {phase: decode}\naxes:\n  - {path: batch, values: [1, 2]}\n")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if d, err := o.AddSpaceContext(over, text); !errors.Is(err, context.Canceled) || d.Name != "" {
		t.Errorf("%v %v", d, err)
	}
	if d, err := o.AddSpaceContext(t.Context(), text); err != nil || d.Name != "s" {
		t.Errorf("%v %v", d, err)
	}
	if id, _, err := o.AddMachineContext(over, []byte("base: a100-sxm-80gb\nname: m\n")); !errors.Is(err, context.Canceled) {
		t.Error(id, err)
	}
	if id, _, err := o.AddModelContext(over, []byte("{}")); !errors.Is(err, context.Canceled) {
		t.Error(id, err)
	}
	if a := askFor(t, o, `{"timeout_seconds":0.001,"space":{"name":"t","arch":"h100-sxm","model":"llama2-7b","axes":[{"path":"chip.memory[hbm].bandwidth","values":["1 GB/s"`+numbered(9000, `,"2%d GB/s"`)+`]}]}}`); a["status"] != "timeout" {
		t.Errorf("%.300v", a)
	}
}
