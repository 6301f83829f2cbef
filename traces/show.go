package traces

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Show draws the graph as text for people: every block with its operators, what flows between them
// and what they ask for, and totals of all runs. An invalid graph is not drawn; the error is then an
// *Invalid.
func (g *Graph) Show(w io.Writer) error {
	if err := g.Validate(); err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, g.headline())
	fmt.Fprintln(out, "flow: | is a tensor in use, * an operator; it reads + (used again later) and ' (for the last time) and writes . (a further result)")
	names, summaries := g.blockNames(), g.summaries()
	shown := make([]bool, len(g.Blocks))
	for i := range g.Runs {
		if k := g.Runs[i].Block; !shown[k] {
			shown[k] = true
			showBlock(out, &g.Blocks[k], &summaries[k], names[k])
		}
	}
	g.showTotals(out)
	for _, n := range g.Notes {
		fmt.Fprintf(out, "note: %s\n", n)
	}
	return out.Flush()
}

func (g *Graph) headline() string {
	name := g.Name
	if name == "" {
		name = "trace"
	}
	phase := g.Phase
	if phase == "" {
		phase = graphPhases[0]
	}
	s := fmt.Sprintf("%s: %s, batch %d", name, phase, max(g.Batch, 1))
	switch {
	case phase == "decode":
		s += fmt.Sprintf(", %d tokens cached", g.Prompt)
	case g.Prompt > 0:
		s += fmt.Sprintf(", prompts of %d tokens", g.Prompt)
	}
	if g.Generate > 0 {
		s += fmt.Sprintf(", %d generated", g.Generate)
	}
	return s + ", " + g.DType.String()
}

// summary gathers the runs of a block.
type summary struct {
	runs          int64
	phases        [numPhases]bool
	first         *Run
	times, layers [2]int64 // least and most
	steps, past   [2]int64
}

// summaries returns the summary of every block.
func (g *Graph) summaries() []summary {
	all := make([]summary, len(g.Blocks))
	for i := range g.Runs {
		r := &g.Runs[i]
		s := &all[r.Block]
		if s.runs++; s.runs == 1 {
			s.first = r
			s.times, s.steps, s.past = [2]int64{r.Times, r.Times}, [2]int64{r.Step, r.Step}, [2]int64{r.Past, r.Past}
			s.layers = [2]int64{r.FirstLayer, r.FirstLayer + r.Times - 1}
		}
		s.phases[r.Phase] = true
		s.times = [2]int64{min(s.times[0], r.Times), max(s.times[1], r.Times)}
		s.steps = [2]int64{min(s.steps[0], r.Step), max(s.steps[1], r.Step)}
		s.past = [2]int64{min(s.past[0], r.Past), max(s.past[1], r.Past)}
		s.layers = [2]int64{min(s.layers[0], r.FirstLayer), max(s.layers[1], r.FirstLayer+r.Times-1)}
	}
	return all
}

func span(v [2]int64) string {
	if v[0] == v[1] {
		return strconv.FormatInt(v[0], 10)
	}
	return fmt.Sprintf("%d to %d", v[0], v[1])
}

func showBlock(out io.Writer, b *Block, s *summary, name string) {
	var phases []string
	for p, has := range s.phases {
		if has {
			phases = append(phases, Phase(p).String())
		}
	}
	line := fmt.Sprintf("%s ×%s  %s", name, span(s.times), strings.Join(phases, " and "))
	if s.layers[1] > 0 {
		line += ", layers " + span(s.layers)
	}
	if s.steps[1] > 0 {
		line += ", step " + span(s.steps)
	}
	if s.past[1] > 0 {
		line += ", " + span(s.past) + " cached"
	}
	if s.runs > 1 {
		line += fmt.Sprintf(", %d runs; figures of the first", s.runs)
	}
	fmt.Fprintf(out, "\n%s\n", line)
	rows := [][]string{{"", "operator", "kind", "shape", "split", "operations", "bytes", "op/B"}}
	flow := newFlow(b)
	if lanes, names := flow.start(); lanes != "" {
		rows = append(rows, []string{lanes, "in: " + names})
	}
	for j := range b.Ops {
		op := &b.Ops[j]
		work, _ := op.Work(s.first.Past) // cannot fail: the graph is valid
		ops, bytes := work.operations(), work.bytes()
		rows = append(rows, []string{flow.step(j), op.Name, op.Kind.String(), op.shape(s.first.Past), op.Split.String(), quantity(ops, ""), quantity(bytes, "B"), ratio(ops, bytes)})
	}
	if left := flow.left(); left != "" {
		rows = append(rows, []string{"", "out: " + left})
	}
	table(out, rows)
}

func (w *Work) operations() float64 {
	return float64(w.MatrixOps) + float64(w.VectorOps) + float64(w.SpecialOps)
}

