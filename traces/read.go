package traces

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
)

const (
	maxLine = 1 << 20   // bytes of a line
	maxText = 256 << 20 // bytes of all lines but runs
	// Names that an unknown one is compared with.
	maxKnown = 200
)

var errLongLine = errors.New("longer than 1 MiB")

// Read reads an operator trace; file names it in errors, which are of type ReadErrors. A trace that
// was cut short is read as far as it goes, and Graph.Notes says so.
func Read(file string, from io.Reader) (*Graph, error) {
	r := reader{file: file, br: bufio.NewReaderSize(from, 1<<16), g: &Graph{}, blocks: map[string]int32{}}
	r.all()
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	return r.g, nil
}

type reader struct {
	file     string
	br       *bufio.Reader
	long     []byte // a line that does not fit the buffer of br
	line     int
	problems ReadErrors
	fatal    bool

	g       *Graph
	header  int   // line of the header, 0 before it
	want    int64 // records as the header says, or 0
	records int64 // read so far
	text    int   // bytes of records but runs
	ops     int
	tensors int

	blocks   map[string]int32
	places   []blockPlace
	runLines []int32
	open     bool                // the last block takes tensors and operators
	byName   map[string]TensorID // tensors of the open block
	opNames  map[string]bool     // operators of the open block

	members []member
	record  int // kind of the record that is being read
	values  [64][]byte
	strange bool // it has a member that is not known
}

// blockPlace says where a block and what it holds is in the file.
type blockPlace struct {
	line    int32
	before  int  // runs before it
	named   bool // a run names it
	broken  bool // a line of it is wrong
	tensors []int32
	ops     []int32
}

// problem notes what is wrong with a line.
func (r *reader) problem(line int, path, message, hint string) *ReadError {
	e := &ReadError{File: r.file, Line: max(line, 1), Path: path, Message: message, Hint: hint}
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, e)
		if len(r.problems) == maxProblems {
			r.fatal = true
		}
	}
	if r.open && len(r.places) > 0 {
		r.places[len(r.places)-1].broken = true
	}
	return e
}

// member notes what is wrong with a member of the record.
func (r *reader) member(name, message, hint string) {
	r.problem(r.line, r.path(name), message, hint)
}

func (r *reader) path(name string) string {
	if rec := recordNames[r.record]; name != rec {
		return rec + "." + name
	}
	return name
}

// stop notes a problem after which reading on makes no sense.
func (r *reader) stop(line int, message, hint string) *ReadError {
	r.fatal = true
	return r.problem(line, "", message, hint)
}

// readLine returns the next line and whether a line break ends it.
func (r *reader) readLine() (line []byte, whole bool, err error) {
	line, err = r.br.ReadSlice('\n')
	if err == nil {
		return line, true, nil
	}
	r.long = append(r.long[:0], line...)
	for err == bufio.ErrBufferFull {
		if len(r.long) > maxLine {
			return nil, false, errLongLine
		}
		line, err = r.br.ReadSlice('\n')
		r.long = append(r.long, line...)
	}
	switch {
	case err == io.EOF && len(r.long) == 0:
		return nil, false, io.EOF
	case err != nil && err != io.EOF:
		return nil, false, err
	case len(r.long) > maxLine+1:
		return nil, false, errLongLine
	}
	return r.long, err == nil, nil
}

func (r *reader) all() {
	cut := false // the last line is not whole
	for !r.fatal && !cut {
		line, whole, err := r.readLine()
		if err == io.EOF {
			break
		}
		r.line++
		if err == errLongLine {
			message, hint := "a line "+err.Error(), "every record is on one line; at most 512 inputs, outputs or parts"
			if r.header == 0 {
				message, hint = "not an operator trace: its first line is "+err.Error(), headerHint
			}
			r.stop(r.line, message, hint)
			return
		}
		if err != nil {
			r.stop(r.line, "cannot be read: "+err.Error(), "").Err = err
			return
		}
		if r.line == 1 {
			line = bytes.TrimPrefix(line, []byte("\xEF\xBB\xBF"))
		}
		line = bytes.Trim(line, " \t\r\n")
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if r.header == 0 {
			r.readHeader(line, whole)
			continue
		}
		cut = r.readRecord(line, whole)
	}
	if r.header == 0 {
		if len(r.problems) == 0 {
			r.stop(r.line, "the file is empty", headerHint)
		}
		return
	}
	r.closeBlock()
	r.finish(cut)
}

