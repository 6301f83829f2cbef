package oracle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/cost"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/sweep"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/traces/llm"
)

//go:embed spaces/*.yaml
var shipped embed.FS

// Spaces lists the names of the search spaces that come with strata.
func Spaces() []string {
	files, err := shipped.ReadDir("spaces")
	if err != nil {
		panic(err) // they are in the program
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	return names
}

// SpaceFile returns the text of a space that comes with strata, nil for an unknown name.
func SpaceFile(name string) []byte {
	data, err := shipped.ReadFile("spaces/" + name + ".yaml")
	if err != nil {
		return nil
	}
	return data
}

// Bounds of what is remembered of spaces: a space takes some megabytes at most, with the models of its points, and points of a space
// that differ in more than their model are few.
const (
	rememberedSpaces = 32
	rememberedKinds  = 256
)

// spaceValues bounds the values that the axes of a space may have together.
const spaceValues = 20_000

// space is a search space that requests name.
type space struct {
	*sweep.Space
	build       *sweep.Builder
	id          string // "sha256:" and its hash
	dir         string // where its file is, "" for none
	parameters  []sweep.Parameter
	places      map[string]int // of parameters by name
	uses        []string       // columns of results
	description *answer
	kinds       *lru[string, *once[*pointKind]]
}

// pointKind is what points have in common that differ in their model alone.
type pointKind struct {
	request request // without a model
	machine *machine
	owned   *cost.Estimate // nil where the machine file lacks something for it
}

// spaces finds search spaces.
type spaces struct {
	texts *lru[[sha256.Size]byte, *once[*space]] // by their file
	ids   *lru[string, *space]
}

func newSpaces() spaces {
	return spaces{newLRU[[sha256.Size]byte, *once[*space]](rememberedSpaces), newLRU[string, *space](rememberedSpaces)}
}

// readSpace reads a request about a search space.
func (q *request) readSpace(f *fields, v *value) {
	if v.kind != text && v.kind != object {
		f.fail(invalid("type", "/space", "", "must be the name of a space or a sweep file as an object, is %s", v.kind))
		return
	}
	q.spaceAt, q.pointAt = v, f.typed("point", object)
	if q.pointAt == nil {
		return
	}
	if f.has("fidelity") {
		q.fidelity = f.word("fidelity", eval.Analytic, eval.Event)
	}
}

// space returns the space of a request. The only err is the context's.
func (r *resolver) space(ctx context.Context, v *value) (s *space, bad *Error, err error) {
	data, name, dir := v.raw, "space", ""
	if v.kind == text {
		name = string(v.chars())
		if strings.HasPrefix(name, "sha256:") {
			if s, ok := r.spaces.ids.get(name); ok {
				return s, nil, nil
			}
			return nil, invalid("unknown-space", "/space", "send the space again, by name or as a whole", "no space %s is known, or it was forgotten", shorten(name)), nil
		}
		if data = SpaceFile(name); data == nil {
			if !r.files {
				return nil, unknownSpace(name), nil
			}
			dir = filepath.Dir(name)
			var err error
			switch data, err = experiments.ReadFile(name); {
			case errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(name, `/\.`):
				return nil, unknownSpace(name), nil
			case err != nil:
				return nil, invalid("unknown-space", "/space", "known: "+strings.Join(Spaces(), ", ")+"; or a file", "%v", err), nil
			}
		}
	} else {
		for i := range v.members() {
			if m := &v.members()[i]; string(m.name) == "yaml" {
				if m.value.kind != text || len(v.members()) > 1 {
					return nil, invalid("type", "/space/yaml", `{"yaml":"name: …"}`, "must be the text of a sweep file, and nothing beside it"), nil
				}
				data = m.value.chars()
			}
		}
	}
	key := sha256.Sum256(append([]byte(dir+"\x00"), data...))
	for {
		e, ok := r.spaces.texts.get(key)
		if !ok {
			e = r.spaces.texts.put(key, &once[*space]{}, 1)
		}
		e.Do(func() { e.value, e.err, e.ended = r.newSpace(ctx, name, dir, data) })
		if e.ended == nil && e.err == nil {
			r.spaces.ids.put(e.value.id, e.value, 1)
			return e.value, nil, nil
		}
		r.spaces.texts.drop(key) // a machine that it names may be known later
		if e.ended == nil || ctx.Err() != nil {
			return nil, e.err, ctx.Err()
		}
		// The time of another request, which read it for both, was over first.
	}
}

func unknownSpace(name string) *Error {
	return invalid("unknown-space", "/space", nearest(name, Spaces()), "unknown space %q", shorten(name))
}

// spaceFinder finds machines and models of spaces, files first beside that of the space.
type spaceFinder struct {
	r   *resolver
	dir string // "" for a space that is no file
}

func (f spaceFinder) beside(name string) string {
	if f.dir != "" && !filepath.IsAbs(name) {
		if at := filepath.Join(f.dir, name); exists(at) {
			return at
		}
	}
	return name
}

func exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

func (f spaceFinder) Machine(name string) (*arch.Machine, error) {
	name = f.beside(name)
	v := textOf(name)
	m, err := f.r.machine(v, strconv.Quote(name))
	if err != nil {
		return nil, &experiments.Invalid{Field: "arch", Message: err.Message, Hint: err.Hint}
	}
	return copyOf(m.Machine), nil
}

func (f spaceFinder) Model(name string) (*llm.Model, error) {
	name = f.beside(name)
	v := textOf(name)
	m, err := f.r.model(v, strconv.Quote(name))
	if err != nil {
		return nil, &experiments.Invalid{Field: "model", Message: err.Message, Hint: err.Hint}
	}
	return m, nil
}

// ReadSpace reads a search space as requests have it: it draws no sample, and its axes have at most 20000 values together. A machine that is
// not "" takes the place of the file's. The error is of type *spec.Error.
func ReadSpace(name string, data []byte, find sweep.Finder, machine string) (*sweep.Space, error) {
	return readSpaceWithin(context.Background(), name, data, find, machine)
}

// readSpaceWithin is ReadSpace that ends with a context.
func readSpaceWithin(ctx context.Context, name string, data []byte, find sweep.Finder, machine string) (*sweep.Space, error) {
	return sweep.ReadDescription(name, data, find, sweep.Limits{Values: spaceValues, Arch: machine, Context: ctx})
}

// newSpace reads a space. The only err is the context's.
func (r *resolver) newSpace(ctx context.Context, name, dir string, data []byte) (*space, *Error, error) {
	is, err := readSpaceWithin(ctx, name, data, spaceFinder{r, dir}, "")
	if err != nil && ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	if err != nil {
		e := invalid("value", "/space", "", "%v", err)
		var problems *spec.Error
		if errors.As(err, &problems) && len(problems.Problems) > 0 {
			first := problems.Problems[0]
			e.Message, e.Hint = first.Message, first.Hint
			if first.Line > 0 {
				e.Message = fmt.Sprintf("line %d: %s", first.Line, e.Message)
			}
			if first.Path != "" {
				e.Path += "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(shorten(first.Path))
			}
			if n := len(problems.Problems) - 1; n > 0 {
				e.Message += "; and " + plural(n, "problem") + " more"
			}
		}
		return nil, e, nil
	}
	s := placed(is)
	s.build, s.id, s.dir, s.kinds = sweep.NewBuilder(is), "sha256:"+is.Hash(), dir, newLRU[string, *once[*pointKind]](rememberedKinds)
	s.uses = append(is.Uses(), "chips", "tokens_per_second", "average_watts")
	s.description = encode(struct {
		Status Status           `json:"status"`
		Space  SpaceDescription `json:"space"`
	}{OK, Describe(is)}, nil)
	return s, nil, nil
}

// SpaceDescription is a search space for programs.
type SpaceDescription struct {
	Name string `json:"name"`
	// Hash names the space in later requests.
	Hash string `json:"hash"`
	// Points is how many a grid of it has, nil if that has no end.
	Points      json.RawMessage  `json:"points"`
	Parameters  []SpaceParameter `json:"parameters"`
	Constraints []string         `json:"constraints"`
	Objectives  []SpaceObjective `json:"objectives"`
	// Columns are the figures that the space defines itself.
	Columns []string `json:"columns"`
}

// SpaceParameter is a parameter of a point: it has values, or a range.
type SpaceParameter struct {
	Name   string `json:"name"`
	Type   string `json:"type"` // int, float, categorical or bool
	Values []any  `json:"values,omitempty"`
	Low    any    `json:"low,omitempty"`
	High   any    `json:"high,omitempty"`
	Step   any    `json:"step,omitempty"`
	Log    *bool  `json:"log,omitempty"`
	When   string `json:"when,omitempty"` // without which it has no effect
}

// SpaceObjective is a figure that the space wants least or most of.
type SpaceObjective struct {
	Column string `json:"column"`
	Goal   string `json:"goal"`
}

// Describe describes a search space.
func Describe(s *sweep.Space) SpaceDescription {
	d := SpaceDescription{Name: s.File.Name, Hash: "sha256:" + s.Hash(), Points: json.RawMessage("null"), Constraints: s.File.Constraints, Columns: s.Columns(), Objectives: []SpaceObjective{}}
	if n, ok := s.Size(); ok {
		d.Points = strconv.AppendFloat(nil, n, 'f', 0, 64)
		if n > 1<<53 {
			d.Points = strconv.AppendFloat(nil, n, 'g', -1, 64)
		}
	}
	if d.Constraints == nil {
		d.Constraints = []string{}
	}
	for _, o := range s.Goals() {
		d.Objectives = append(d.Objectives, SpaceObjective{o.Name, o.Direction.String()})
	}
	for _, p := range s.Describe() {
		one := SpaceParameter{Name: p.Name, Type: p.Type, When: p.When}
		number := func(x float64) any {
			if p.Type == "int" {
				return int64(x)
			}
			return x
		}
		if p.Values != nil {
			for _, v := range p.Values {
				one.Values = append(one.Values, v.Any)
			}
		} else {
			one.Low, one.High, one.Log = number(p.Low), number(p.High), &p.Log
			if p.Step > 0 {
				one.Step = number(p.Step)
			}
		}
		d.Parameters = append(d.Parameters, one)
	}
	return d
}

// ofSpace answers a request about a search space: what it is, or one point of it.
func (o *Oracle) ofSpace(ctx context.Context, q *request) (*answer, keeping, error) {
	within, cancel := q.withTimeout(ctx)
	defer cancel()
	s, bad, err := o.resolve.space(within, q.spaceAt)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case err != nil:
		return failed(q.explained(err)), nil, nil
	case bad != nil:
		return failed(bad), nil, nil
	}
	if q.pointAt == nil {
		return s.description, nil, nil
	}
	values, point, bad := s.assign(q.pointAt)
	if bad != nil {
		return failed(bad), nil, nil
	}
	j := job{model: point, fidelity: q.fidelity}
	// The hash of a space holds the content of its machines and models.
	lasting := func() (key, bool) { return o.keyOf([]string{s.id, point, q.fidelity}), true }
	return o.known(ctx, q, j.key(), lasting, func(ctx context.Context) (*answer, error) { return o.point(ctx, s, values, q.fidelity) })
}

