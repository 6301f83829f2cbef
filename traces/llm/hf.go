package llm

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stratasim/strata/traces"
)

// FromHF reads a Hugging Face config.json; file names it in errors. The error is of
// type Errors: all problems of the file at once. Those of a model that this version knows of but
// cannot describe wrap ErrUnsupported. What of the file has no effect here and might matter is in the
// model's Notes.
func FromHF(file string, data []byte) (Model, error) {
	if file == "" {
		file = "config.json"
	}
	d := &document{file: file, data: data}
	d.parse()
	if len(d.errors) > 0 {
		return Model{}, d.report()
	}
	c := &config{document: d, used: map[string]bool{}, keys: map[string]string{}}
	f := c.family()
	if f == nil {
		return Model{}, d.report()
	}
	m := Model{Name: c.name(), Source: shorten(filepath.Base(file)) + " (Hugging Face, " + f.name + ")", KVHeads: -1, HeadDim: -1}
	c.refuse(f)
	f.read(c, &m)
	c.locals(&m)
	c.dtype(f, &m)
	c.quantization(&m)
	c.leftovers(f)
	if len(d.errors) == 0 {
		c.check(&m)
	}
	if len(d.errors) > 0 {
		return Model{}, d.report()
	}
	m.Notes = c.notes
	return m, nil
}

// report sorts the problems by line, those without one last.
func (d *document) report() error {
	slices.SortStableFunc(d.errors, func(a, b *Error) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Compare(a.Line, b.Line)
	})
	if n := len(d.errors); n > maxErrors {
		d.errors = append(d.errors[:maxErrors], &Error{File: d.file, Message: fmt.Sprintf("and %d more problems", n-maxErrors)})
	}
	return d.errors
}

// config reads the keys of a configuration and remembers which.
type config struct {
	*document
	used    map[string]bool
	keys    map[string]string // field of Model → key that it was read from
	local   []bool            // layers that look back over a window, nil if the file does not list them
	localAt *member
	notes   []string
}

func (c *config) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf("%s: ", shorten(filepath.Base(c.file)))+fmt.Sprintf(format, args...))
}

// get finds the first of several names of a key. A null counts as absent.
func (c *config) get(names ...string) *member {
	var found *member
	for _, name := range names {
		c.used[name] = true
		m := c.root.find(name)
		if m == nil || m.value.kind == null {
			continue
		}
		if found != nil && (found.value.kind != m.value.kind || found.value.text != m.value.text || found.value.boolean != m.value.boolean) {
			c.fail(m.offset, m.key, "differs from "+found.key+", which means the same", "remove one")
		}
		if found == nil {
			found = m
		}
	}
	return found
}

// required reads a whole number that has to be there, at least 1.
func (c *config) required(field string, names ...string) int64 {
	c.keys[field] = names[0]
	m := c.get(names...)
	if m == nil {
		for _, name := range names {
			if at := c.root.find(name); at != nil {
				c.fail(at.value.offset, name, "is null, a whole number is needed", "")
				return 1
			}
		}
		hint := ""
		if near := c.misspelt(names); near != nil {
			hint = fmt.Sprintf("line %d says %q", c.line(near.offset), shorten(near.key))
			c.used[near.key] = true
		}
		c.fail(-1, names[0], "missing", hint)
		return 1
	}
	c.keys[field] = m.key
	return c.integer(m, 1)
}

// optional reads a whole number of at least 1.
func (c *config) optional(field string, otherwise int64, names ...string) int64 {
	c.keys[field] = names[0]
	m := c.get(names...)
	if m == nil {
		return otherwise
	}
	c.keys[field] = m.key
	return c.integer(m, 1)
}

// misspelt finds a key close to one of the names that nobody else has a use for.
func (c *config) misspelt(names []string) *member {
	for i := range c.root.members[:min(len(c.root.members), 200)] { // real files have about 30
		m := &c.root.members[i]
		if !c.used[m.key] && !irrelevant[m.key] && m.value.kind == number && slices.ContainsFunc(names, func(n string) bool { return sameLetters(m.key, n) }) {
			return m
		}
	}
	return nil
}

// integer reads a whole number from least up to the largest dimension of a graph.
func (c *config) integer(m *member, least int64) int64 {
	v := &m.value
	if v.kind != number {
		hint := ""
		if v.kind == text {
			hint = "without quotation marks"
		}
		c.fail(v.offset, shorten(m.key), "must be a whole number, is "+v.kind.String(), hint)
		return least
	}
	n, status := whole(v.text)
	switch {
	case status == fractional:
		c.fail(v.offset, shorten(m.key), shorten(v.text)+": must be a whole number", "")
	case status == outside || n < least || n > maxDimension:
		c.fail(v.offset, shorten(m.key), fmt.Sprintf("%s: must be from %d to %d", shorten(v.text), least, int64(maxDimension)), "")
	default:
		return n
	}
	return least
}

