package diff

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/traces/llm"
)

// Inputs is what two results were made from, as far as it is known.
type Inputs struct {
	Machine Compared `json:"machine"`
	Model   Compared `json:"model"`
	// Options are what was asked for: phase, sizes, number formats, mapping, runtime, fidelity.
	Options []Difference `json:"options"`
	// Version of the models, and Tool, the program that made the results, are nil where they are the same.
	Version *Difference `json:"version,omitempty"`
	Tool    *Difference `json:"tool,omitempty"`
	// Unnamed says that the keys of the results differ although nothing does that is known of their inputs: answers do
	// not name all that was asked for, such as how tensors are placed.
	Unnamed bool `json:"unnamed,omitempty"`
}

// Compared says how one input compares.
type Compared struct {
	// How is "same", "leaves" (Differences lists them all), or "unknown": Text says why.
	How         string       `json:"how"`
	Text        string       `json:"text"`
	Differences []Difference `json:"differences"`
}

// Difference is an input that is not the same. Before or After is empty where it is not given.
type Difference struct {
	Path         string `json:"path"`
	Before       string `json:"before"`
	After        string `json:"after"`
	BeforeSource string `json:"before_source,omitempty"`
	AfterSource  string `json:"after_source,omitempty"`
}

// Candidates are inputs that results may have been made from, besides the presets.
type Candidates struct {
	Machines []*arch.Machine
	Models   []*llm.Model
}

// commandLine is the source of a leaf that was changed for one run.
const commandLine = "set for this run (--set)"

// changesOf reads the changes of a machine from the notes of an answer, "changed: path=value, path=value", in their order.
func changesOf(notes []string) (changes []string) {
	for _, n := range notes {
		list, ok := strings.CutPrefix(n, "changed: ")
		if !ok {
			continue
		}
		// A value may have commas of its own, but no equals sign; a path has neither.
		parts := strings.Split(list, "=")
		path := parts[0]
		for i, p := range parts[1:] {
			value, next := p, ""
			if k := strings.LastIndex(p, ", "); k >= 0 && i+2 < len(parts) {
				value, next = p[:k], p[k+2:]
			}
			changes = append(changes, path+"="+value)
			path = next
		}
	}
	return changes
}

// setOf is a list of changes by path.
func setOf(changes []string) map[string]string {
	set := map[string]string{}
	for _, c := range changes {
		path, value, _ := strings.Cut(c, "=")
		set[path] = value
	}
	return set
}

// Find looks for the inputs of a JSON answer among the presets and the candidates.
func (r *Result) Find(c Candidates) {
	a := &r.answer
	if r.machine == nil && r.unknown.machine == "" {
		r.findMachine(c)
	}
	if r.model == nil && r.unknown.model == "" {
		if _, op := r.members["op"]; op {
			r.unknown.model = "it is a single operator"
			return
		}
		if a.Manifest.GraphHash == "" {
			r.unknown.model = "the answer has no graph_hash"
			return
		}
		r.findModel(c)
	}
}

func (r *Result) findMachine(c Candidates) {
	a := &r.answer
	if a.Manifest.ArchHash == "" {
		r.unknown.machine = "the answer has no arch_hash"
		return
	}
	list := c.Machines
	if m, err := presets.Machine(a.Arch); err == nil {
		list = append([]*arch.Machine{m}, list...)
	}
	named := false
	for _, m := range list {
		named = named || m.Name == a.Arch
		changed := *m
		if changed.Apply(setOf(changesOf(a.Notes))) == nil && changed.Hash() == a.Manifest.ArchHash {
			r.machine = &changed
			return
		}
	}
	if named {
		r.unknown.machine = fmt.Sprintf("its %s is another one than that known here by this name", a.Arch)
		return
	}
	r.unknown.machine = fmt.Sprintf("its %s is no preset", a.Arch)
}

func (r *Result) findModel(c Candidates) {
	a := &r.answer
	list := c.Models
	if m, err := llm.Preset(a.Model); err == nil {
		list = append([]*llm.Model{&m}, list...)
	}
	named := false
	for _, m := range list {
		named = named || m.Name == a.Model
		p := experiments.Point{Model: m, Options: experiments.Options{Phase: a.Phase, Batch: a.Batch, Prompt: a.Prompt, Generate: a.Generate,
			DType: a.DType, WeightDType: a.WeightDType, KVDType: a.KVDType}}
		if g, err := p.Graph(); err == nil && g.Hash() == a.Manifest.GraphHash {
			r.model = m
			return
		}
	}
	switch {
	case a.Model == "":
		r.unknown.model = "it is a trace without a name"
	case named:
		r.unknown.model = fmt.Sprintf("its %s has other operators than the one known here by this name (a file or a trace, or the run had a draft model, adapters, --layers, or lengths of a workload)", a.Model)
	default:
		r.unknown.model = fmt.Sprintf("its %s is no preset", a.Model)
	}
}