func (w *Work) bytes() float64 {
	return float64(w.ReadBytes) + float64(w.WeightBytes) + float64(w.WriteBytes)
}

// ratio is the arithmetic intensity.
func ratio(ops, bytes float64) string {
	if bytes == 0 {
		return "-"
	}
	return quantity(ops/bytes, "")
}

// quantity writes a number with three digits and a decimal prefix.
func quantity(v float64, unit string) string {
	prefixes := []string{"", "k", "M", "G", "T", "P", "E", "Z", "Y"}
	i := 0
	for i < len(prefixes)-1 && v >= 999.5 {
		v /= 1000
		i++
	}
	var s string
	switch {
	case v >= 99.95 || v == math.Trunc(v) && i == 0:
		s = strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 9.995:
		s = strconv.FormatFloat(v, 'f', 1, 64)
	default:
		s = strconv.FormatFloat(v, 'f', 2, 64)
	}
	if u := prefixes[i] + unit; u != "" {
		s += " " + u
	}
	return s
}

// shape describes the dimensions of an operator.
func (op *Op) shape(past int64) string {
	var s string
	switch kinds[op.Kind].family {
	case product:
		if op.Batch != 1 {
			s = fmt.Sprintf("%d of ", op.Batch)
		}
		s += fmt.Sprintf("%d×%d·%d×%d", op.M, op.K, op.K, op.N)
		if len(op.Parts) > 1 {
			s += fmt.Sprintf(" in %d parts", len(op.Parts))
		}
	case attending:
		heads := strconv.FormatInt(op.Heads, 10)
		if op.KVHeads != op.Heads {
			heads += fmt.Sprintf("/%d", op.KVHeads)
		}
		s = fmt.Sprintf("%d×%s heads×%d, %d new, %d cached", op.Batch, heads, op.HeadDim, op.QLen, op.cached(past))
		if op.ValueDim != 0 && op.ValueDim != op.HeadDim {
			s += fmt.Sprintf(", values of %d", op.ValueDim)
		}
		if op.Latent {
			s += ", latent"
		}
		if op.Window > 0 {
			s += fmt.Sprintf(", window of %d", op.Window)
		}
		if op.Relative != NoRelative {
			s += ", relative " + op.Relative.String()
		}
		if op.Cross {
			s += ", cross"
		} else if !op.Causal {
			s += ", not causal"
		}
	case mixture:
		s = fmt.Sprintf("%d×%d to %d of %d×%d", op.M, op.K, op.TopK, op.Experts, op.N)
		if op.EP > 1 {
			s += fmt.Sprintf(", one of %d ranks", op.EP)
		}
		if op.SkewMilli > 0 {
			s += fmt.Sprintf(", skew %g", float64(op.SkewMilli)/1000)
		}
	case rowWise:
		s = fmt.Sprintf("%d×%d", op.Rows, op.Cols)
	case collective:
		s = op.Bytes.String()
	}
	types := op.DType.String()
	switch {
	case oneOf(Gemm, Embedding, MoE)(op.Kind) && op.WeightDType != op.DType:
		types += "·" + op.WeightDType.String()
	case oneOf(Attention, KVAppend)(op.Kind) && op.KVDType != op.DType:
		types += "·" + op.KVDType.String()
	case op.Kind == Quantize:
		types += "·" + op.ToDType.String()
	}
	return s + " " + types
}

// table writes rows in aligned columns, numbers to the right.
func table(out io.Writer, rows [][]string) {
	const numbers = 5 // first column of numbers
	var width []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			if len(row) > numbers || i == 0 {
				width[i] = max(width[i], utf8.RuneCountInString(cell))
			}
		}
	}
	var line strings.Builder
	for _, row := range rows {
		line.Reset()
		line.WriteString(" ")
		for i, cell := range row {
			pad := strings.Repeat(" ", max(0, width[i]-utf8.RuneCountInString(cell)))
			if i >= numbers {
				line.WriteString(" " + pad + cell + " ")
			} else {
				line.WriteString(" " + cell + pad + " ")
			}
		}
		fmt.Fprintln(out, strings.TrimRight(line.String(), " "))
	}
}

// flow draws which results are alive beside the operators, a lane for each: an operator (*) stands on
// a lane that ends in it (') or branches off one that goes on (+); several results start lanes (.).
type flow struct {
	b     *Block
	last  []int      // operator that reads the tensor last, -1: none
	first []int      // operator that writes it first, -1: it comes from outside
	lanes []TensorID // -1: free
	many  bool       // more lanes than are worth drawing
}

const (
	freeLane = TensorID(-1)
	maxLanes = 16
)