const (
	notUTF8  = "text that is not UTF-8"
	saveUTF8 = "save the file as UTF-8"
)

const headerHint = `a trace begins with a line such as {"trace":"` + Format + `"}`

// readHeader reads the first record, or says what the file is instead of a trace.
func (r *reader) readHeader(line []byte, whole bool) {
	rest, _ := r.br.Peek(r.br.Buffered())
	if message, hint := binary(line); message != "" {
		r.stop(r.line, message, hint)
		return
	}
	var err *syntaxError
	r.members, err = object(line, r.members[:0])
	if i := slices.IndexFunc(r.members, func(m member) bool { return m.name == "trace" }); i < 0 || err != nil {
		message, hint := foreign(line, rest, r.members)
		switch {
		case hint != "":
		case err != nil && err.short && !whole:
			message, hint = "the file ends inside its header", "it was cut there; nothing can be replayed"
		case err != nil:
			message, hint = fmt.Sprintf("not an operator trace: column %d: %s", err.offset+1, err.message), headerHint
		default:
			message, hint = `not an operator trace: its first record has no member "trace"`, headerHint
		}
		r.stop(r.line, message, hint)
		return
	}
	if !utf8.Valid(line) {
		r.stop(r.line, notUTF8, saveUTF8)
		return
	}
	r.header, r.record = r.line, recHeader
	r.records++
	g := r.g
	// The version decides what else may be in the header.
	for _, m := range r.members {
		if m.name != "trace" {
			continue
		}
		if m.raw[0] != '"' {
			r.stop(r.line, "not an operator trace: trace must be the string "+strconv.Quote(Format)+", is "+what(m.raw), headerHint)
			return
		}
		switch name := textOf(m.raw); {
		case name == Format:
		case strings.HasPrefix(name, "strata.trace/"):
			message := fmt.Sprintf("%q: this program reads version %d of the format", shorten(name), Version)
			hint := fmt.Sprintf("write %q", Format)
			if v, err := strconv.Atoi(strings.TrimPrefix(name, "strata.trace/")); err == nil && v > Version {
				hint = "update strata"
			}
			r.stop(r.line, message, hint).Path = "trace"
			return
		default:
			r.stop(r.line, fmt.Sprintf("%q is not the format of an operator trace", shorten(name)), "write "+strconv.Quote(Format)).Path = "trace"
			return
		}
	}
	r.sort()
	g.Name = r.string("model", "")
	if r.values[index(recHeader, "model")] != nil && g.Name != "" {
		if msg := nameProblem(g.Name); msg != "" {
			r.member("model", msg, "")
		}
	}
	g.Phase = r.string("phase", "prefill")
	if !slices.Contains(graphPhases, g.Phase) {
		r.unknown("phase", &UnknownName{"phase", g.Phase, graphPhases})
	}
	without := ""
	if g.Phase == "serve" {
		without = Steady
	}
	g.Arrivals = r.string("arrivals", without)
	g.DType = r.dtype("dtype", BF16)
	tokens, given := r.int("draft_tokens")
	acceptance := r.string("acceptance", "")
	if r.values[index(recHeader, "draft")] != nil {
		g.Speculation = &Speculation{Draft: r.string("draft", ""), Tokens: tokens, Acceptance: acceptance}
		if e := g.Speculation.invalid(g.Phase); e != nil {
			r.member(e.Field, e.Message, e.Hint)
		}
	} else if given || acceptance != "" {
		r.member("draft", "missing", "draft_tokens and acceptance go with the name of a draft model")
	}
	for _, d := range []struct {
		name         string
		into         *int64
		min, without int64
	}{{"batch", &g.Batch, 1, 1}, {"prompt", &g.Prompt, 0, 0}, {"generate", &g.Generate, 0, 0}, {"wave", &g.Wave, 1, 0}, {"groups", &g.Groups, 1, 0}, {"lines", &r.want, 1, 0}} {
		v, given := r.int(d.name)
		if !given {
			v = d.without
		} else if v < d.min || v > maxDimension {
			r.member(d.name, fmt.Sprintf("%d: must be from %d to %d", v, d.min, int64(maxDimension)), "")
		}
		*d.into = v
	}
}