// compareInputs compares what two results were made from.
func compareInputs(a, b *Result) Inputs {
	in := Inputs{Machine: compareMachines(a, b), Model: compareModels(a, b), Options: compareOptions(a, b)}
	if x, y := a.answer.Manifest.Version, b.answer.Manifest.Version; x != y {
		in.Version = &Difference{Path: "version", Before: x, After: y}
	}
	if a.tool != "" && b.tool != "" && a.tool != b.tool {
		in.Tool = &Difference{Path: "tool", Before: a.tool, After: b.tool}
	}
	in.Unnamed = a.answer.Manifest.Key != b.answer.Manifest.Key && in.Machine.How == "same" && in.Model.How == "same" && len(in.Options) == 0 && in.Version == nil
	return in
}

// unknownText says for which sides an input is not known, and why.
func unknownText(what, hint, before, after string) string {
	var parts []string
	for _, side := range []struct{ name, why string }{{"before", before}, {"after", after}} {
		if side.why != "" {
			parts = append(parts, side.name+": "+side.why)
		}
	}
	return fmt.Sprintf("%s cannot be compared: %s; %s", what, strings.Join(parts, "; "), hint)
}

func compareMachines(a, b *Result) Compared {
	c := Compared{How: "same", Text: "the same machine", Differences: []Difference{}}
	x, y := a.answer.Manifest.ArchHash, b.answer.Manifest.ArchHash
	switch {
	case a.machine == nil || b.machine == nil:
		if x == y && x != "" {
			return c
		}
		c.How = "unknown"
		c.Text = unknownText("machines", "a results database keeps them, and --arch names files to look in", a.unknown.machine, b.unknown.machine)
		return c
	case a.machine.Hash() == b.machine.Hash():
		return c
	}
	c.How = "leaves"
	one, other := *a.machine, *b.machine
	if reflect.DeepEqual(one.Runtime.Kernels, other.Runtime.Kernels) { // what differs is in the profiles
		one.WriteOut()
		other.WriteOut()
	}
	after := map[string]string{}
	spec.Walk(&other, func(path, text string) { after[path] = text })
	note := func(path, old, now string) {
		d := Difference{Path: path, Before: old, After: now}
		if old != "" {
			d.BeforeSource = a.source(path)
		}
		if now != "" {
			d.AfterSource = b.source(path)
		}
		c.Differences = append(c.Differences, d)
	}
	seen := map[string]bool{}
	spec.Walk(&one, func(path, text string) {
		seen[path] = true
		if now := after[path]; now != text && !label(path) {
			note(path, text, now)
		}
	})
	spec.Walk(&other, func(path, text string) {
		if !seen[path] && !label(path) {
			note(path, "", text)
		}
	})
	c.Text = fmt.Sprintf("%s of the machine", counted(len(c.Differences), "figure"))
	if len(c.Differences) == 0 {
		c.How, c.Text = "same", "the same machine under another name"
	}
	return c
}

// label reports whether a leaf of a machine is no figure that answers depend on.
func label(path string) bool {
	return path == "name" || strings.HasSuffix(path, "description") || arch.Aside(path)
}

// source says where a leaf of the machine is from.
func (r *Result) source(path string) string {
	if r.changed[path] {
		return commandLine
	}
	text, _, _ := r.machine.Sources.Of(path)
	return text
}

func compareModels(a, b *Result) Compared {
	c := Compared{How: "same", Text: "the same model", Differences: []Difference{}}
	if a.model == nil || b.model == nil {
		if x := a.answer.Manifest.GraphHash; x != "" && x == b.answer.Manifest.GraphHash {
			c.Text = "the same operators"
			return c
		}
		c.How = "unknown"
		c.Text = unknownText("models", "a results database keeps them, and --model names files to look in", a.unknown.model, b.unknown.model)
		return c
	}
	c.Differences = differences(facts(a.model), facts(b.model))
	if len(c.Differences) > 0 {
		c.How, c.Text = "leaves", fmt.Sprintf("%s of the model", counted(len(c.Differences), "fact"))
	}
	return c
}

// facts are the fields of a model, without remarks about them.
func facts(m *llm.Model) map[string]string {
	all := flat(m)
	for path := range all {
		if path == "source" || strings.HasPrefix(path, "notes") {
			delete(all, path)
		}
	}
	return all
}

