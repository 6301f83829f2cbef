package traces

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// text returns what Write writes.
func text(t testing.TB, g *Graph) string {
	t.Helper()
	var b strings.Builder
	if err := g.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteSmall(t *testing.T) {
	const want = `{"trace":"strata.trace/1","model":"small","phase":"generate","batch":2,"prompt":6,"generate":3,"dtype":"bf16","lines":30}
{"block":"layer"}
{"tensor":"x","shape":[12,8]}
{"tensor":"wqkv","shape":[8,16],"dtype":"int4","role":"weight"}
{"tensor":"qkv","shape":[12,16]}
{"op":"qkv","kind":"gemm","inputs":["x","wqkv"],"outputs":["qkv"],"split":"column","m":12,"n":16,"k":8,"parts":[8,4,4],"weight_dtype":"int4"}
{"tensor":"kv","shape":[12,8],"dtype":"fp8","role":"kv"}
{"op":"append","kind":"kv-append","inputs":["qkv"],"outputs":["kv"],"rows":12,"cols":8,"kv_dtype":"fp8"}
{"tensor":"o","shape":[12,8]}
{"op":"attention","kind":"attention","inputs":["qkv","kv"],"outputs":["o"],"split":"heads","heads":2,"kv_heads":1,"head_dim":4,"q_len":6,"kv_dtype":"fp8"}
{"tensor":"y","shape":[12,8]}
{"op":"add","kind":"add","inputs":["x","o"],"outputs":["y"],"rows":12,"cols":8}
{"run":"layer","phase":"prefill","times":4}
{"block":"layer#2"}
{"tensor":"x","shape":[2,8]}
{"tensor":"wqkv","shape":[8,16],"dtype":"int4","role":"weight"}
{"tensor":"qkv","shape":[2,16]}
{"op":"qkv","kind":"gemm","inputs":["x","wqkv"],"outputs":["qkv"],"split":"column","m":2,"n":16,"k":8,"parts":[8,4,4],"weight_dtype":"int4"}
{"tensor":"kv","shape":[2,8],"dtype":"fp8","role":"kv"}
{"op":"append","kind":"kv-append","inputs":["qkv"],"outputs":["kv"],"rows":2,"cols":8,"kv_dtype":"fp8"}
{"tensor":"o","shape":[2,8]}
{"op":"attention","kind":"attention","inputs":["qkv","kv"],"outputs":["o"],"split":"heads","heads":2,"kv_heads":1,"head_dim":4,"q_len":1,"kv_dtype":"fp8"}
{"tensor":"y","shape":[2,8]}
{"op":"add","kind":"add","inputs":["x","o"],"outputs":["y"],"rows":2,"cols":8}
{"run":"layer#2","phase":"decode","step":1,"times":4,"past":6}
{"block":"head \"é\""}
{"op":"head","kind":"gemm","split":"vocab","m":2,"n":32,"k":8,"weight":false}
{"op":"sum","kind":"all-reduce","bytes":128}
{"run":"head \"é\"","phase":"decode","step":1,"past":0}
{"run":"layer#2","phase":"decode","step":2,"first_layer":4,"times":4,"past":7}
`
	got := text(t, small())
	if got != want {
		t.Errorf("got\n%s", got)
	}
	back, err := Read("small.jsonl", strings.NewReader(got))
	if err != nil {
		t.Fatal(err)
	}
	if len(back.Notes) > 0 {
		t.Errorf("notes %q", back.Notes)
	}
	if back.Blocks[0].Name != "layer" || back.Blocks[1].Name != "layer" {
		t.Errorf("blocks are called %q and %q", back.Blocks[0].Name, back.Blocks[1].Name)
	}
	if h := small().Hash(); len(h) != 64 || back.Hash() != h {
		t.Errorf("hash %s, after reading %s", h, back.Hash())
	}
	if !reflect.DeepEqual(back.Runs, small().Runs) {
		t.Errorf("runs %+v", back.Runs)
	}
}

func TestHash(t *testing.T) {
	g := small()
	h := g.Hash()
	g.Notes = []string{"a note is not content"}
	g.Blocks = append(g.Blocks, Block{Name: "unused", Ops: []Op{{Name: "a", Kind: Add, Rows: 1, Cols: 1}}})
	if g.Hash() != h {
		t.Error("a note or a block that nothing runs changes the hash")
	}
	g.Runs[1].Past++
	if g.Hash() == h {
		t.Error("the cache does not change the hash")
	}
	g.Runs = nil
	// SHA-256 of nothing (FIPS 180-4; the value is in NIST's examples).
	if got := g.Hash(); got != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("an invalid graph has hash %s", got)
	}
}