// binary says that a line is not text, or returns "".
func binary(line []byte) (message, hint string) {
	for _, known := range []struct{ magic, message, hint string }{
		{"\x1f\x8b", "the file is compressed with gzip", "gunzip it first"},
		{"\x28\xb5\x2f\xfd", "the file is compressed with Zstandard", "unpack it first"},
		{"BZh", "the file is compressed with bzip2", "unpack it first"},
		{"PK\x03\x04", "the file is a zip archive", "unpack it first"},
		{"\xff\xfe", "the file is in UTF-16", "save it as UTF-8"},
		{"\xfe\xff", "the file is in UTF-16", "save it as UTF-8"},
		{"SQLite format 3", "the file is a database", "results are read with strata results"},
	} {
		if bytes.HasPrefix(line, []byte(known.magic)) {
			return known.message, known.hint
		}
	}
	if bytes.IndexByte(line, 0) >= 0 {
		return "a binary file, not an operator trace", headerHint
	}
	return "", ""
}

// foreign guesses what a file is that is no trace. Hint is "" where it cannot tell.
func foreign(line, rest []byte, members []member) (message, hint string) {
	text := slices.Concat(line, []byte("\n"), rest)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return bytes.Contains(text, []byte(w)) })
	}
	switch {
	case len(members) > 0 && (slices.Contains(recordNames[1:], members[0].name) || members[0].name == "kind"):
		return "the header is missing", `begin the file with {"trace":"` + Format + `"}`
	case has(`"strata.run/`):
		return "not an operator trace but the answer of a run", "strata diff compares answers"
	case has(`"traceEvents"`):
		return "not an operator trace but a profiler's timeline", "convert it with strata trace import"
	case has(`"hidden_size"`, `"model_type"`, `"architectures"`, `"num_hidden_layers"`, `"n_embd"`, `"d_model"`):
		return "not an operator trace but the configuration of a model", "pass it with --model instead"
	case line[0] != '{' && (has("\nchip:", "\nprocess:") || bytes.HasPrefix(text, []byte("chip:"))):
		return "not an operator trace but the description of a machine", "pass it with --arch instead"
	case line[0] != '{' && line[0] != '[':
		return "not an operator trace, which is JSON Lines", headerHint
	}
	return "", ""
}

// sort puts the members of the record in the places that its table gives them.
func (r *reader) sort() {
	docs := memberDocs[r.record]
	clear(r.values[:])
	r.strange = false
	for _, m := range r.members {
		i := slices.IndexFunc(docs, func(d memberDoc) bool { return d.name == m.name })
		switch {
		case i < 0:
			r.strange = true
			known := make([]string, len(docs))
			for j := range docs {
				known[j] = docs[j].name
			}
			r.problem(r.line, recordNames[r.record]+"."+shorten(m.name), "unknown member", didYouMean(m.name, known))
		case r.values[i] != nil:
			r.member(m.name, "given twice", "")
		default:
			r.values[i] = m.raw
		}
	}
}

// didYouMean is a hint: the nearest name, or else all of them if they are few.
func didYouMean(name string, known []string) string {
	if near := spec.Suggest(name, known); near != "" {
		return "did you mean " + strconv.Quote(near) + "?"
	}
	if len(known) == 0 || len(known) > 40 {
		return ""
	}
	return "known: " + strings.Join(known, ", ")
}

func index(record int, name string) int {
	for i := range memberDocs[record] {
		if memberDocs[record][i].name == name {
			return i
		}
	}
	panic("traces: no member " + name)
}

func (r *reader) value(name string) []byte { return r.values[index(r.record, name)] }

func (r *reader) string(name, without string) string {
	raw := r.value(name)
	switch {
	case raw == nil:
		return without
	case raw[0] != '"':
		r.member(name, "must be a string, is "+what(raw), "")
		return without
	}
	return textOf(raw)
}

// int returns a whole number and whether there is one.
func (r *reader) int(name string) (int64, bool) {
	raw := r.value(name)
	if raw == nil {
		return 0, false
	}
	v, problem, hint := integer(raw)
	if problem != "" {
		r.member(name, problem, hint)
		return 0, false
	}
	return v, true
}

func (r *reader) bool(name string, without bool) bool {
	switch raw := r.value(name); {
	case raw == nil:
	case raw[0] == 't' || raw[0] == 'f':
		return raw[0] == 't'
	default:
		r.member(name, "must be true or false, is "+what(raw), "")
	}
	return without
}