// assign reads a point, and returns the texts of its values besides: what the answer hangs on.
func (s *space) assign(point *value) (values []sweep.Value, key string, bad *Error) {
	values = make([]sweep.Value, len(s.parameters))
	for i := range point.members() {
		m := &point.members()[i]
		at, ok := s.places[string(m.name)]
		switch {
		case !ok:
			return nil, "", invalid("unknown-member", pointer("/point", string(m.name)), nearest(string(m.name), s.Axes()), "the space has no parameter %q", shorten(string(m.name)))
		case values[at].Any != nil:
			return nil, "", duplicate(pointer("/point", string(m.name)), m.name)
		case m.value.kind == null:
			continue // as if it were not there
		}
		var given any
		switch m.value.kind {
		case text:
			given = string(m.value.chars())
		case boolean:
			given = m.value.raw[0] == 't'
		case number:
			x, err := strconv.ParseFloat(string(m.value.raw), 64)
			if err != nil {
				return nil, "", invalid("range", pointer("/point", string(m.name)), s.parameters[at].Takes(), "%s is too large", shorten(string(m.value.raw)))
			}
			given = x
		}
		v, err := s.Assign(at, given)
		if err != nil {
			code := "range"
			if _, isNumber := given.(float64); !isNumber {
				code = "unknown-value"
			}
			if given == nil {
				code = "type"
			}
			return nil, "", invalid(code, pointer("/point", string(m.name)), s.parameters[at].Takes(), "%v", err)
		}
		values[at] = v
	}
	lacks, err := s.SwitchOff(values)
	switch {
	case err != nil:
		return nil, "", &Error{Infeasible, "point", "/point", shorten(err.Error()), ""}
	case lacks >= 0:
		p := &s.parameters[lacks]
		return nil, "", invalid("missing", pointer("/point", p.Name), p.Takes(), "missing: %s", p.Name)
	}
	b := make([]byte, 0, 256)
	b = append(append(b, "space "...), s.id...)
	for i := range values { // a text may have any character, so its length comes first
		if !values[i].Off {
			b = append(strconv.AppendInt(b, int64(len(values[i].Text)), 10), '=')
			b = append(b, values[i].Text...)
		}
		b = append(b, ';')
	}
	return values, string(b), nil
}