type failingWriter struct{ after int }

var errDiskFull = errors.New("disk full")

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.after -= len(p); w.after < 0 {
		return 0, errDiskFull
	}
	return len(p), nil
}

func TestWriteFails(t *testing.T) {
	if err := small().Write(&failingWriter{100}); !errors.Is(err, errDiskFull) {
		t.Error(err)
	}
	if err := small().Show(&failingWriter{100}); !errors.Is(err, errDiskFull) {
		t.Error(err)
	}
}

// graphs draws valid graphs of every kind, with names that need care.
func graphs() *rapid.Generator[*Graph] {
	names := rapid.OneOf(rapid.SampledFrom([]string{"layer", "layer#2", "layer#2#2", "head", "a\"b\\c", "été", "#2", "x#", strings.Repeat("n", maxName)}), rapid.StringMatching(`[a-z]{1,3}`))
	size := rapid.OneOf(rapid.Int64Range(1, 9), rapid.Int64Range(1, 1<<15))
	types := func(t *rapid.T, what string) DType { return DType(rapid.IntRange(0, numDTypes-1).Draw(t, what)) }
	return rapid.Custom(func(t *rapid.T) *Graph {
		g := &Graph{
			Phase: rapid.SampledFrom(append([]string{""}, graphPhases...)).Draw(t, "phase"),
			Batch: rapid.Int64Range(0, 5).Draw(t, "batch"), Prompt: rapid.Int64Range(0, 100).Draw(t, "prompt"),
			Generate: rapid.Int64Range(0, 3).Draw(t, "generate"), DType: types(t, "dtype"),
		}
		if g.Phase == "serve" {
			g.Arrivals = rapid.SampledFrom(Arrivals()).Draw(t, "arrivals")
		}
		if g.Phase == "generate" && g.Batch > 1 {
			g.Groups = rapid.Int64Range(0, 9).Draw(t, "groups")
			g.Wave = rapid.Int64Range(0, g.Batch-1).Draw(t, "wave")
		}
		if rapid.Bool().Draw(t, "named") {
			g.Name = names.Draw(t, "model")
		}
		for range rapid.IntRange(1, 4).Draw(t, "blocks") {
			var b Block
			if rapid.IntRange(0, 9).Draw(t, "nameless") > 0 {
				b.Name = names.Draw(t, "block")
			}
			seen := map[string]bool{}
			unique := func(name string) string {
				for k := 0; seen[name]; k++ {
					name = fmt.Sprintf("u%d", k)
				}
				seen[name] = true
				return name
			}
			for range rapid.IntRange(0, 6).Draw(t, "tensors") {
				b.Tensors = append(b.Tensors, Tensor{Name: unique(names.Draw(t, "tensor")), Type: types(t, "type"),
					Shape: rapid.SliceOfN(rapid.Int64Range(1, 1<<14), 1, 4).Draw(t, "shape"), Role: Role(rapid.IntRange(0, numRoles-1).Draw(t, "role"))})
			}
			written, outside := map[TensorID]bool{}, map[TensorID]bool{}
			clear(seen)
			for range rapid.IntRange(1, 5).Draw(t, "ops") {
				op := Op{Name: unique(names.Draw(t, "op")), Kind: Kind(rapid.IntRange(0, numKinds-1).Draw(t, "kind")), Split: Split(rapid.IntRange(0, numSplits-1).Draw(t, "split")),
					DType: types(t, "dtype"), WeightDType: types(t, "weight"), KVDType: types(t, "kv")}
				for i := range b.Tensors {
					id := TensorID(i)
					if rapid.IntRange(0, 2).Draw(t, "read") == 0 {
						op.Inputs = append(op.Inputs, id)
						outside[id] = outside[id] || b.Tensors[i].Role == Activation && !written[id]
					}
				}
				for i := range b.Tensors {
					id := TensorID(i)
					if b.Tensors[i].Role != Weight && !outside[id] && rapid.IntRange(0, 2).Draw(t, "write") == 0 {
						op.Outputs = append(op.Outputs, id)
						written[id] = true
					}
				}
				switch kinds[op.Kind].family {
				case product:
					op.Batch = rapid.Int64Range(1, 2).Draw(t, "products")
					op.M, op.N, op.K = size.Draw(t, "m"), size.Draw(t, "n"), size.Draw(t, "k")
					if op.N > 1 && rapid.Bool().Draw(t, "parts") {
						op.Parts = []int64{1, op.N - 1}
					}
				case attending:
					op.Batch = rapid.Int64Range(1, 5).Draw(t, "sequences")
					op.KVHeads = rapid.Int64Range(1, 4).Draw(t, "kv heads")
					op.Heads = op.KVHeads * rapid.Int64Range(1, 4).Draw(t, "groups")
					op.HeadDim, op.QLen = rapid.Int64Range(1, 128).Draw(t, "dim"), rapid.Int64Range(1, 100).Draw(t, "q")
					op.Past = rapid.Int64Range(0, 2).Draw(t, "past")
					op.Causal = rapid.Bool().Draw(t, "causal")
					if op.Causal {
						op.Window = rapid.Int64Range(0, 50).Draw(t, "window")
					}
					op.Latent = rapid.Bool().Draw(t, "latent")
					if d := rapid.Int64Range(0, op.HeadDim-1).Draw(t, "value dim"); d > 0 {
						op.ValueDim = d
					}
					op.Cross = !op.Causal && op.Past > 0 && rapid.Bool().Draw(t, "cross")
					op.CacheDim, op.Uncached = rapid.Int64Range(0, 9).Draw(t, "cache dim"), rapid.Bool().Draw(t, "uncached")
					op.Relative = Relative(rapid.IntRange(0, numRelatives-1).Draw(t, "relative"))
				case mixture:
					op.M, op.N, op.K = rapid.Int64Range(1, 300).Draw(t, "tokens"), size.Draw(t, "n"), size.Draw(t, "k")
					op.EP = rapid.Int64Range(1, 4).Draw(t, "ep")
					op.Experts = op.EP * rapid.Int64Range(1, 40).Draw(t, "experts")
					op.TopK = rapid.Int64Range(1, op.Experts).Draw(t, "top k")
					if rapid.Bool().Draw(t, "skewed") {
						op.SkewMilli = rapid.Int64Range(MinSkew, MaxSkew).Draw(t, "skew")
					}
					op.Gated = rapid.Bool().Draw(t, "gated")
				case rowWise:
					op.Rows, op.Cols = size.Draw(t, "rows"), size.Draw(t, "cols")
					if op.Kind == Quantize {
						op.DType, op.ToDType = FP16, FP8+DType(rapid.IntRange(0, 2).Draw(t, "to"))
					}
				case collective:
					op.Bytes = 1 << rapid.IntRange(0, 62).Draw(t, "bytes")
				}
				b.Ops = append(b.Ops, op)
			}
			g.Blocks = append(g.Blocks, b)
		}
		for range rapid.IntRange(1, 6).Draw(t, "runs") {
			g.Runs = append(g.Runs, Run{Block: int32(rapid.IntRange(0, len(g.Blocks)-1).Draw(t, "run")), Phase: Phase(rapid.IntRange(0, 1).Draw(t, "phase")),
				Step: rapid.Int64Range(0, 2).Draw(t, "step"), FirstLayer: rapid.Int64Range(0, 2).Draw(t, "first"), Times: rapid.Int64Range(1, 3).Draw(t, "times"), Past: rapid.Int64Range(0, 2).Draw(t, "cached")})
			if k := len(g.Runs) - 1; k == 0 || !g.Runs[k].SameStep(&g.Runs[k-1]) {
				g.Runs[k].Repeat = []int64{0, 0, 2, 5}[rapid.IntRange(0, 3).Draw(t, "repeat")]
			} else {
				g.Runs[k].Repeat = g.Runs[k-1].Repeat
			}
		}
		return g
	})
}