func (r *reader) dtype(name string, without DType) DType {
	raw := r.value(name)
	text := r.string(name, "")
	if raw == nil || raw[0] != '"' {
		return without
	}
	d, err := ParseDType(text)
	if err != nil {
		r.unknown(name, &UnknownName{"data type", text, DTypes()})
		return without
	}
	return d
}

// unknown notes that a word is none of those that a member takes.
func (r *reader) unknown(name string, err error) {
	var u *UnknownName
	if errors.As(err, &u) {
		r.member(name, err.Error(), didYouMean(u.Name, u.Known))
	} else {
		r.member(name, err.Error(), "")
	}
}

// word reads a word of a closed list.
func word[T any](r *reader, name string, without T, parse func(string) (T, error)) T {
	raw := r.value(name)
	text := r.string(name, "")
	if raw == nil || raw[0] != '"' {
		return without
	}
	v, err := parse(text)
	if err != nil {
		r.unknown(name, err)
		return without
	}
	return v
}

// array calls f with the elements of an array until f says stop.
func (r *reader) array(name string, most int, f func(path string, raw []byte) bool) {
	raw := r.value(name)
	if raw == nil {
		return
	}
	if raw[0] != '[' {
		r.member(name, "must be an array, is "+what(raw), "write it in brackets")
		return
	}
	elements(raw, func(i int, raw []byte) bool {
		if i == most {
			r.member(name, fmt.Sprintf("more than %d elements", most), "")
			return false
		}
		return f(name, raw) && !r.fatal
	})
}

func (r *reader) ints(name string, most int) (vs []int64) {
	r.array(name, most, func(_ string, raw []byte) bool {
		v, problem, hint := integer(raw)
		if problem != "" {
			r.member(fmt.Sprintf("%s[%d]", name, len(vs)), problem, hint)
			return false
		}
		vs = append(vs, v)
		return true
	})
	return vs
}

// readRecord reads a record after the header. It reports whether the file was cut inside it.
func (r *reader) readRecord(line []byte, whole bool) (cut bool) {
	var err *syntaxError
	r.members, err = object(line, r.members[:0])
	if err != nil {
		if err.short && !whole {
			return true
		}
		message := err.message
		if !err.short {
			message = fmt.Sprintf("column %d: %s", err.offset+1, message)
		}
		if bytes.IndexByte(line, 0) >= 0 {
			message = "binary data"
		}
		r.problem(r.line, "", message, err.hint)
		return false
	}
	if !utf8.Valid(line) {
		r.problem(r.line, "", notUTF8, saveUTF8)
		return false
	}
	r.records++
	kind := -1
	for _, m := range r.members {
		if i := slices.Index(recordNames[:], m.name); i >= 0 {
			if kind >= 0 && i != kind {
				r.problem(r.line, "", fmt.Sprintf("a record is either %q or %q", recordNames[kind], recordNames[i]), "write two lines")
				return false
			}
			kind = i
		}
	}
	if kind < 0 {
		if !slices.ContainsFunc(r.members, func(m member) bool { return m.name == "kind" }) {
			hint := `one of "block", "tensor", "op" and "run" says what a record is`
			if len(r.members) > 0 {
				if near := spec.Suggest(r.members[0].name, recordNames[1:]); near != "" {
					hint = "did you mean " + strconv.Quote(near) + "?"
				}
			}
			r.problem(r.line, "", "neither a block nor a tensor, an operator or a run", hint)
			return false
		}
		kind = recOp
	}
	r.record = kind
	if kind != recRun {
		if r.text += len(line); r.text > maxText {
			r.stop(r.line, fmt.Sprintf("more than %d MiB of blocks", maxText>>20), "store equal layers once and run the block several times")
			return false
		}
	}
	switch kind {
	case recHeader:
		r.member("trace", "a second header", "one trace a file")
		return false
	case recBlock:
		r.sort()
		r.readBlock()
	case recTensor:
		if r.belongs() {
			r.sort()
			r.readTensor()
		}
	case recOp:
		if r.belongs() {
			r.sort()
			r.readOp()
		}
	case recRun:
		r.sort()
		r.readRun()
	}
	return false
}

// name reads the name of a record, which is its first member.
func (r *reader) name() (string, bool) {
	key := recordNames[r.record]
	if raw := r.value(key); raw == nil || raw[0] != '"' {
		r.string(key, "") // says that it is no string
		return "", false
	}
	name := r.string(key, "")
	if msg := nameProblem(name); msg != "" {
		r.member(key, msg, "")
		return "", false
	}
	return name, true
}