// constraintMark begins the names of figures that are by how much a point misses constraints, which no other figure's name does.
const constraintMark = "\x01"

// constraint is the text of the constraint that a figure is of.
func (f *figure) constraint() (string, bool) { return strings.CutPrefix(f.name, constraintMark) }

// constraints appends by how much the point of an answer misses each constraint of its space.
func (a *answer) constraints(to []byte) []byte {
	n := len(to)
	for i := range a.figures {
		if text, ok := a.figures[i].constraint(); ok {
			if len(to) > n {
				to = append(to, ',')
			}
			to = appendFloat(append(appendText(to, []byte(text)), ':'), a.figures[i].value)
		}
	}
	return to
}

// misses notes by how much a point misses constraints.
func (a *answer) misses(list []sweep.Violation) {
	for i, v := range list {
		if !slices.ContainsFunc(list[:i], func(o sweep.Violation) bool { return o.Constraint == v.Constraint }) {
			a.figures = append(a.figures, figure{constraintMark + v.Constraint, v.By})
		}
	}
}

// columnsMember begins the last member of the answer to a point.
const columnsMember = `,"columns":{`

// point works a point out, in that fidelity or, for "", in that of its space. Errors are the simulator's.
func (o *Oracle) point(ctx context.Context, s *space, values []sweep.Value, fidelity string) (*answer, error) {
	c, err := s.build.Candidate(values)
	if err != nil {
		return failed(ofPoint(explain(err, wholeModel, func(string) string { return "/point" }), nil)), nil
	}
	kind, bad := s.kindOf(o, c)
	if bad != nil {
		return failed(ofPoint(bad, c)), nil
	}
	sub := kind.request
	w := sub.formats(kind.machine, c.Model)
	c.Known(w.DType, w.WeightDType)
	early := c.Violations()
	if i := slices.IndexFunc(early, func(v sweep.Violation) bool { return v.By > 0 }); i >= 0 {
		a := failed(&Error{Infeasible, "constraint", "/point", "the point does not keep to " + early[i].Constraint, ""})
		a.misses(early)
		return a, nil
	}
	if fidelity != "" {
		sub.fidelity = fidelity
	}
	var row map[string]any
	sub.direct = c.Model
	sub.seen = func(a *eval.Answer) { row = experiments.AnswerColumns(a, s.uses) }
	a, err := o.evaluate(ctx, &sub)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		a = failed(sub.explained(err))
	}
	if a.err != nil {
		a = failed(ofPoint(a.err, c))
		a.misses(early)
		return a, nil
	}
	figures, all := c.Finish(row, kind.owned)
	members := make([]byte, 0, len(a.members)+64*len(figures)+16)
	members = append(append(members, a.members...), columnsMember...)
	for i, f := range figures {
		if i > 0 {
			members = append(members, ',')
		}
		members = append(appendText(members, []byte(f.Name)), ':')
		members = appendFloat(members, f.Value)
	}
	out := &answer{members: append(members, '}'), figures: a.figures}
	out.misses(all)
	return out, nil
}