// TestRoundTrip: what is written reads back as the same work in the same order.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := graphs().Draw(t, "graph")
		if err := g.Validate(); err != nil {
			t.Fatalf("the generator is wrong: %v", err)
		}
		var first, again bytes.Buffer
		if err := g.Write(&first); err != nil {
			t.Fatal(err)
		}
		back, err := Read("a", bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("%v in\n%s", err, first.Bytes())
		}
		if len(back.Notes) > 0 {
			t.Fatalf("notes %q on\n%s", back.Notes, first.Bytes())
		}
		if err := back.Write(&again); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), again.Bytes()) || g.Hash() != back.Hash() {
			t.Fatalf("written\n%s\nand then\n%s", first.Bytes(), again.Bytes())
		}
		if len(back.Runs) != len(g.Runs) {
			t.Fatalf("%d runs of %d", len(back.Runs), len(g.Runs))
		}
		for i := range g.Runs {
			a, b := g.Runs[i], back.Runs[i]
			x, y := &g.Blocks[a.Block], &back.Blocks[b.Block]
			a.Block, b.Block = 0, 0
			if a != b || len(x.Ops) != len(y.Ops) || !reflect.DeepEqual(append([]Tensor{}, x.Tensors...), append([]Tensor{}, y.Tensors...)) {
				t.Fatalf("run %d: %+v of %+v is now %+v of %+v", i, a, x, b, y)
			}
			for j := range x.Ops {
				before, err1 := x.Ops[j].Work(a.Past)
				after, err2 := y.Ops[j].Work(a.Past)
				if before != after || err1 != nil || err2 != nil || x.Ops[j].Name != y.Ops[j].Name || x.Ops[j].Split != y.Ops[j].Split ||
					!slices.Equal(x.Ops[j].Inputs, y.Ops[j].Inputs) || !slices.Equal(x.Ops[j].Outputs, y.Ops[j].Outputs) || !slices.Equal(x.Ops[j].Parts, y.Ops[j].Parts) {
					t.Fatalf("operator %+v is now %+v", x.Ops[j], y.Ops[j])
				}
			}
		}
		if err := g.Show(io.Discard); err != nil {
			t.Fatal(err)
		}
	})
}