func (r *reader) startBlock(name string) {
	if at, taken := r.blocks[name]; taken && name != "" {
		r.member("block", fmt.Sprintf("there is a block %q already, on line %d", shorten(name), r.places[at].line), "give it another name")
	} else {
		r.blocks[name] = int32(len(r.g.Blocks))
	}
	r.g.Blocks = append(r.g.Blocks, Block{Name: name})
	r.places = append(r.places, blockPlace{line: int32(r.line), before: len(r.g.Runs)})
	r.byName, r.opNames = map[string]TensorID{}, map[string]bool{}
	r.open = true
}

// closeBlock ends the block that is open. An empty one is wrong unless the file ends there.
func (r *reader) closeBlock() { r.open = false }

func (r *reader) emptyBlock() {
	k := len(r.g.Blocks) - 1
	if k >= 0 && len(r.g.Blocks[k].Ops) == 0 && !r.places[k].broken {
		r.places[k].broken = true
		r.problem(int(r.places[k].line), "block", fmt.Sprintf("block %q has no operators", shorten(r.g.Blocks[k].Name)), "")
	}
}

func (r *reader) readBlock() {
	r.closeBlock()
	r.emptyBlock()
	name, ok := r.name()
	r.startBlock(name)
	if !ok {
		r.places[len(r.places)-1].broken = true
	}
}

// belongs reports whether there is a block for a tensor or operator; the first may come without.
func (r *reader) belongs() bool {
	if !r.open {
		if len(r.g.Blocks) > 0 {
			r.problem(r.line, recordNames[r.record], "belongs to no block: a run ended the last one", `begin another with {"block":"NAME"}`)
			return false
		}
		r.startBlock("main")
	}
	return true
}

func (r *reader) readTensor() {
	t := Tensor{Role: word(r, "role", Activation, ParseRole), Type: r.dtype("dtype", r.g.DType)}
	problems := len(r.problems)
	name, ok := r.name()
	if !ok {
		return
	}
	t.Name = name
	if r.value("shape") == nil {
		if !r.strange {
			r.member("shape", "missing", "e.g. [4096, 4096]")
		}
		problems = -1 // what stands in for it is not judged
	} else {
		t.Shape = r.ints("shape", maxShape)
	}
	if len(r.problems) == problems {
		if e := t.invalid(); e != nil {
			r.member(e.Field, e.Message, e.Hint)
		}
	}
	if len(r.problems) > problems {
		t.Shape = []int64{1} // so that what names the tensor does not fail as well
	}
	r.addTensor(t)
}

func (r *reader) addTensor(t Tensor) TensorID {
	k := len(r.g.Blocks) - 1
	blk, at := &r.g.Blocks[k], &r.places[k]
	if id, taken := r.byName[t.Name]; taken {
		r.member("tensor", fmt.Sprintf("there is a tensor %q already, from line %d", shorten(t.Name), at.tensors[id]), "names are unique in a block")
		return id
	}
	if r.tensors++; r.tensors > MaxTensors {
		r.stop(r.line, fmt.Sprintf("more than %d tensors", MaxTensors), "store equal layers once and run the block several times")
		return 0
	}
	id := TensorID(len(blk.Tensors))
	r.byName[t.Name] = id
	blk.Tensors = append(blk.Tensors, t)
	at.tensors = append(at.tensors, int32(r.line))
	return id
}

func (r *reader) operandsOf(name string) (ids []TensorID) {
	r.array(name, maxOperands, func(_ string, raw []byte) bool {
		path := fmt.Sprintf("%s[%d]", name, len(ids))
		if raw[0] != '"' {
			r.member(path, "must be the name of a tensor, is "+what(raw), "")
			return false
		}
		tensor := textOf(raw)
		id, ok := r.byName[tensor]
		if !ok {
			tensors := r.g.Blocks[len(r.g.Blocks)-1].Tensors
			var known []string
			for i := max(0, len(tensors)-maxKnown); i < len(tensors); i++ {
				known = append(known, tensors[i].Name)
			}
			hint := "tensors are declared in the block, before the operators that use them"
			if near := spec.Suggest(tensor, known); near != "" {
				hint = "did you mean " + strconv.Quote(near) + "?"
			}
			r.member(path, fmt.Sprintf("unknown tensor %q", shorten(tensor)), hint)
			id = 0
		}
		ids = append(ids, id)
		return true
	})
	return ids
}

