package oracle

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"sync"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/traces/llm"
)

// resolver finds machines and models, each once for as long as it is remembered.
type resolver struct {
	files    bool // names may be those of files
	machines *lru[string, *once[*machine]]
	models   *lru[string, *once[*llm.Model]]
	memos    *lru[string, *plan.Memo] // by the content of machines
	added    added
	spaces   spaces
}

// machine is a machine with its content hash, which takes longer to work out than a small operator.
type machine struct {
	*arch.Machine
	hash string
}

// once is a value that the first to ask for it makes.
type once[T any] struct {
	sync.Once
	value T
	err   *Error
	ended error // of the context that ended the making; nil where it came to its end
}

// Machines and models that are remembered: an entry takes some 20 kB at most, and one whose key is a long text counts as several.
const (
	remembered = 512
	entryBytes = 20 << 10
)

// maxChanges bounds the changes of a machine in a request, as those of a machine file: each is checked against all others.
const maxChanges = 1000

// rememberedMemos is how many machines have memos of how they compute products: they take some 6 MB each at most.
const rememberedMemos = 8

func newResolver(files bool) *resolver {
	return &resolver{files: files, machines: newLRU[string, *once[*machine]](remembered), models: newLRU[string, *once[*llm.Model]](remembered),
		memos: newLRU[string, *plan.Memo](rememberedMemos), added: newAdded(), spaces: newSpaces()}
}

// find returns what build builds, which is asked once for a key.
func find[T any](c *lru[string, *once[T]], key string, build func() (T, *Error)) (T, *Error) {
	e, ok := c.get(key)
	if !ok {
		e = c.put(key, &once[T]{}, 1+int64(len(key))/entryBytes)
	}
	e.Do(func() { e.value, e.err = build() })
	if e.err != nil && e.err.unknown() {
		c.drop(key) // it may be known later
	}
	return e.value, e.err
}

// memo returns what is remembered of a machine with that content.
func (r *resolver) memo(hash string) *plan.Memo {
	if m, ok := r.memos.get(hash); ok {
		return m
	}
	return r.memos.put(hash, new(plan.Memo), 1)
}

// machine returns the machine of a request. Nobody may change it.
func (r *resolver) machine(v *value, key string) (*machine, *Error) {
	if v.kind == text && r.isID(v.chars()) {
		return r.addedMachine(string(v.chars()), "/arch")
	}
	return find(r.machines, key, func() (*machine, *Error) {
		build := r.overlay
		if v.kind == text {
			build = func(v *value) (*arch.Machine, *Error) { return r.named(string(v.chars()), "/arch") }
		}
		m, err := build(v)
		if err != nil {
			return nil, err
		}
		return &machine{m, m.Hash()}, nil
	})
}

// unknownHint says what may be meant by a name that is none of those known.
func (r *resolver) unknownHint(name string, known []string) string {
	switch filepath.Ext(name) {
	case ".json", ".yaml", ".yml":
		if !r.files {
			return "files are not read here: send what is in it, or post it and name it by its id"
		}
	}
	return nearest(name, known)
}

// named finds a machine by its name.
func (r *resolver) named(name, at string) (*arch.Machine, *Error) {
	m, err := presets.Machine(name)
	var unknown *presets.Unknown
	if errors.As(err, &unknown) && r.files {
		m, err = experiments.MachineOf(name, nil)
	}
	if err == nil {
		return m, nil
	}
	var bad *experiments.Invalid
	if errors.As(err, &bad) && bad.Message != unknown.Error() {
		return nil, invalid("unknown-arch", at, bad.Hint, "%s", bad.Message)
	}
	if unknown != nil {
		return nil, invalid("unknown-arch", at, r.unknownHint(name, presets.Names()), "unknown machine %q", shorten(name))
	}
	return nil, invalid("value", at, "", "%v", err)
}

// overlay makes a machine from another one and changes to it.
func (r *resolver) overlay(v *value) (*arch.Machine, *Error) {
	var err *Error
	f := open(v, "/arch", &err)
	base, name, set := f.get("base"), f.text("name", ""), f.typed("set", object)
	f.close()
	switch {
	case err != nil:
		return nil, err
	case base == nil:
		return nil, invalid("missing", "/arch/base", "the name of a machine", "missing: base")
	case base.kind != text:
		return nil, invalid("type", "/arch/base", "", "must be a string, is %s", base.kind)
	}
	from, err := r.base(string(base.chars()))
	if err != nil {
		return nil, err
	}
	m := copyOf(from.Machine)
	if name != "" {
		m.Name = name
	}
	if set == nil {
		return m, nil
	}
	if n := len(set.members()); n > maxChanges {
		return nil, invalid("too-large", "/arch/set", "post the machine as a whole", "%d changes, at most %d are allowed", n, maxChanges)
	}
	changes := map[string]string{}
	for i := range set.members() {
		path, v := string(set.members()[i].name), &set.members()[i].value
		at := pointer("/arch/set", path)
		to := string(v.raw)
		switch v.kind {
		case text:
			to = string(v.chars())
		case number, boolean:
		default:
			return nil, invalid("type", at, `e.g. "4 TB/s"`, "must be a string, a number or a boolean, is %s", v.kind)
		}
		changes[path] = to
	}
	var refused *spec.Error
	if errors.As(m.Apply(changes), &refused) {
		p := refused.Problems[0]
		return nil, invalid("value", pointer("/arch/set", p.Path), p.Hint, "%s", p.Message)
	}
	return m, nil
}

