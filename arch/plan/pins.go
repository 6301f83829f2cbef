package plan

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// PinsSchema names the format of mapping files.
const PinsSchema = "strata.mapping/1"

// Pins are choices of the planner that are made for it: the content of a mapping file. Of several
// entries that match one kernel, a later one wins, member by member; what no entry gives stays with
// the planner.
type Pins struct {
	Schema    string         `yaml:"schema,omitempty" json:"schema,omitempty" spec:"oneof=|strata.mapping/1"`
	Kernels   []Pin          `yaml:"kernels,omitempty" json:"kernels,omitempty" spec:"max=4096"`
	Fusion    []FusionPin    `yaml:"fusion,omitempty" json:"fusion,omitempty" spec:"max=4096"`
	Placement []PlacementPin `yaml:"placement,omitempty" json:"placement,omitempty" spec:"max=4096"`

	file  string
	lines map[string]int
}

// Pin gives choices for the kernels that it matches.
type Pin struct {
	Match Match  `yaml:"match,omitempty" json:"match,omitzero"`
	Pin   Choice `yaml:"pin,omitempty" json:"pin"`
}

// Match selects kernels. What is left out matches every kernel; names are patterns in which * stands
// for any text.
type Match struct {
	Op    string `yaml:"op,omitempty" json:"op,omitempty"`       // name of the kernel, as plan show prints it
	Kind  string `yaml:"kind,omitempty" json:"kind,omitempty"`   // gemm, attention, rmsnorm, …
	Phase string `yaml:"phase,omitempty" json:"phase,omitempty"` // prefill, decode
	Block string `yaml:"block,omitempty" json:"block,omitempty"` // embedding, layer, head, …
	// Dimensions of one chip's part: of products, attention and row operators.
	Batch int64 `yaml:"batch,omitempty" json:"batch,omitempty" spec:"min=0"`
	M     int64 `yaml:"m,omitempty" json:"m,omitempty" spec:"min=0"`
	N     int64 `yaml:"n,omitempty" json:"n,omitempty" spec:"min=0"`
	K     int64 `yaml:"k,omitempty" json:"k,omitempty" spec:"min=0"`
	Heads int64 `yaml:"heads,omitempty" json:"heads,omitempty" spec:"min=0"`
	QLen  int64 `yaml:"q_len,omitempty" json:"q_len,omitempty" spec:"min=0"`
	Rows  int64 `yaml:"rows,omitempty" json:"rows,omitempty" spec:"min=0"`
	Cols  int64 `yaml:"cols,omitempty" json:"cols,omitempty" spec:"min=0"`
	// Past is the number of cached tokens, of attention.
	Past *Range `yaml:"past,omitempty" json:"past,omitempty"`
}

// Choice is what the planner decides about one kernel. In a mapping file, what is left out stays with
// the planner.
type Choice struct {
	// Kernel is how it is computed: products tiled, vector or resident, row operators streamed or
	// resident.
	Kernel string `yaml:"kernel,omitempty" json:"kernel,omitempty" spec:"oneof=|tiled|vector|resident|streamed"`
	// Tile is rows x columns of a product's output, queries x keys of attention.
	Tile Tile `yaml:"tile,omitempty" json:"tile,omitzero"`
	// Depth is the part of a product's reduction that one pipeline stage holds.
	Depth int64 `yaml:"depth,omitempty" json:"depth,omitempty" spec:"min=0,max=65536"`
	// Split is the number of parts of a product's reduction, of the cache in decode attention.
	Split int64 `yaml:"split,omitempty" json:"split,omitempty" spec:"min=0,max=1024"`
	// Stages is the number of operand buffers.
	Stages int64 `yaml:"stages,omitempty" json:"stages,omitempty" spec:"min=0,max=64"`
	// Blocks is how many tiles a core works on at a time.
	Blocks int64 `yaml:"blocks,omitempty" json:"blocks,omitempty" spec:"min=0,max=64"`
	// Keep is the operand whose part for a wave stays in the shared on-chip memory while the waves
	// sweep along the other dimension: a (sweep along n), b (along m), both or none.
	Keep string `yaml:"keep,omitempty" json:"keep,omitempty" spec:"oneof=|a|b|both|none"`
	// Deal is what of a resident product is divided among the cores: batch, m or n.
	Deal string `yaml:"deal,omitempty" json:"deal,omitempty" spec:"oneof=|batch|m|n"`
	// Protocol is that of the collective library.
	Protocol string `yaml:"protocol,omitempty" json:"protocol,omitempty"`
}

// The members of a Choice, in order.
const (
	pinKernel = iota
	pinTile
	pinDepth
	pinSplit
	pinStages
	pinBlocks
	pinKeep
	pinDeal
	pinProtocol
	numPins
)

var pinNames = [numPins]string{"kernel", "tile", "depth", "split", "stages", "blocks", "keep", "deal", "protocol"}