func (r *reader) readOp() {
	problems := len(r.problems)
	if r.ops++; r.ops > MaxOperators {
		r.stop(r.line, fmt.Sprintf("more than %d operators", MaxOperators), "store equal layers once and run the block several times")
		return
	}
	var op Op
	if r.value("kind") == nil {
		r.member("kind", "missing", "known: "+strings.Join(Kinds(), ", "))
		return
	}
	op.Kind = word(r, "kind", Kind(numKinds), ParseKind)
	if int(op.Kind) == numKinds {
		return
	}
	if r.value("op") != nil {
		name, ok := r.name()
		if !ok {
			return
		}
		op.Name = name
	} else {
		for k := r.ops; op.Name == "" || r.opNames[op.Name]; k++ {
			op.Name = op.Kind.String() + strconv.Itoa(k)
		}
	}
	if r.opNames[op.Name] {
		r.member("op", fmt.Sprintf("there is an operator %q already in this block", shorten(op.Name)), "")
	}
	r.opNames[op.Name] = true
	r.membersOf(op.Kind)
	op.Split = word(r, "split", Whole, ParseSplit)
	op.Inputs, op.Outputs = r.operandsOf("inputs"), r.operandsOf("outputs")
	op.DType = r.dtype("dtype", r.g.DType)
	op.WeightDType, op.KVDType = r.dtype("weight_dtype", op.DType), r.dtype("kv_dtype", op.DType)
	switch {
	case op.Kind.writesTo():
		op.ToDType = r.dtype("to_dtype", op.DType)
	case op.Kind == Gemm:
		op.ToDType = r.dtype("to_dtype", 0)
	}
	op.Gradient = r.bool("gradient", false)
	family := kinds[op.Kind].family
	for i := range dims {
		d := &dims[i]
		if d.family != family {
			continue
		}
		v, given := r.int(d.name)
		if !given {
			v = d.without(&op, r.g)
		}
		*d.of(&op) = v
	}
	switch family {
	case product:
		op.Parts = r.ints("parts", maxOperands)
		if op.Kind == Gemm {
			op.Distinct, _ = r.int("distinct")
			op.Accumulate, _ = r.int("accumulate")
		}
	case attending:
		op.Causal = r.bool("causal", true)
		op.Latent, op.Cross, op.Uncached = r.bool("latent", false), r.bool("cross", false), r.bool("uncached", false)
		op.Dropout = r.bool("dropout", false)
		op.Relative = word(r, "relative", NoRelative, ParseRelative)
		if op.ValueDim == op.HeadDim { // which is what its absence means
			op.ValueDim = 0
		}
	case mixture:
		op.Gated = r.bool("gated", true)
	case collective:
		v, _ := r.int("bytes")
		op.Bytes = units.Bytes(v)
	}
	implied := r.bool("weight", true)
	if len(r.problems) == problems && !r.strange {
		if e := op.invalid(); e != nil {
			r.member(e.Field, e.Message, e.Hint)
		}
	}
	if len(r.problems) > problems || r.strange {
		return
	}
	blk := &r.g.Blocks[len(r.g.Blocks)-1]
	if implied && op.lacksWeight(blk.Tensors) {
		r.implyWeight(&op)
	}
	blk.Ops = append(blk.Ops, op)
	at := &r.places[len(r.places)-1]
	at.ops = append(at.ops, int32(r.line))
}

// membersOf checks that the record has what the kind requires and nothing that it does not know.
func (r *reader) membersOf(k Kind) {
	docs := memberDocs[recOp]
	var missing, has []string
	for i := range docs {
		d := &docs[i]
		applies := d.of == nil || d.of(k)
		if applies && d.of != nil {
			has = append(has, d.name)
		}
		if applies && d.required(k) && r.values[i] == nil {
			missing = append(missing, d.name)
		}
	}
	for i := range docs {
		if d := &docs[i]; r.values[i] != nil && d.of != nil && !d.of(k) {
			r.member(d.name, fmt.Sprintf("no member of %s", k), "it has "+strings.Join(has, ", "))
		}
	}
	if len(missing) > 0 && !r.strange { // it may be what was meant
		message := "missing"
		if len(missing) > 1 {
			message = "missing, and so is " + strings.Join(missing[1:], ", ")
		}
		r.member(missing[0], message, fmt.Sprintf("%s needs it", k))
	}
}