func newFlow(b *Block) *flow {
	f := &flow{b: b, last: make([]int, len(b.Tensors)), first: make([]int, len(b.Tensors))}
	for t := range f.last {
		f.last[t], f.first[t] = -1, -1
	}
	for j := range b.Ops {
		for _, id := range b.Ops[j].Inputs {
			f.last[id] = j
		}
		for _, id := range b.Ops[j].Outputs {
			if f.first[id] < 0 {
				f.first[id] = j
			}
		}
	}
	return f
}

func (f *flow) drawn(id TensorID) bool {
	role := f.b.Tensors[id].Role
	return role == Activation || role == KV && f.first[id] >= 0
}

// put starts a lane and returns its place.
func (f *flow) put(id TensorID) int {
	i := slices.Index(f.lanes, freeLane)
	if i < 0 {
		i = len(f.lanes)
		f.lanes = append(f.lanes, id)
		f.many = f.many || len(f.lanes) > maxLanes
	}
	f.lanes[i] = id
	return i
}

// start draws the lanes of what comes from outside.
func (f *flow) start() (lanes, names string) {
	var in []string
	for t := range f.b.Tensors {
		if id := TensorID(t); f.drawn(id) && f.first[t] < 0 && f.last[t] >= 0 {
			in = append(in, f.b.Tensors[t].Name)
			if !f.many {
				f.put(id)
			}
		}
	}
	if len(in) == 0 {
		return "", ""
	}
	return f.row(nil), enumerate(in)
}

func enumerate(names []string) string {
	if len(names) > 6 {
		return strings.Join(names[:6], ", ") + fmt.Sprintf(" and %d more", len(names)-6)
	}
	return strings.Join(names, ", ")
}