// appendFloat appends a finite number as encoding/json writes it.
func appendFloat(to []byte, x float64) []byte {
	text, err := json.Marshal(x)
	if err != nil {
		panic(err) // figures are finite
	}
	return append(to, text...)
}

// ofPoint turns an error about what a point came to into one about the point: its parameters are as they may be, and what they make
// cannot be had.
func ofPoint(e *Error, c *sweep.Candidate) *Error {
	if e.Code == "timeout" || e.Code == "internal" || e.Code == "cost" {
		return e
	}
	is := *e
	if is.unknown() { // a machine that was posted and forgotten since: it says nothing of the point
		is.Path = "/space"
		return &is
	}
	last := is.Path[strings.LastIndexByte(is.Path, '/')+1:]
	is.Path = "/point"
	if c != nil {
		for _, o := range c.Options {
			if name := o.Name[strings.LastIndexByte(o.Name, '.')+1:]; o.Axis != "" && name == last {
				is.Path = pointer("/point", o.Axis)
			}
		}
	}
	if is.Status == Invalid {
		is.Status, is.Code = Infeasible, "point"
	}
	return &is
}

// kindOf returns what the point has in common with those that differ in their model alone.
func (s *space) kindOf(o *Oracle, c *sweep.Candidate) (*pointKind, *Error) {
	found := *c
	found.Arch = spaceFinder{o.resolve, s.dir}.beside(c.Arch)
	text, bad := explicit(&found)
	if bad != nil {
		return nil, bad
	}
	return find(s.kinds, string(text), func() (*pointKind, *Error) {
		v, bad := parse(text)
		if bad != nil {
			return nil, bad
		}
		k := &pointKind{}
		if bad = readRequest(&v, &k.request); bad != nil {
			return nil, bad
		}
		if k.machine, bad = o.resolve.machine(k.request.archAt, k.request.arch); bad != nil {
			return nil, bad
		}
		if _, err := k.machine.Profile(k.request.framework); err != nil { // hints may be unknown, options may not
			return nil, invalid("unknown-value", "/runtime", "", "%v", err)
		}
		k.owned, _ = cost.Of(k.machine.Machine) // a machine that lacks area or prices has no such figures
		return k, nil
	})
}