// texts returns the members as they are written, "" for those that are not given.
func (c *Choice) texts() [numPins]string {
	n := func(v int64) string {
		if v == 0 {
			return ""
		}
		return strconv.FormatInt(v, 10)
	}
	return [numPins]string{c.Kernel, c.Tile.String(), n(c.Depth), n(c.Split), n(c.Stages), n(c.Blocks), c.Keep, c.Deal, c.Protocol}
}

// String lists the members that are given.
func (c *Choice) String() string {
	var words []string
	for i, text := range c.texts() {
		if text != "" {
			words = append(words, pinNames[i]+" "+text)
		}
	}
	return strings.Join(words, ", ")
}

// differing lists the members that differ from another choice, and always the tile.
func (c *Choice) differing(o *Choice) string {
	theirs := o.texts()
	var words []string
	for i, text := range c.texts() {
		if text != "" && (text != theirs[i] || i == pinTile) {
			words = append(words, pinNames[i]+" "+text)
		}
	}
	return strings.Join(words, ", ")
}

// with returns the choice with what another one gives on top.
func (c Choice) with(o *Choice) Choice {
	if o.Kernel != "" {
		c.Kernel = o.Kernel
	}
	if o.Tile != (Tile{}) {
		c.Tile = o.Tile
	}
	for _, f := range []struct{ to, from *int64 }{{&c.Depth, &o.Depth}, {&c.Split, &o.Split}, {&c.Stages, &o.Stages}, {&c.Blocks, &o.Blocks}} {
		if *f.from != 0 {
			*f.to = *f.from
		}
	}
	for _, f := range []struct{ to, from *string }{{&c.Keep, &o.Keep}, {&c.Deal, &o.Deal}, {&c.Protocol, &o.Protocol}} {
		if *f.from != "" {
			*f.to = *f.from
		}
	}
	return c
}

// Tile is rows x columns, written 128x256.
type Tile struct{ Rows, Cols int64 }