// implyWeight declares the weight of an operator that names none.
func (r *reader) implyWeight(op *Op) {
	t := Tensor{Name: op.Name + ".weight", Type: op.DType, Role: Weight}
	switch {
	case op.Kind == Gemm:
		t.Type, t.Shape = op.WeightDType, []int64{op.K, op.N}
	case kinds[op.Kind].columnWeights > 1:
		t.Shape = []int64{kinds[op.Kind].columnWeights, op.Cols}
	default:
		t.Shape = []int64{op.Cols}
	}
	if len(t.Name) > maxName {
		r.member("op", fmt.Sprintf("a name of %d bytes is too long for its weight to be named after it", len(op.Name)), "name a weight among the inputs")
		return
	}
	base := t.Name
	for k := 2; ; k++ {
		if _, taken := r.byName[t.Name]; !taken {
			break
		}
		t.Name = base + "#" + strconv.Itoa(k)
	}
	if e := t.invalid(); e != nil {
		r.problem(r.line, "op", "its weight: "+e.Message, e.Hint)
		return
	}
	op.Inputs = append(op.Inputs, r.addTensor(t))
}

func (r *reader) readRun() {
	r.closeBlock()
	problems := len(r.problems)
	name, ok := r.name()
	if !ok {
		return
	}
	k, ok := r.blocks[name]
	if !ok {
		known := make([]string, 0, min(len(r.g.Blocks), maxKnown))
		for i := range r.g.Blocks[:cap(known)] {
			known = append(known, r.g.Blocks[i].Name)
		}
		hint := "a block stands before the runs that name it"
		if near := spec.Suggest(name, known); near != "" {
			hint = "did you mean " + strconv.Quote(near) + "?"
		}
		r.member("run", fmt.Sprintf("unknown block %q", shorten(name)), hint)
		return
	}
	r.emptyBlock()
	r.places[k].named = true
	run := Run{Block: k, Phase: word(r, "phase", r.g.defaultPhase(), ParsePhase), Times: 1}
	for _, d := range []struct {
		name string
		into *int64
	}{{"step", &run.Step}, {"first_layer", &run.FirstLayer}, {"times", &run.Times}, {"repeat", &run.Repeat}, {"past", &run.Past}} {
		if v, given := r.int(d.name); given {
			*d.into = v
		} else if d.name == "past" {
			run.Past = defaultPast(run.Phase, r.g.Prompt, &r.g.Blocks[k])
		}
	}
	if len(r.problems) == problems {
		if e := run.invalid(len(r.g.Blocks)); e != nil {
			r.member(e.Field, e.Message, e.Hint)
		}
	}
	if len(r.g.Runs) == MaxRuns {
		r.stop(r.line, fmt.Sprintf("more than %d runs of blocks", MaxRuns), "generate fewer tokens")
		return
	}
	r.g.Runs = append(r.g.Runs, run)
	r.runLines = append(r.runLines, int32(r.line))
}

// defaultPhase returns the phase of a run that does not say.
func (g *Graph) defaultPhase() Phase {
	switch g.Phase {
	case Decode.String():
		return Decode
	case "train":
		return Forward
	}
	return Prefill
}

// finish runs the blocks that no run names, notes what a truncated file lacks and checks the whole.
func (r *reader) finish(cut bool) {
	if r.fatal {
		return
	}
	g := r.g
	truncated := cut || r.want > 0 && r.records < r.want
	dropped := ""
	if k := len(g.Blocks) - 1; k >= 0 && len(g.Blocks[k].Ops) == 0 && !r.places[k].broken {
		if truncated {
			dropped = g.Blocks[k].Name
			g.Blocks, r.places = g.Blocks[:k], r.places[:k]
		} else {
			r.emptyBlock()
		}
	}
	if len(r.problems) > 0 {
		return
	}
	if len(g.Blocks) == 0 {
		message, hint := "the trace has a header and no operators", `add records such as {"op":"fc","kind":"gemm","m":1,"n":4096,"k":4096}`
		if truncated {
			message, hint = "the file was cut before its first operator", "nothing can be replayed"
		}
		r.problem(r.line, "", message, hint)
		return
	}
	once := r.runOnce()
	if len(r.problems) > 0 {
		return
	}
	if truncated {
		g.Notes = append(g.Notes, r.truncation(cut, dropped, once))
	} else if r.want > 0 && r.records > r.want {
		g.Notes = append(g.Notes, fmt.Sprintf(`%s: the header speaks of %d lines, there are %d; correct or remove its member "lines"`, r.file, r.want, r.records))
	}
	if e := g.invalid(); e != nil {
		r.blame(e)
		return
	}
	g.restoreNames()
}