// flag reads true or false.
func (c *config) flag(otherwise bool, names ...string) bool {
	m := c.get(names...)
	if m == nil {
		return otherwise
	}
	if m.value.kind != boolean {
		c.fail(m.value.offset, shorten(m.key), "must be true or false, is "+m.value.kind.String(), "")
		return otherwise
	}
	return m.value.boolean
}

// word reads a string.
func (c *config) word(otherwise string, names ...string) string {
	m := c.get(names...)
	if m == nil {
		return otherwise
	}
	if m.value.kind != text {
		c.fail(m.value.offset, shorten(m.key), "must be a string, is "+m.value.kind.String(), "")
		return otherwise
	}
	return m.value.text
}

// share reads a number above 0 and at most 1.
func (c *config) share(otherwise float64, names ...string) float64 {
	m := c.get(names...)
	if m == nil {
		return otherwise
	}
	f, ok := fraction(&m.value)
	if !ok {
		c.fail(m.value.offset, shorten(m.key), "must be a number above 0, at most 1", "")
		return otherwise
	}
	return f
}

// activation reads the activation function by its name in transformers.
func (c *config) activation(otherwise string, names ...string) Activation {
	c.keys["activation"] = names[0]
	name := c.word(otherwise, names...)
	a, ok := activations[strings.ToLower(name)]
	if !ok {
		m := c.get(names...)
		e := c.fail(m.value.offset, m.key, fmt.Sprintf("activation %q is not supported yet", shorten(name)), "gelu, gelu_new, gelu_pytorch_tanh, relu or silu")
		e.Cause = ErrUnsupported
		return GELU
	}
	return a
}

var activations = map[string]Activation{
	"gelu": GELU, "gelu_python": GELU,
	"gelu_new": GELUTanh, "gelu_fast": GELUTanh, "gelu_pytorch_tanh": GELUTanh, "gelu_accurate": GELUTanh, "gelu_python_tanh": GELUTanh,
	"relu": ReLU, "silu": SiLU, "swish": SiLU,
	"relu2": ReLU, // squared, which is one more operation an element and no kernel of its own
}

// must refuses a flag or number that has another value than the one that this version describes.
func (c *config) must(key string, want bool, why string) {
	m := c.root.find(key)
	if m != nil && c.flag(want, key) != want {
		c.fail(m.value.offset, key, fmt.Sprintf("%v is %v: %s", !want, ErrUnsupported, why), "").Cause = ErrUnsupported
	}
	c.used[key] = true
}

// name is what the file calls itself, or the name of the file.
func (c *config) name() string {
	if m := c.root.find("_name_or_path"); m != nil && m.value.kind == text {
		s := strings.TrimSpace(m.value.text)
		if strings.HasPrefix(s, "/") || strings.HasPrefix(s, ".") {
			s = filepath.Base(s) // a folder on somebody's machine
		}
		if strings.Trim(s, "./") != "" && printable(s) {
			return shorten(s)
		}
	}
	base := strings.TrimSuffix(filepath.Base(c.file), ".json")
	if base == "config" {
		if dir := filepath.Base(filepath.Dir(c.file)); dir != "." && dir != string(filepath.Separator) {
			return shorten(dir)
		}
	}
	return shorten(base)
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufeff' })
}

// dtype reads the number format of the weights.
func (c *config) dtype(f *family, m *Model) {
	m.DType = f.dtype
	v := c.get("torch_dtype", "dtype")
	if v == nil || v.value.kind == text && v.value.text == "auto" {
		return
	}
	if v.value.kind != text {
		c.fail(v.value.offset, v.key, "must be a string, is "+v.value.kind.String(), `e.g. "bfloat16"`)
		return
	}
	d, err := traces.ParseDType(v.value.text)
	if err != nil {
		c.fail(v.value.offset, v.key, err.Error(), "")
		return
	}
	m.DType = d.String()
}

// check validates the model and reports what is wrong at the key that it came from.
func (c *config) check(m *Model) {
	for _, err := range split(m.Validate()) {
		var bad *Invalid
		if !errors.As(err, &bad) {
			c.fail(-1, "", err.Error(), "")
			continue
		}
		key, offset := c.keys[bad.Field], int64(-1)
		if key == "" {
			key = bad.Field
		}
		if at := c.root.find(key); at != nil {
			offset = at.value.offset
		}
		c.fail(offset, key, bad.Message, bad.Hint)
	}
}

// split undoes errors.Join.
func split(err error) []error {
	if err == nil {
		return nil
	}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return all.Unwrap()
	}
	return []error{err}
}