// pointModel is the member that stands for the model in the request of a point. No other member can read so.
const pointModel = `,"model":"of the space"`

// explicit writes a point as a request of its own, with pointModel for its model.
func explicit(c *sweep.Candidate) ([]byte, *Error) {
	phase := "generate"
	for _, o := range c.Options {
		if o.Name == "phase" {
			phase = o.Text
		}
	}
	trains := phase == experiments.Train || phase == experiments.FineTune
	b := make([]byte, 0, 512)
	b = append(b, `{"arch":`...)
	if len(c.Set) == 0 {
		b = appendText(b, []byte(c.Arch))
	} else {
		b = appendText(append(b, `{"base":`...), []byte(c.Arch))
		b = append(b, `,"set":{`...)
		for i, path := range slices.Sorted(maps.Keys(c.Set)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendText(append(appendText(b, []byte(path)), ':'), []byte(c.Set[path]))
		}
		b = append(b, "}}"...)
	}
	b = append(b, pointModel...)
	var parallel, lora []byte
	for _, o := range c.Options {
		f := experiments.OptionField(o.Name)
		name, into := o.Name, &b
		switch {
		case o.Name == "exact":
			if o.Text == "" || o.Text == "false" {
				continue
			}
			return nil, unsupported("not-simulated", "/space", "leave it out", "estimates have no option %s", o.Name)
		case (f.OfTraining() && o.Name != "ep") && !trains, // as Options.Normalize
			trains && slices.Contains([]string{"batch", "prompt", "generate", "arrivals"}, o.Name),
			o.Name == "generate" && phase != "generate" && phase != "serve",
			o.Name == "arrivals" && phase != "serve":
			continue
		case slices.Contains([]string{"tp", "pp", "ep", "moe_tp", "attn_dp", "exchange", "in_flight", "dp", "cp", "sp", "interleave"}, o.Name):
			into = &parallel
		case strings.HasPrefix(o.Name, "lora."):
			name, into = strings.TrimPrefix(o.Name, "lora."), &lora
		case o.Name == "runtime":
			name = "framework"
		}
		if o.Text == "" {
			continue
		}
		*into = append(appendText(append(*into, ','), []byte(name)), ':')
		switch o.Like.(type) {
		case int64, float64, bool:
			*into = append(*into, plainNumber(o)...)
		case []string, []int64:
			*into = append(*into, '[')
			for i, word := range strings.Split(o.Text, ",") {
				if i > 0 {
					*into = append(*into, ',')
				}
				if _, numbers := o.Like.([]int64); numbers {
					*into = append(*into, strings.TrimSpace(word)...)
				} else {
					*into = appendText(*into, []byte(strings.TrimSpace(word)))
				}
			}
			*into = append(*into, ']')
		default:
			*into = appendText(*into, []byte(o.Text))
		}
	}
	if parallel != nil {
		b = append(append(append(b, `,"parallel":{`...), parallel[1:]...), '}')
	}
	if lora != nil {
		b = append(append(append(b, `,"lora":{`...), lora[1:]...), '}')
	}
	return append(b, '}'), nil
}