// row draws the lanes with marks at some of them, joined from the first mark to the last.
func (f *flow) row(marks map[int]byte) string {
	if f.many {
		return "..."
	}
	from, to := len(f.lanes), -1
	for i := range marks {
		from, to = min(from, i), max(to, i)
	}
	var b strings.Builder
	for i := range max(len(f.lanes), to+1) {
		join := byte(' ')
		if i > from && i <= to {
			join = '-'
		}
		if i > 0 {
			b.WriteByte(join)
		}
		switch c, marked := marks[i]; {
		case marked:
			b.WriteByte(c)
		case i < len(f.lanes) && f.lanes[i] != freeLane:
			b.WriteByte('|')
		default:
			b.WriteByte(join)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// step draws operator j and moves the lanes past it.
func (f *flow) step(j int) string {
	op := &f.b.Ops[j]
	if f.many {
		return f.row(nil)
	}
	marks := map[int]byte{}
	at := -1
	for _, id := range op.Inputs {
		i := slices.Index(f.lanes, id)
		if i < 0 || !f.drawn(id) {
			continue
		}
		// A result that is written in place goes on as itself.
		if f.last[id] == j || slices.Contains(op.Outputs, id) {
			marks[i] = '\''
			if at < 0 || i < at {
				at = i
			}
		} else {
			marks[i] = '+'
		}
	}
	before := slices.Clone(f.lanes)
	for i := range marks {
		if marks[i] == '\'' {
			f.lanes[i] = freeLane
		}
	}
	var starts []int
	placed := false
	for _, id := range op.Outputs {
		if !f.drawn(id) || slices.Contains(f.lanes, id) {
			continue
		}
		if !placed && at >= 0 {
			placed = true
			f.lanes[at] = id
			continue
		}
		i := f.put(id)
		if !placed {
			placed, at = true, i
			continue
		}
		starts = append(starts, i)
	}
	if at < 0 {
		at = slices.Index(before, freeLane)
		if at < 0 {
			at = len(before)
		}
	}
	marks[at] = '*'
	for _, i := range starts {
		if marks[i] == 0 {
			marks[i] = '.'
		} else if marks[i] == '\'' {
			marks[i] = '|'
		}
	}
	line := f.row(marks)
	for i, id := range f.lanes { // what nothing reads any more leaves the block
		if id != freeLane && f.last[id] <= j {
			f.lanes[i] = freeLane
		}
	}
	for len(f.lanes) > 0 && f.lanes[len(f.lanes)-1] == freeLane {
		f.lanes = f.lanes[:len(f.lanes)-1]
	}
	return line
}

// left names the results that no operator of the block reads.
func (f *flow) left() string {
	var out []string
	for t := range f.b.Tensors {
		if f.drawn(TensorID(t)) && f.first[t] >= 0 && f.last[t] < 0 {
			out = append(out, f.b.Tensors[t].Name)
		}
	}
	return enumerate(out)
}

// layered adds up what belongs to a name in a layer once, however often it is used.
type layered struct {
	order []string
	spans map[string]map[[2]int64]float64
}

// use notes that layers first to end−1 have v each under a name.
func (l *layered) use(name string, first, end int64, v float64) {
	if l.spans == nil {
		l.spans = map[string]map[[2]int64]float64{}
	}
	m := l.spans[name]
	if m == nil {
		m = map[[2]int64]float64{}
		l.spans[name] = m
		l.order = append(l.order, name)
	}
	k := [2]int64{first, end}
	m[k] = max(m[k], v)
}

func (l *layered) sum() (total float64) {
	for _, name := range l.order {
		m := l.spans[name]
		spans := make([][2]int64, 0, len(m))
		for s := range m {
			spans = append(spans, s)
		}
		slices.SortFunc(spans, func(a, b [2]int64) int { return slices.Compare(a[:], b[:]) })
		covered := int64(0)
		for _, s := range spans {
			if from := max(s[0], covered); from < s[1] {
				total += float64(float64(s[1]-from) * m[s])
				covered = s[1]
			}
		}
	}
	return total
}

// totals of all runs. They can exceed 64 bits, so they are approximate.
type totals struct {
	matrix, other        float64 // operations
	moved, weightsMoved  float64 // bytes
	parameters, weights  float64 // elements and bytes of the weights
	cache                float64 // bytes of keys and values at their most
	operators, instances float64
}

func (g *Graph) totals() (t totals) {
	// What does not depend on the cache is the same in every run of a block.
	type sum struct{ matrix, other, moved, weights float64 }
	add := func(s *sum, w *Work) {
		s.matrix += float64(w.MatrixOps)
		s.other += float64(w.VectorOps) + float64(w.SpecialOps)
		s.moved += w.bytes()
		s.weights += float64(w.WeightBytes)
	}
	fixed := make([]*sum, len(g.Blocks))
	attention := make([][]int, len(g.Blocks))
	var parameters, weights, cache layered
	type use struct {
		block       int32
		first, time int64
	}
	used := map[use]bool{}
	for i := range g.Runs {
		r := &g.Runs[i]
		b := &g.Blocks[r.Block]
		if fixed[r.Block] == nil {
			s := new(sum)
			for j := range b.Ops {
				if b.Ops[j].Kind == Attention {
					attention[r.Block] = append(attention[r.Block], j)
					continue
				}
				w, _ := b.Ops[j].Work(0) // cannot fail: the graph is valid
				add(s, &w)
			}
			fixed[r.Block] = s
			t.operators += float64(len(b.Ops))
		}
		s := *fixed[r.Block]
		end := r.FirstLayer + r.Times
		for _, j := range attention[r.Block] {
			op := &b.Ops[j]
			w, _ := op.Work(r.Past)
			add(&s, &w)
			n, _ := op.CacheBytes(r.Past)
			cache.use(op.Name, r.FirstLayer, end, float64(n))
		}
		times := float64(r.Times) * float64(r.Steps())
		t.matrix += float64(times * s.matrix)
		t.other += float64(times * s.other)
		t.moved += float64(times * s.moved)
		t.weightsMoved += float64(times * s.weights)
		t.instances += float64(times * float64(len(b.Ops)))
		u := use{r.Block, r.FirstLayer, r.Times}
		if used[u] {
			continue
		}
		used[u] = true
		for k := range b.Tensors {
			if w := &b.Tensors[k]; w.Role == Weight {
				n := int64(1)
				for _, d := range w.Shape {
					n *= d // cannot overflow: the graph is valid
				}
				parameters.use(w.Name, r.FirstLayer, end, float64(n))
				bytes, _ := w.Bytes()
				weights.use(w.Name, r.FirstLayer, end, float64(bytes))
			}
		}
	}
	t.parameters, t.weights, t.cache = parameters.sum(), weights.sum(), cache.sum()
	return t
}

func (g *Graph) showTotals(out io.Writer) {
	t := g.totals()
	rows := [][2]string{
		{"operators", fmt.Sprintf("%s, run %s times", strconv.FormatFloat(t.operators, 'f', 0, 64), strconv.FormatFloat(t.instances, 'f', 0, 64))},
		{"parameters", quantity(t.parameters, "") + " in weights that are named"},
		{"weights", quantity(t.weights, "B")},
		{"cache", quantity(t.cache, "B") + " of keys and values at the most"},
		{"matrix products", quantity(t.matrix, "FLOP")},
		{"other", quantity(t.other, "op")},
		{"moved", fmt.Sprintf("%s if every operand moves once, %s of it weights", quantity(t.moved, "B"), quantity(t.weightsMoved, "B"))},
		{"intensity", ratio(t.matrix+t.other, t.moved) + " op/B"},
	}
	fmt.Fprintln(out, "\ntotal")
	for _, r := range rows {
		fmt.Fprintf(out, "  %-16s %s\n", r[0], r[1])
	}
}