// outcomes are members of an answer that are no inputs: what came out, and what is compared in a way of its own.
var outcomes = []string{"schema", "status", "id", "arch", "model", "seconds", "ttft_seconds", "tpot_seconds", "tokens_per_second", "mfu", "hfu", "bound_by", "stalls",
	"memory", "energy", "joules", "power", "average_watts", "peak_watts", "cost", "operators", "phases", "advice", "footprint", "floor_seconds", "notes", "not_modelled",
	"events", "manifest", "ablation", "sensitivities", "sensitivity"}

// requested are members of an answer that say what was asked for. Of members that are in neither list, those of newer
// versions, words are taken for options and numbers for figures.
var requested = []string{"phase", "fidelity", "batch", "prompt", "generate", "dtype", "weight_dtype", "kv_dtype", "runtime", "ideal", "host_sync", "parallel", "op"}

// asked are the options of a result by name.
func (r *Result) asked() map[string]string {
	all := map[string]string{}
	for name, v := range r.members {
		switch {
		case slices.Contains(requested, name):
			put(all, name, v)
		case !slices.Contains(outcomes, name):
			each(name, v, func(path string, v any) {
				if _, number := v.(float64); !number {
					put(all, path, v)
				}
			})
		}
	}
	all["fusion"] = "the runtime's"
	if m, ok := r.members["manifest"].(map[string]any); ok {
		if v, ok := m["fusion"]; ok {
			put(all, "fusion", v)
		}
		for name, v := range m { // such as the hash of what was pinned
			if !slices.Contains([]string{"version", "arch_hash", "graph_hash", "key", "fusion"}, name) {
				put(all, "manifest."+name, v)
			}
		}
	}
	if r.point == nil {
		return all
	}
	for name, text := range flat(r.point.Options) {
		// The answer says under which name and value these took effect; the machine has the changes.
		if name != "tp" && name != "runtime" && !strings.HasPrefix(name, "set[") && all[name] == "" {
			all[name] = text
		}
	}
	return all
}

// each calls f with the scalars of a decoded JSON value that are in no list.
func each(path string, v any, f func(path string, v any)) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			each(path+"."+name, inner, f)
		}
	case []any, nil:
	default:
		f(path, v)
	}
}

func compareOptions(a, b *Result) []Difference {
	x, y := a.asked(), b.asked()
	if a.point == nil && b.point == nil { // what answers say on the way
		if s, t := a.answer.Streaming, b.answer.Streaming; s != nil && t != nil {
			x["prefetch"], y["prefetch"] = strconv.FormatInt(s.Prefetch, 10), strconv.FormatInt(t.Prefetch, 10)
		}
		if a.answer.Manifest.ArchHash == b.answer.Manifest.ArchHash {
			const limit = "power.limit_watts"
			x[limit], y[limit] = strconv.FormatFloat(a.answer.Power.LimitWatts, 'g', -1, 64), strconv.FormatFloat(b.answer.Power.LimitWatts, 'g', -1, 64)
		}
	}
	if a.point == nil || b.point == nil { // what only a database says cannot be compared with what is silent
		for _, only := range []map[string]string{x, y} {
			for _, name := range []string{"exact", "layers"} {
				delete(only, name)
			}
		}
	}
	return differences(x, y)
}

// differences lists what is not the same, by name.
func differences(a, b map[string]string) []Difference {
	all := maps.Clone(a)
	maps.Copy(all, b)
	list := []Difference{}
	for _, name := range slices.SortedFunc(maps.Keys(all), naturally) {
		if a[name] != b[name] {
			list = append(list, Difference{Path: name, Before: a[name], After: b[name]})
		}
	}
	return list
}

// naturally orders parts of a thing behind it.
func naturally(a, b string) int {
	return cmp.Or(strings.Count(a, ".")-strings.Count(b, "."), strings.Compare(a, b))
}

// flat lists the scalars within a value by their path.
func flat(v any) map[string]string {
	text, err := json.Marshal(v)
	var tree any
	if err == nil {
		err = json.Unmarshal(text, &tree)
	}
	if err != nil {
		panic(err) // plain data always encodes
	}
	all := map[string]string{}
	put(all, "", tree)
	return all
}

// put adds the scalars within a decoded JSON value.
func put(all map[string]string, path string, v any) {
	switch v := v.(type) {
	case nil:
	case map[string]any:
		for name, inner := range v {
			if path != "" {
				name = path + "." + name
			}
			put(all, name, inner)
		}
	case []any:
		for i := range v {
			put(all, fmt.Sprintf("%s[%d]", path, i), v[i])
		}
	case float64:
		text, _ := json.Marshal(v)
		all[path] = string(text)
	default:
		all[path] = fmt.Sprint(v)
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