// plainNumber writes the text of an option as JSON has numbers and truths.
func plainNumber(o sweep.Setting) string {
	text := strings.TrimSpace(o.Text)
	switch o.Like.(type) {
	case bool:
		if v, err := strconv.ParseBool(text); err == nil {
			return strconv.FormatBool(v)
		}
	case int64:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return strconv.FormatInt(n, 10)
		}
	}
	if x, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(text, "W")), 64); err == nil {
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	return text // it was read as one before
}

// ReadPoint reads a point of a space, a JSON object, as requests have it.
func ReadPoint(s *sweep.Space, point []byte) ([]sweep.Value, *Error) {
	v, bad := parse(point)
	if bad == nil && v.kind != object {
		bad = invalid("type", "", "", "must be an object, is %s", v.kind)
	}
	if bad != nil {
		return nil, bad
	}
	values, _, bad := placed(s).assign(&v)
	return values, bad
}

// placed is a space whose parameters can be found by name.
func placed(is *sweep.Space) *space {
	s := &space{Space: is, parameters: is.Describe(), places: map[string]int{}}
	for i := range s.parameters {
		s.places[s.parameters[i].Name] = i
	}
	return s
}

// SpaceRequest writes a point of a space as a request with that id, of the space with that name, file or hash.
func SpaceRequest(s *sweep.Space, id, name string, values []sweep.Value) []byte {
	b := appendText([]byte(`{"id":`), []byte(id))
	b = appendText(append(b, `,"space":`...), []byte(name))
	return append(append(append(b, `,"point":`...), s.Parameters(values)...), '}')
}

// ExplicitRequest writes a point as a request that names no space, with its model in place as a Hugging Face config.json. It is an
// error if no family of these is like the model.
func ExplicitRequest(c *sweep.Candidate) ([]byte, error) {
	config, err := c.Model.Config()
	if err != nil {
		return nil, err
	}
	text, bad := explicit(c)
	if bad != nil {
		return nil, bad
	}
	return bytes.Replace(text, []byte(pointModel), append([]byte(`,"model":`), config...), 1), nil
}