// cutAnywhere reads every prefix of a file and checks that it is replayed with a note, or refused with
// a clean error. It returns how many were replayed.
func cutAnywhere(t *testing.T, file string) (replayed int) {
	t.Helper()
	lastOps := -1
	for n := range len(file) + 1 {
		g, err := Read("cut.jsonl", strings.NewReader(file[:n]))
		if err != nil {
			var problems ReadErrors
			if !errors.As(err, &problems) || len(problems) != 1 {
				t.Fatalf("cut after %d bytes: %v", n, err)
			}
			p := problems[0]
			if p.File != "cut.jsonl" || p.Line < 1 || p.Message == "" {
				t.Fatalf("cut after %d bytes: %+v", n, p)
			}
			if replayed > 0 {
				t.Fatalf("cut after %d bytes: %v, though less was replayed", n, err)
			}
			continue
		}
		replayed++
		notes := 1
		if n >= len(file)-1 { // only the last line break is missing
			notes = 0
		}
		if len(g.Notes) != notes {
			t.Fatalf("cut after %d bytes: notes %q", n, g.Notes)
		}
		if notes == 1 && !strings.Contains(g.Notes[0], fmt.Sprintf("truncated after line %d of %d", strings.Count(file[:n]+ended(file[:n]), "\n"), strings.Count(file, "\n"))) {
			t.Fatalf("cut after %d bytes: notes %q", n, g.Notes)
		}
		ops := 0
		for i := range g.Runs {
			ops += int(g.Runs[i].Times) * len(g.Blocks[g.Runs[i].Block].Ops)
		}
		if ops < lastOps {
			t.Fatalf("cut after %d bytes: %d operators run, %d did before", n, ops, lastOps)
		}
		lastOps = ops
		back, err := Read("again.jsonl", strings.NewReader(text(t, g)))
		if err != nil || back.Hash() != g.Hash() {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
	return replayed
}

// ended is a line break if the text ends with a whole record that lacks it.
func ended(s string) string {
	if strings.HasSuffix(s, "}") {
		if _, err := object([]byte(s[strings.LastIndex(s, "\n")+1:]), nil); err == nil {
			return "\n"
		}
	}
	return ""
}

func TestCutAnywhere(t *testing.T) {
	file := text(t, small())
	// From the end of the first operator on, every prefix is replayed.
	first := strings.Index(file, "\"op\"")
	first += strings.IndexByte(file[first:], '\n')
	if got := cutAnywhere(t, file); got != len(file)+1-first {
		t.Errorf("%d prefixes were replayed, want %d", got, len(file)+1-first)
	}
}

func TestCutRandomGraphs(t *testing.T) {
	for seed := range 5 {
		cutAnywhere(t, text(t, graphs().Example(seed)))
	}
}

// llama is a graph like that of a generator: one prefill and many steps.
func llama(steps int64) *Graph {
	const hidden, ffn, batch, prompt = 4096, 11008, 4, 1024
	layer := func(tokens, q int64) Block {
		b := Block{Name: "layer"}
		last := TensorID(0)
		act := func(name string, cols int64) TensorID {
			b.Tensors = append(b.Tensors, Tensor{name, []int64{tokens, cols}, BF16, Activation})
			return TensorID(len(b.Tensors) - 1)
		}
		x := act("x", hidden)
		last = x
		gemm := func(name string, n, k int64, s Split) {
			b.Tensors = append(b.Tensors, Tensor{name + ".weight", []int64{k, n}, BF16, Weight})
			w := TensorID(len(b.Tensors) - 1)
			in := last
			last = act(name+".out", n)
			b.Ops = append(b.Ops, Op{Name: name, Kind: Gemm, Split: s, Inputs: []TensorID{in, w}, Outputs: []TensorID{last}, Batch: 1, M: tokens, N: n, K: k})
		}
		rows := func(name string, k Kind, cols int64, in ...TensorID) {
			if in == nil {
				in = []TensorID{last}
			}
			if k == RMSNorm {
				b.Tensors = append(b.Tensors, Tensor{name + ".weight", []int64{cols}, BF16, Weight})
				in = append(in, TensorID(len(b.Tensors)-1))
			}
			last = act(name+".out", cols)
			b.Ops = append(b.Ops, Op{Name: name, Kind: k, Inputs: in, Outputs: []TensorID{last}, Rows: tokens, Cols: cols})
		}
		rows("attn_norm", RMSNorm, hidden)
		gemm("qkv", 3*hidden, hidden, Column)
		rows("rope", RoPE, 2*hidden)
		qkv := last
		last = act("attention.out", hidden)
		b.Ops = append(b.Ops, Op{Name: "attention", Kind: Attention, Split: Heads, Inputs: []TensorID{qkv}, Outputs: []TensorID{last}, Batch: batch, Heads: 32, KVHeads: 32, HeadDim: 128, QLen: q, Causal: true})
		gemm("out", hidden, hidden, Row)
		rows("attn_add", Add, hidden, x, last)
		sum := last
		rows("ffn_norm", RMSNorm, hidden)
		gemm("gate_up", 2*ffn, hidden, Column)
		rows("activation", SiLUMul, ffn)
		gemm("down", hidden, ffn, Row)
		rows("ffn_add", Add, hidden, sum, last)
		return b
	}
	g := &Graph{Name: "llama", Phase: "generate", Batch: batch, Prompt: prompt, Generate: steps + 1,
		Blocks: []Block{layer(batch*prompt, prompt), layer(batch, 1)}, Runs: []Run{{Times: 32}}}
	for s := range steps {
		g.Runs = append(g.Runs, Run{Block: 1, Phase: Decode, Step: s + 1, Times: 32, Past: prompt + s})
	}
	return g
}

func TestManyLines(t *testing.T) {
	g := llama(5000)
	file := text(t, g)
	back, err := Read("a", fewBytes{strings.NewReader(file)})
	if err != nil || back.Hash() != g.Hash() || !reflect.DeepEqual(back, g) {
		t.Error(err)
	}
}

// fewBytes gives few bytes at a time.
type fewBytes struct{ r io.Reader }

func (r fewBytes) Read(p []byte) (int, error) { return r.r.Read(p[:min(len(p), 7)]) }

func BenchmarkWrite(b *testing.B) {
	g := llama(129)
	b.ReportAllocs()
	for b.Loop() {
		if err := g.Write(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	file := text(b, llama(129))
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read("a", strings.NewReader(file)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	g := llama(129)
	for b.Loop() {
		_ = g.Hash()
	}
}