// restoreNames takes away the numbers by which Write tells blocks of one name apart, if Write would
// put the same ones back.
func (g *Graph) restoreNames() {
	read := make([]string, len(g.Blocks))
	numbered := false
	for i := range g.Blocks {
		read[i] = g.Blocks[i].Name
		if base, number, ok := cutLast(read[i], '#'); ok && base != "" {
			if k, err := strconv.Atoi(number); err == nil && k > 1 {
				g.Blocks[i].Name, numbered = base, true
			}
		}
	}
	if numbered && !slices.Equal(g.blockNames(), read) {
		for i := range g.Blocks {
			g.Blocks[i].Name = read[i]
		}
	}
}

// cutLast cuts s at its last c.
func cutLast(s string, c byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, c); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// runOnce inserts a run where a block stands that none names. It returns the name of the last block if
// that is one of them.
func (r *reader) runOnce() (last string) {
	g := r.g
	if !slices.ContainsFunc(r.places, func(p blockPlace) bool { return !p.named }) {
		return ""
	}
	if len(g.Runs)+len(g.Blocks) > MaxRuns {
		r.problem(r.line, "", fmt.Sprintf("more than %d runs of blocks", MaxRuns), "")
		return ""
	}
	runs, lines := make([]Run, 0, len(g.Runs)+len(g.Blocks)), make([]int32, 0, len(g.Runs)+len(g.Blocks))
	next := 0
	for i := range g.Blocks {
		at := &r.places[i]
		if at.named {
			continue
		}
		runs, lines = append(runs, g.Runs[next:at.before]...), append(lines, r.runLines[next:at.before]...)
		next = at.before
		run := Run{Block: int32(i), Phase: g.defaultPhase(), Times: 1}
		prompt := g.Prompt
		if k := len(runs) - 1; k >= 0 { // it goes on where the last run was
			if g.Phase == "generate" || g.Phase == "serve" {
				run.Phase = runs[k].Phase
			}
			if runs[k].Phase == run.Phase {
				run.Step, run.Repeat = runs[k].Step, runs[k].Repeat
				prompt = max(prompt, runs[k].Past)
			}
		}
		if next < len(g.Runs) && run.SameStep(&g.Runs[next]) { // a step repeats as a whole
			run.Repeat = g.Runs[next].Repeat
		}
		run.Past = defaultPast(run.Phase, prompt, &g.Blocks[i])
		runs, lines = append(runs, run), append(lines, at.line)
		if i == len(g.Blocks)-1 {
			last = g.Blocks[i].Name
		}
	}
	g.Runs, r.runLines = append(runs, g.Runs[next:]...), append(lines, r.runLines[next:]...)
	return last
}

// truncation says what a truncated file lacks, in one line.
func (r *reader) truncation(cut bool, dropped, once string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: truncated after line %d", r.file, r.records)
	if r.want > 0 {
		fmt.Fprintf(&b, " of %d", r.want)
	}
	var more []string
	if cut {
		more = append(more, "a last line that was cut is dropped")
	}
	if dropped != "" {
		more = append(more, fmt.Sprintf("block %s, of which no operator is left, is dropped", dropped))
	} else if once != "" {
		more = append(more, fmt.Sprintf("block %s is run once, because its run is missing", once))
	}
	if len(more) > 0 {
		b.WriteString("; " + strings.Join(more, "; "))
	}
	return b.String()
}

// blame finds the line of what is wrong with the graph.
func (r *reader) blame(e *Invalid) {
	line, record := r.line, recHeader
	if e.Field != "" && e.at == (place{}) {
		line = r.header
	}
	if at := e.at; at.run > 0 {
		line, record = int(r.runLines[at.run-1]), recRun
	} else if at.block > 0 {
		p := &r.places[at.block-1]
		line, record = int(p.line), recBlock
		if at.tensor > 0 {
			line, record = int(p.tensors[at.tensor-1]), recTensor
		} else if at.op > 0 {
			line, record = int(p.ops[at.op-1]), recOp
		}
	}
	path := ""
	if e.Field != "" {
		r.record = record
		path = r.path(e.Field)
	}
	r.problem(line, path, e.Where+": "+e.Message, e.Hint)
}