// maxTile bounds a side of a tile, so that its elements can be counted.
const maxTile = 1 << 20

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Tile) UnmarshalText(text []byte) error {
	rows, cols, err := arch.ParseTile(string(text))
	if err != nil || rows > maxTile || cols > maxTile {
		return fmt.Errorf("must be rows x columns such as 128x256, at most %d each", maxTile)
	}
	*t = Tile{rows, cols}
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (t Tile) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// String returns the text form, "" for no tile.
func (t Tile) String() string {
	if t == (Tile{}) {
		return ""
	}
	return fmt.Sprintf("%dx%d", t.Rows, t.Cols)
}

// Range is from a number to another, both included, written 100..199, or 100 alone.
type Range struct{ From, To int64 }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Range) UnmarshalText(text []byte) error {
	from, to, isRange := strings.Cut(string(text), "..")
	if !isRange {
		to = from
	}
	a, err1 := strconv.ParseUint(from, 10, 62)
	b, err2 := strconv.ParseUint(to, 10, 62)
	if err1 != nil || err2 != nil || a > b {
		return errors.New("must be a number such as 512, or a range such as 512..639")
	}
	*r = Range{int64(a), int64(b)}
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (r Range) MarshalText() ([]byte, error) {
	if r.From == r.To {
		return strconv.AppendInt(nil, r.From, 10), nil
	}
	return fmt.Appendf(nil, "%d..%d", r.From, r.To), nil
}

// FusionPin says whether the operators that it matches are fused. The last entry that matches wins.
type FusionPin struct {
	// Fusion is one that the runtime profile lists.
	Fusion string `yaml:"fusion" json:"fusion" spec:"required,oneof=flash-attention|norm-add|parallel-gemm|gated-mlp|decoder-pipeline"`
	Op     string `yaml:"op,omitempty" json:"op,omitempty"` // name of an operator that would be part of it
	Phase  string `yaml:"phase,omitempty" json:"phase,omitempty"`
	Block  string `yaml:"block,omitempty" json:"block,omitempty"`
	Fuse   bool   `yaml:"fuse" json:"fuse" spec:"required"`
}

// PlacementPin says in which tier the tensors that it matches live.
type PlacementPin struct {
	Tensor string `yaml:"tensor,omitempty" json:"tensor,omitempty"` // a pattern of names
	Role   string `yaml:"role,omitempty" json:"role,omitempty" spec:"oneof=|weight|kv|activation"`
	Tier   string `yaml:"tier" json:"tier" spec:"required"`
}

// ReadPins reads a mapping file. Errors are of type *spec.Error and name file, line and field; so do those of
// Build about pins that were read here.
func ReadPins(file string, data []byte) (*Pins, error) {
	p := &Pins{}
	lines, err := spec.DecodeLines(file, data, p)
	if err != nil {
		return nil, err
	}
	p.file, p.lines = file, lines
	return p, nil
}

// Hash identifies the content, wherever it was read from.
func (p *Pins) Hash() string { return spec.Hash(p) }

// Empty reports whether nothing is pinned.
func (p *Pins) Empty() bool {
	return p == nil || len(p.Kernels) == 0 && len(p.Fusion) == 0 && len(p.Placement) == 0
}

// Validate reports patterns that are none, and entries that give nothing.
func (p Pins) Validate(report func(path, message, hint string)) {
	pattern := func(at, text string) {
		if _, err := path.Match(text, ""); err != nil {
			report(at, fmt.Sprintf("%.60q is no pattern", text), "* stands for any text, ? for one character")
		}
	}
	for i := range p.Kernels {
		e := &p.Kernels[i]
		at := fmt.Sprintf("kernels[%d]", i)
		if e.Pin == (Choice{}) {
			report(at+".pin", "is missing or empty", "e.g. pin: {tile: 128x256}")
		}
		for _, f := range []struct{ name, text string }{{"op", e.Match.Op}, {"kind", e.Match.Kind}, {"phase", e.Match.Phase}, {"block",
			e.Match.Block}} {
			pattern(at+".match."+f.name, f.text)
		}
	}
	for i := range p.Fusion {
		at := fmt.Sprintf("fusion[%d]", i)
		for _, f := range []struct{ name, text string }{{"op", p.Fusion[i].Op}, {"phase", p.Fusion[i].Phase}, {"block", p.Fusion[i].Block}} {
			pattern(at+"."+f.name, f.text)
		}
	}
	for i := range p.Placement {
		pattern(fmt.Sprintf("placement[%d].tensor", i), p.Placement[i].Tensor)
	}
}

// glob reports whether a name matches a pattern; "" matches all.
func glob(pattern, name string) bool {
	if pattern == "" || pattern == name {
		return true
	}
	const slash = "\x00" // is a character like others here
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", slash), strings.ReplaceAll(name, "/", slash))
	return ok && err == nil
}

// literal returns the pattern that matches one name only.
func literal(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// dims lists the numbers that a match compares, with their names.
func (m *Match) dims() [8]struct {
	name string
	n    int64
} {
	return [8]struct {
		name string
		n    int64
	}{{"batch", m.Batch}, {"m", m.M}, {"n", m.N}, {"k", m.K}, {"heads", m.Heads}, {"q_len", m.QLen}, {"rows", m.Rows}, {"cols", m.Cols}}
}

// misses names the first member in which a kernel differs from what the match asks for, "" if it matches.
// Kernel k is a match of itself alone.
func (m *Match) misses(k *Match) (member string) {
	switch {
	case !glob(m.Op, k.Op):
		return "op"
	case !glob(m.Kind, k.Kind):
		return "kind"
	case !glob(m.Phase, k.Phase):
		return "phase"
	case !glob(m.Block, k.Block):
		return "block"
	}
	own := k.dims()
	for i, d := range m.dims() {
		if d.n != 0 && d.n != own[i].n {
			return d.name
		}
	}
	if m.Past != nil && (k.Past == nil || k.Past.From < m.Past.From || k.Past.To > m.Past.To) {
		return "past"
	}
	return ""
}

// member returns what a kernel has for a member of a match, as text.
func (m *Match) member(name string) string {
	switch name {
	case "op":
		return m.Op
	case "kind":
		return m.Kind
	case "phase":
		return m.Phase
	case "block":
		return m.Block
	case "past":
		if m.Past == nil {
			return ""
		}
		text, _ := m.Past.MarshalText()
		return string(text)
	}
	for _, d := range m.dims() {
		if d.name == name && d.n != 0 {
			return strconv.FormatInt(d.n, 10)
		}
	}
	return ""
}

// pinned is what the entries that match a kernel give together, and which entry gives each member.
type pinned struct {
	Choice
	from [numPins]int32
}

// choice returns what is given; v may be nil.
func (v *pinned) choice() Choice {
	if v == nil {
		return Choice{}
	}
	return v.Choice
}

// pinning keeps, for one plan, what is pinned, which entries matched something, and what was refused.
type pinning struct {
	*Pins
	kernels, fusions []bool // entries that matched
	seen             []Match
	seenOps          map[string][]string // operators that could be part of a fusion, by its name
	problems         []spec.Problem
	refused          map[string]bool
}

func newPinning(p *Pins) *pinning {
	if p.Empty() {
		return nil
	}
	return &pinning{Pins: p, kernels: make([]bool, len(p.Kernels)), fusions: make([]bool, len(p.Fusion)),
		seenOps: map[string][]string{}, refused: map[string]bool{}}
}

// of returns what is pinned of a kernel, nil if nothing is.
func (p *pinning) of(k Match) *pinned {
	p.seen = append(p.seen, k)
	var v pinned
	found := false
	for i := range p.Kernels {
		e := &p.Kernels[i]
		if e.Match.misses(&k) != "" {
			continue
		}
		p.kernels[i], found = true, true
		for f, text := range e.Pin.texts() {
			if text != "" {
				v.from[f] = int32(i)
			}
		}
		v.Choice = v.Choice.with(&e.Pin)
	}
	if !found {
		return nil
	}
	return &v
}

// problem adds a complaint about an entry, once for each.
func (p *pinning) problem(at, hint, message string) {
	if p.refused[at] {
		return
	}
	p.refused[at] = true
	line := 0
	for up := at; line == 0 && up != ""; {
		line = p.lines[up]
		up = up[:max(strings.LastIndexByte(up, '.'), strings.LastIndexByte(up, '['), 0)]
	}
	p.problems = append(p.problems, spec.Problem{File: p.file, Line: line, Path: at, Message: message, Hint: hint})
}

// refuse says why what is pinned of a kernel cannot be. The plan goes on without, to find what else is wrong.
func (b *builder) refuse(v *pinned, f int, name, hint, format string, args ...any) {
	b.pins.problem(fmt.Sprintf("kernels[%d].pin.%s", v.from[f], pinNames[f]), hint, fmt.Sprintf("%s for %s: ", v.texts()[f],
		name)+fmt.Sprintf(format, args...))
}

// only refuses members that a kernel does not have, and reports whether there were none.
func (b *builder) only(v *pinned, k *Match, what, hint string, has ...int) bool {
	ok := true
	for f, text := range v.texts() {
		if text == "" || slices.Contains(has, f) {
			continue
		}
		b.refuse(v, f, k.Op, hint, "%s has no %s", what, pinNames[f])
		ok = false
	}
	return ok
}

// err returns what was wrong with the pins: those that were refused, and entries that match nothing.
func (p *pinning) err() error {
	for i, used := range p.kernels {
		if !used {
			member, message, hint := p.unmatched(&p.Kernels[i].Match)
			p.problem(fmt.Sprintf("kernels[%d].match.%s", i, member), hint, message)
		}
	}
	for i, used := range p.fusions {
		if used {
			continue
		}
		e := &p.Fusion[i]
		hint := suggestion(e.Op, p.seenOps[e.Fusion])
		if len(p.seenOps[e.Fusion]) == 0 {
			hint = "leave it out"
		}
		p.problem(fmt.Sprintf("fusion[%d]", i), hint, fmt.Sprintf("matches no operators that %s could take", e.Fusion))
	}
	if len(p.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(p.problems, func(a, b spec.Problem) int { return a.Line - b.Line })
	return &spec.Error{Problems: p.problems}
}

// unmatched says which member of a match no kernel meets, of those that meet the members before it.
func (p *pinning) unmatched(m *Match) (member, message, hint string) {
	order := []string{"op", "kind", "phase", "block", "batch", "m", "n", "k", "heads", "q_len", "rows", "cols", "past"}
	furthest := -1
	var have []string
	for i := range p.seen {
		at := slices.Index(order, m.misses(&p.seen[i]))
		if at > furthest {
			furthest, have = at, nil
		}
		if text := p.seen[i].member(order[at]); at == furthest && text != "" && !slices.Contains(have, text) {
			have = append(have, text)
		}
	}
	if furthest < 0 {
		return "op", "there are no kernels", ""
	}
	member = order[furthest]
	what := "no kernel"
	if m.Op != "" && furthest > 0 {
		what = "no kernel " + m.Op
	}
	return member, fmt.Sprintf("%.60q matches nothing: %s has this %s", m.member(member), what, member), suggestion(m.member(member), have)
}

// suggestion is the known word that was perhaps meant, or some of them.
func suggestion(word string, known []string) string {
	if s := spec.Suggest(word, known); s != "" {
		return fmt.Sprintf("did you mean %q?", s)
	}
	if len(known) > 12 {
		known = append(known[:12:12], "…")
	}
	if len(known) == 0 {
		return "leave it out"
	}
	return "there are: " + strings.Join(known, ", ")
}

// fuses reports whether an operator is computed by a fusion that the runtime profile lists, unless it is pinned not to be.
// Of several operators that would become one kernel, any may be pinned.
func (b *builder) fuses(fusion string, phase traces.Phase, ops ...string) bool {
	does := b.pins.fuses(b.profile, fusion, phase, b.blockName, ops...)
	if b.decisions != nil {
		b.decisions.fused(fusion, phase, b.blockName, does, ops)
	}
	return does
}

// fuses is builder.fuses for whoever has no builder; p may be nil.
func (p *pinning) fuses(profile *arch.Profile, fusion string, phase traces.Phase, block string, ops ...string) bool {
	can := profile.Fuses(fusion)
	if p == nil {
		return can
	}
	for _, op := range ops {
		if !slices.Contains(p.seenOps[fusion], op) {
			p.seenOps[fusion] = append(p.seenOps[fusion], op)
		}
	}
	does := can
	for i := range p.Fusion {
		e := &p.Fusion[i]
		if e.Fusion != fusion || !glob(e.Phase, phase.String()) || !glob(e.Block, block) || !slices.ContainsFunc(ops,
			func(op string) bool { return glob(e.Op, op) }) {
			continue
		}
		p.fusions[i] = true
		does = e.Fuse
		if e.Fuse && !can {
			hint := "fuse: false, or another runtime"
			if len(profile.Fusion) > 0 {
				hint += fmt.Sprintf("; %s does %s", profile.Name, strings.Join(profile.Fusion, ", "))
			}
			p.problem(fmt.Sprintf("fusion[%d].fuse", i), hint, fmt.Sprintf("runtime %s cannot do %s in one kernel", profile.Name, fusion))
			does = false
		}
	}
	return does
}

// place checks where tensors are pinned to: memories off chip, weights and caches to any, activations to the fastest.
func (p *pinning) place(m *arch.Machine, g *traces.Graph) {
	off := m.OffChip()
	names := make([]string, len(m.Chip.Memory))
	for i := range names {
		names[i] = m.Chip.Memory[i].Name
	}
	for _, b := range m.Lower(1) {
		if b.Host {
			names = append(names, b.Name)
		}
	}
	for i := range p.Placement {
		e := &p.Placement[i]
		at := fmt.Sprintf("placement[%d]", i)
		if known := tensorsOf(g, e.Role); !slices.ContainsFunc(known, func(name string) bool { return glob(e.Tensor, name) }) {
			p.problem(at+".tensor", suggestion(e.Tensor, known), fmt.Sprintf("%.60q matches no tensor", e.Tensor))
		}
		t := slices.Index(names, e.Tier)
		switch {
		case t < 0:
			p.problem(at+".tier", suggestion(e.Tier, names), fmt.Sprintf("%s has no tier %.60q", m.Name, e.Tier))
		case e.Tier == off.Name:
		case t < len(m.Chip.Memory) && m.Chip.Memory[t].Kind == "sram":
			p.problem(at+".tier", fmt.Sprintf("tier: %s; a kernel alone can hold its operands on chip with pin: {kernel: resident} where the runtime does so", off.Name),
				fmt.Sprintf("%s is on chip and holds what passes through between two kernels, no whole tensors", e.Tier))
		case !slices.ContainsFunc(placeable(g), func(s subject) bool { return e.matches(s) }):
			p.problem(at+".tier", "tier: "+off.Name, fmt.Sprintf("activations live in %s, and so does the cache of a server", off.Name))
		default:
			if over := p.overruled(i, g); over >= 0 {
				p.problem(at+".tier", "leave one of them out", fmt.Sprintf("%s contradicts line %d, which places all of it in %s", e.Tier,
					p.lines[fmt.Sprintf("placement[%d]", over)], p.Placement[over].Tier))
			}
		}
	}
}

// subject is a tensor or cache that a placement entry can match.
type subject struct{ role, name string }

func (e *PlacementPin) matches(s subject) bool {
	return (e.Role == "" || e.Role == s.role) && glob(e.Tensor, s.name)
}

// placeable lists what may live below the fastest memory.
func placeable(g *traces.Graph) []subject {
	var list []subject
	for _, name := range tensorsOf(g, "weight") {
		list = append(list, subject{"weight", name})
	}
	if g.Phase != "serve" {
		for _, name := range tensorsOf(g, "kv") {
			list = append(list, subject{"kv", name})
		}
	}
	return list
}

// overruled returns the entry after entry i that places all that it matches in another memory, so that it says
// nothing; -1 if there is none.
func (p *pinning) overruled(i int, g *traces.Graph) int {
	e := &p.Placement[i]
	for k := i + 1; k < len(p.Placement); k++ {
		later := &p.Placement[k]
		if later.Tier == e.Tier {
			continue
		}
		all := true
		for _, s := range placeable(g) {
			all = all && (!e.matches(s) || later.matches(s))
		}
		if all {
			return k
		}
	}
	return -1
}

// tensorsOf lists the names of the graph's tensors of a role, of all for ""; cached keys and values go by the names of
// their attention.
func tensorsOf(g *traces.Graph, role string) []string {
	var names []string
	add := func(r, name string) {
		if (role == "" || role == r) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for i := range g.Blocks {
		b := &g.Blocks[i]
		for t := range b.Tensors {
			switch b.Tensors[t].Role {
			case traces.Weight:
				add("weight", b.Tensors[t].Name)
			case traces.Activation:
				add("activation", b.Tensors[t].Name)
			}
		}
		for j := range b.Ops {
			if b.Ops[j].Kind == traces.Attention {
				add("kv", b.Ops[j].Name)
			}
		}
	}
	return names
}

// pinGemm returns what is pinned of a product, nil if nothing is.
func (b *builder) pinGemm(g *gemm) *pinned {
	if b.pins == nil {
		return nil
	}
	return b.pins.of(b.matchGemm(g))
}

func (b *builder) matchGemm(g *gemm) Match {
	return Match{Op: g.name, Kind: "gemm", Phase: g.phase.String(), Block: b.blockName, Batch: g.batch, M: g.m, N: g.n, K: g.k}
}

func (b *builder) matchAttention(a *attention) Match {
	return Match{Op: a.name, Kind: "attention", Phase: a.phase.String(), Block: b.blockName, Batch: a.batch, Heads: a.heads, QLen: a.qlen,
		Past: &Range{a.past, a.past}}
}

func (b *builder) matchRows(r *rows) Match {
	return Match{Op: r.name, Kind: r.kind.String(), Phase: r.phase.String(), Block: b.blockName, Rows: r.rows, Cols: r.cols}
}

// wayOf decides how a product is computed, and returns the pins that are left to follow: nil if they were refused.
func (b *builder) wayOf(g *gemm, v *pinned) (way, *arch.RowKernel, *pinned) {
	x, w, y := g.operands()
	lib, fits := b.gemv(g), b.residentGemm(g)
	own := tiledWay
	switch {
	case lib != nil:
		own = vectorWay
	case fits:
		own = residentWay
	}
	if v == nil {
		return own, lib, nil
	}
	k := b.matchGemm(g)
	use := own
	switch v.Kernel {
	case "tiled":
		use = tiledWay
	case "vector":
		if use = vectorWay; lib == nil {
			hint := "kernel: tiled"
			if g.m != 1 {
				b.refuse(v, pinKernel, g.name, hint, "it has %d rows, and only products of a single row stream through the vector units", g.m)
			} else {
				b.refuse(v, pinKernel, g.name, hint, "runtime %s has no such kernel", b.profile.Name)
			}
			return own, lib, nil
		}
	case "resident":
		if use = residentWay; !fits {
			b.refuseResident(v, g.name, "kernel: tiled", x+w+y)
			return own, lib, nil
		}
	case "streamed":
		b.refuse(v, pinKernel, g.name, "kernel: tiled, vector or resident", "that is how row operators are computed; a product is not one")
		return own, lib, nil
	}
	ok := true
	switch use {
	case vectorWay:
		ok = b.only(v, &k, "a single row that streams through the vector units", "add kernel: tiled", pinKernel)
	case residentWay:
		ok = b.only(v, &k, "a product whose operands are copied on chip whole", "add kernel: tiled", pinKernel, pinDeal)
	default:
		ok = b.only(v, &k, "a tiled product", "narrow the match", pinKernel, pinTile, pinDepth, pinSplit, pinStages, pinBlocks, pinKeep)
	}
	if !ok {
		return own, lib, nil
	}
	return use, lib, v
}

// refuseResident says why operands cannot be copied on chip whole.
func (b *builder) refuseResident(v *pinned, name, hint string, bytes int64) {
	switch {
	case b.profile.Resident == nil:
		b.refuse(v, pinKernel, name, hint, "runtime %s copies no operands on chip whole", b.profile.Name)
	case b.shared == nil:
		b.refuse(v, pinKernel, name, hint, "%s has no on-chip memory that its cores share", b.m.Name)
	case !b.alone:
		b.refuse(v, pinKernel, name, hint, "only an operator by itself waits for its operands; in a program they arrive while the one before runs")
	case b.profile.Resident.Stream:
		b.refuse(v, pinKernel, name, hint, "runtime %s streams operators of rows", b.profile.Name)
	default:
		b.refuse(v, pinKernel, name, hint, "its operands take %s, %s holds %s", Human(units.Bytes(bytes)), b.shared.Name,
			Human(b.shared.Capacity))
	}
}

// narrow applies the pins to the menu of tiles and splits and to what is free of a tiling. It refuses what is not legal
// with the nearest value that is, and then returns the library's own menu.
func (b *builder) narrow(g *gemm, v *pinned) (menu []string, splits []int64, want tileChoice) {
	lib := g.lib
	menu, splits, want = lib.Menu(g.m), lib.Splits, tileChoice{depth: lib.Depth}
	if v == nil {
		return menu, splits, want
	}
	give := want
	if v.Depth > 0 {
		if most := max(g.k, lib.Depth); v.Depth > most {
			b.refuse(v, pinDepth, g.name, fmt.Sprintf("depth: %d", most), "the reduction has %d", g.k)
			return menu, splits, want
		}
		give.depth = v.Depth
	}
	give.buffers, give.resident = v.Stages, v.Blocks
	if v.Tile != (Tile{}) {
		if !b.tileFits(g, v, &give) {
			return menu, splits, want
		}
		menu = []string{v.Tile.String()}
	} else if !slices.ContainsFunc(menu, func(s string) bool {
		rows, cols, err := arch.ParseTile(s)
		return err == nil && b.room(g, Tile{rows, cols}, give).short() == ""
	}) {
		b.refuseRoom(g, v, b.smallest(g, give), &give)
		return lib.Menu(g.m), lib.Splits, want
	}
	if v.Split > 0 {
		depth := give.depth
		if lib.Shrink {
			depth = min(depth, g.k)
		}
		if most := units.CeilDiv(g.k, depth); v.Split > most {
			b.refuse(v, pinSplit, g.name, fmt.Sprintf("split: %d", most), "a reduction of %d has %d stages of depth %d to divide", g.k, most,
				depth)
			return lib.Menu(g.m), lib.Splits, want
		}
		splits = []int64{v.Split}
	}
	for k, name := range keepNames {
		if name == v.Keep && k > 0 {
			give.keep = keep(k)
		}
	}
	return menu, splits, give
}

// room is what a tile asks of a core.
type room struct {
	feed                int64 // bytes of one operand buffer of one tile
	buffers, blocks     int64 // at least
	bytes, has          int64 // of private memory; has is 0 where there is none
	elements, registers int64
}

// short names what there is not enough of, "" if there is.
func (r *room) short() string {
	switch {
	case r.elements > r.registers:
		return "accumulators"
	case r.has > 0 && r.bytes > r.has:
		return "bytes"
	}
	return ""
}

// room works out what a tile asks for, with what is free at its least.
func (b *builder) room(g *gemm, t Tile, c tileChoice) *room {
	lib := g.lib
	if lib.Shrink {
		t, c.depth = Tile{min(t.Rows, g.m), min(t.Cols, g.n)}, min(c.depth, g.k)
	}
	r := &room{feed: g.piece(g.a, c.depth, t.Rows) + g.piece(g.w, c.depth, t.Cols), buffers: 2, blocks: max(c.resident, 1),
		registers: b.registers(g)}
	if c.buffers > 0 {
		r.buffers = c.buffers
	}
	r.elements = t.Rows * t.Cols * r.blocks
	if b.private != nil {
		r.has = int64(b.private.Capacity)
		r.bytes = math.MaxInt64
		if n, ok := mul(r.feed, r.buffers, r.blocks); ok {
			r.bytes = n
		}
	}
	return r
}

// registers returns how many accumulators a core has: whatever the library itself uses can be had.
func (b *builder) registers(g *gemm) int64 {
	n := g.lib.Accumulators
	for _, s := range g.lib.Tiles {
		if rows, cols, err := arch.ParseTile(s); err == nil {
			n = max(n, rows*cols)
		}
	}
	return n
}

// smallest returns the tile of the menu with the smallest operand buffers.
func (b *builder) smallest(g *gemm, c tileChoice) Tile {
	var best Tile
	least := int64(math.MaxInt64)
	for _, s := range g.lib.Menu(g.m) {
		if rows, cols, err := arch.ParseTile(s); err == nil {
			if r := b.room(g, Tile{rows, cols}, c); r.feed < least {
				best, least = Tile{rows, cols}, r.feed
			}
		}
	}
	return best
}

// tileFits refuses a pinned tile, or what is pinned beside it, that a core has no room for.
func (b *builder) tileFits(g *gemm, v *pinned, c *tileChoice) bool {
	alone := tileChoice{depth: min(c.depth, g.lib.Depth), buffers: min(c.buffers, 2)} // at its least
	if r := b.room(g, v.Tile, alone); r.short() != "" {
		near := v.Tile
		for n := r; n.short() != "" && near.Rows*near.Cols > 1; n = b.room(g, near, alone) {
			if near.Rows >= near.Cols {
				near.Rows = units.CeilDiv(near.Rows, 2)
			} else {
				near.Cols = units.CeilDiv(near.Cols, 2)
			}
		}
		hint := "tile: " + near.String()
		if r.short() == "accumulators" {
			b.refuse(v, pinTile, g.name, hint, "it has %d elements, a core of %s has accumulators for %d", r.elements, b.m.Name, r.registers)
		} else {
			b.refuse(v, pinTile, g.name, hint, "%s of operands take %s, %s of a core holds %s", plural(r.buffers, "buffer"),
				Human(units.Bytes(r.bytes)),
				b.private.Name, Human(b.private.Capacity))
		}
		return false
	}
	if b.room(g, v.Tile, *c).short() != "" {
		b.refuseRoom(g, v, v.Tile, c)
		return false
	}
	return true
}

// refuseRoom refuses the pin that makes a tile need more room than there is: blocks, stages or depth.
func (b *builder) refuseRoom(g *gemm, v *pinned, t Tile, c *tileChoice) {
	r := b.room(g, t, *c)
	lone, single := *c, *c
	lone.resident = 0
	single.resident, single.buffers = 0, min(c.buffers, 2)
	most := r.registers / max(r.elements/r.blocks, 1)
	if r.has > 0 {
		most = min(most, r.has/(r.feed*r.buffers))
	}
	switch {
	case v.Blocks > 0 && b.room(g, t, lone).short() == "":
		b.refuse(v, pinBlocks, g.name, fmt.Sprintf("blocks: %d", max(most, 1)),
			"%s of %s take %d accumulators and %s of operands, a core of %s has %d and %s",
			plural(v.Blocks, "tile"), t, r.elements, Human(units.Bytes(r.bytes)), b.m.Name, r.registers, Human(units.Bytes(r.has)))
	case v.Stages > 0 && b.room(g, t, single).short() == "":
		b.refuse(v, pinStages, g.name, fmt.Sprintf("stages: %d", r.has/r.feed), "%s of %s for a tile of %s take %s, %s of a core holds %s",
			plural(v.Stages, "buffer"),
			Human(units.Bytes(r.feed)), t, Human(units.Bytes(r.feed*r.buffers)), b.private.Name, Human(b.private.Capacity))
	default:
		near := single
		for near.depth > 1 && b.room(g, t, near).short() != "" {
			near.depth /= 2
		}
		b.refuse(v, pinDepth, g.name, fmt.Sprintf("depth: %d", near.depth), "%s of operands for a tile of %s take %s, %s of a core holds %s",
			plural(r.buffers, "buffer"), t,
			Human(units.Bytes(r.bytes)), b.private.Name, Human(b.private.Capacity))
	}
}

// refuseKeep says why what is to be kept cannot be, and tiles the product without that.
func (b *builder) refuseKeep(g *gemm, v *pinned, menu []string, want tileChoice) (tiling, error) {
	give := want
	give.keep = keepFree
	least, room := int64(math.MaxInt64), int64(0)
	for _, s := range menu {
		rows, cols, err := arch.ParseTile(s)
		if err != nil {
			return tiling{}, err
		}
		give.rows, give.cols, give.split = rows, cols, max(v.Split, 1)
		t, err := b.tile(g, give)
		if err != nil || b.shared == nil {
			continue
		}
		a, w, c := g.operands()
		n := b.parts(g, &t, a, w, c)
		least, room = min(least, [...]int64{keepA: n.wave, keepB: n.wave, keepBoth: n.both}[want.keep]), n.room
	}
	if b.shared == nil {
		b.refuse(v, pinKeep, g.name, "keep: none", "%s has no on-chip memory that its cores share", b.m.Name)
	} else {
		b.refuse(v, pinKeep, g.name, "keep: none, or leave it out", "it takes %s at the least, %s of %s are for what stays from wave to wave",
			Human(units.Bytes(least)),
			Human(units.Bytes(room)), b.shared.Name)
	}
	free := *v
	free.Keep = ""
	return b.bestTiling(g, &free)
}

// attentionFits refuses what is pinned of fused attention and is not legal.
func (b *builder) attentionFits(a *attention, v *pinned, own, c *attentionChoice) bool {
	k := b.matchAttention(a)
	if !b.only(v, &k, "fused attention", "narrow the match", pinTile, pinSplit, pinBlocks) {
		return false
	}
	tiles := units.CeilDiv(a.keys, c.keys)
	switch {
	case a.decodes() && c.rows != own.rows:
		b.refuse(v, pinTile, a.name, fmt.Sprintf("tile: %s", Tile{own.rows, c.keys}),
			"one new token is a tile of as many rows as query heads share keys, %d here", own.rows)
		return false
	case !a.decodes() && c.split > 1 && (a.lib.Split != "any" && a.lib.Split != "fill" || a.beside != nil):
		b.refuse(v, pinSplit, a.name, "split: 1", "only the cache that a single new token walks is divided")
		return false
	case c.split > tiles:
		b.refuse(v, pinSplit, a.name, fmt.Sprintf("split: %d", tiles), "%d cached keys are %s of %d", a.keys, plural(tiles, "tile"), c.keys)
		return false
	case b.private == nil || c.rows*c.keys == own.rows*own.keys && c.resident <= own.resident: // as the library does
		return true
	}
	need := func(rows, keys int64) int64 {
		return int64(a.t.Bytes(rows*a.dim)) + int64(a.kv.KVPairs(keys, a.dim, a.kept))
	}
	if one := need(c.rows, c.keys); one > int64(b.private.Capacity) {
		near := Tile{c.rows, c.keys}
		for need(near.Rows, near.Cols) > int64(b.private.Capacity) && near.Rows*near.Cols > 1 {
			if near.Rows > near.Cols && a.qlen > 1 {
				near.Rows = units.CeilDiv(near.Rows, 2)
			} else {
				near.Cols = units.CeilDiv(near.Cols, 2)
			}
		}
		b.refuse(v, pinTile, a.name, "tile: "+near.String(), "queries, keys and values take %s, %s of a core holds %s", Human(units.Bytes(one)),
			b.private.Name, Human(b.private.Capacity))
		return false
	} else if most := int64(b.private.Capacity) / one; c.resident > most && v.Blocks > 0 {
		b.refuse(v, pinBlocks, a.name, fmt.Sprintf("blocks: %d", most), "%s take %s, %s of a core holds %s", plural(c.resident, "tile"),
			Human(units.Bytes(one*c.resident)),
			b.private.Name, Human(b.private.Capacity))
		return false
	} else if v.Blocks == 0 {
		c.resident = min(c.resident, most)
	}
	return true
}

// rowsResident decides whether a row operator's operands are copied on chip whole.
func (b *builder) rowsResident(r *rows, v *pinned) bool {
	own := b.residentRows()
	if v == nil {
		return own
	}
	k := b.matchRows(r)
	switch {
	case !b.only(v, &k, "a row operator", "narrow the match", pinKernel):
	case v.Kernel == "streamed":
		return false
	case v.Kernel == "resident" && !own:
		b.refuseResident(v, r.name, "kernel: streamed", r.read+r.write)
	case v.Kernel != "resident":
		b.refuse(v, pinKernel, r.name, "kernel: streamed or resident", "that is how products are computed")
	}
	return own
}