// base finds the machine that changes are made to.
func (r *resolver) base(name string) (*machine, *Error) {
	if r.isID([]byte(name)) {
		return r.addedMachine(name, "/arch/base")
	}
	return find(r.machines, "base:"+name, func() (*machine, *Error) {
		m, err := r.named(name, "/arch/base")
		return &machine{Machine: m}, err
	})
}

// model returns the model of a request. Nobody may change it.
func (r *resolver) model(v *value, key string) (*llm.Model, *Error) {
	if v.kind == text && r.isID(v.chars()) {
		return r.addedModel(string(v.chars()), "/model")
	}
	return find(r.models, key, func() (*llm.Model, *Error) {
		if v.kind == object {
			m, err := llm.FromHF("inline", []byte(key))
			if err != nil {
				return nil, configError(err)
			}
			return &m, nil
		}
		name := string(v.chars())
		if m, err := llm.Preset(name); err == nil {
			return &m, nil
		}
		if r.files {
			m, err := experiments.ModelOf(name)
			if err == nil {
				return m, nil
			}
			var bad *experiments.Invalid
			if errors.As(err, &bad) {
				return nil, invalid("unknown-model", "/model", bad.Hint, "%s", bad.Message)
			}
			return nil, configError(err)
		}
		return nil, invalid("unknown-model", "/model", r.unknownHint(name, llm.Presets()), "unknown model %q", shorten(name))
	})
}

// configError explains why a Hugging Face configuration is no model: its first problem, and how many
// more there are.
func configError(err error) *Error {
	e := invalid("value", "/model", "", "%v", err)
	var problems llm.Errors
	if errors.As(err, &problems) && len(problems) > 0 {
		first := problems[0]
		e.Message, e.Hint = first.Message, first.Hint
		if first.Path != "" {
			e.Path += "/" + strings.ReplaceAll(first.Path, ".", "/")
		}
		if n := len(problems) - 1; n > 0 {
			e.Message += "; and " + plural(n, "problem") + " more"
		}
	}
	if errors.Is(err, llm.ErrUnsupported) {
		e.Status, e.Code = Unsupported, "not-simulated"
	}
	return e
}

// aliases are the usual names of ways to run operators one by one.
var aliases = map[string]string{"pytorch": "eager", "torch": "eager", "hf": "eager", "huggingface": "eager", "transformers": "eager",
	// Servers that replay graphs and have the same kernels, near enough.
	"trtllm": "vllm", "tensorrt": "vllm", "sglang": "vllm",
	"jax/vllm-tpu": "vllm"}

// profile picks the runtime profile that the hints of a request mean, "" for the default one: that of the
// framework's name; one for kernels of a library, by the beginning of the kernel's name ("vllm_flash" of "vllm_flash_attn"); else
// that of the name, of the first word ("eager" of "eager, torch 2.4"), or of an alias, for the framework and then the kernel.
func profile(m *arch.Machine, framework, kernel string) string {
	for i := range m.Runtime.Profiles {
		if name := m.Runtime.Profiles[i].Name; strings.EqualFold(name, framework) {
			return name
		}
	}
	for i := range m.Runtime.Profiles {
		if name := m.Runtime.Profiles[i].Name; strings.Contains(name, "_") && strings.HasPrefix(strings.ToLower(kernel), strings.ToLower(name)) {
			return name
		}
	}
	for _, hint := range []string{framework, kernel} {
		hint = strings.ToLower(hint)
		words := strings.FieldsFunc(hint, func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9') })
		tries := append([]string{hint}, words[:min(1, len(words))]...) // hint again, for its alias
		for i := range m.Runtime.Profiles {
			name := m.Runtime.Profiles[i].Name
			for _, t := range tries {
				if strings.EqualFold(name, t) || strings.EqualFold(name, aliases[t]) {
					return name
				}
			}
			// "HF eager + torch.profiler"
			if len(words) > 1 && words[1] == "eager" && name == "eager" {
				return name
			}
		}
	}
	return ""
}

// algorithm is what the hint of a kernel says of attention that a profile has no kernel of its own for: PyTorch calls its
// fused one FLASH_ATTENTION, and the function that picks it SDPA.
func algorithm(m *arch.Machine, name, kernel string) string {
	if k := strings.ToLower(kernel); !strings.HasPrefix(k, "flash") && !strings.Contains(k, "sdpa") {
		return ""
	}
	p, err := m.Profile(name)
	if err != nil || p.Fuses("flash-attention") {
		return ""
	}
	if _, err := m.Attending(m.Resolved(p), "flash2"); err != nil {
		return ""
	}
	return "flash2"
}

// copyOf returns a machine that shares nothing with m.
func copyOf(m *arch.Machine) *arch.Machine {
	return deepCopy(reflect.ValueOf(m)).Interface().(*arch.Machine)
}

// deepCopy copies plain data: what pointers, slices and maps lead to as well.
func deepCopy(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		c := reflect.New(v.Type().Elem())
		c.Elem().Set(deepCopy(v.Elem()))
		return c
	case reflect.Struct:
		c := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			c.Field(i).Set(deepCopy(v.Field(i)))
		}
		return c
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			c.Index(i).Set(deepCopy(v.Index(i)))
		}
		return c
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		c := reflect.MakeMapWithSize(v.Type(), v.Len())
		for it := v.MapRange(); it.Next(); {
			c.SetMapIndex(it.Key(), deepCopy(it.Value()))
		}
		return c
	}
	return v
}
