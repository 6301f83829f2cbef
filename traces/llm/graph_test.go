package llm

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/traces"
)

func preset(t testing.TB, name string) Model {
	t.Helper()
	m, err := Preset(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// total sums what the runs of a graph do, and the weights that they use, each once per layer.
type total struct {
	matrix, head       int64 // operations; of all products, of the head's alone
	attention          int64
	cached             int64 // bytes of keys and values written
	weights, parameter int64 // bytes and elements
}

func sumUp(t testing.TB, g *traces.Graph) total {
	t.Helper()
	var s total
	type key struct {
		name  string
		layer int64
	}
	seen := map[key]bool{}
	for _, r := range g.Runs {
		b := &g.Blocks[r.Block]
		for i := range b.Ops {
			op := &b.Ops[i]
			w, err := op.Work(r.Past)
			if err != nil {
				t.Fatal(err)
			}
			ops := int64(w.MatrixOps) * r.Times
			switch {
			case op.Kind == traces.Attention:
				s.attention += ops
			case op.Name == "lm_head":
				s.head += ops
			default:
				s.matrix += ops
			}
			if op.Kind == traces.KVAppend {
				s.cached += int64(w.WriteBytes) * r.Times
			}
			for _, id := range op.Inputs {
				x := &b.Tensors[id]
				if x.Role != traces.Weight {
					continue
				}
				n := int64(1)
				for _, d := range x.Shape {
					n *= d
				}
				for l := r.FirstLayer; l < r.FirstLayer+r.Times; l++ {
					if k := (key{x.Name, l}); !seen[k] {
						seen[k] = true
						s.weights += int64(x.Type.Bytes(n))
						s.parameter += n
					}
				}
			}
		}
	}
	return s
}

// matmul counts the weights of products in all layers, from the formula rather than the graph.
func matmul(m *Model) int64 {
	up := m.FFN
	if m.Gated {
		up *= 2
	}
	return m.Layers * (m.Hidden*(m.Heads+2*m.KVHeads)*m.HeadDim + m.Heads*m.HeadDim*m.Hidden + m.Hidden*(up+m.FFN))
}

// checkClosedForm compares a graph with what the model must cost: two operations per weight and token,
// four per pair of query and key, head and element (PaLM, arXiv 2204.02311, appendix B).
func checkClosedForm(t testing.TB, m *Model, w Workload, g *traces.Graph) {
	t.Helper()
	got := sumUp(t, g)
	var want total
	pass := func(qlen, past int64) {
		tokens := w.Batch * qlen
		want.matrix += 2 * matmul(m) * tokens
		want.head += 2 * w.Batch * m.Hidden * m.Vocab
		pairs := int64(0)
		for i := int64(0); i < qlen; i++ {
			pairs += past + i + 1
		}
		want.attention += 4 * m.Layers * w.Batch * m.Heads * m.HeadDim * pairs
		want.cached += tokens * int64(m.KVBytesPerToken(w.KVDType))
	}
	steps := int64(0)
	switch w.Phase {
	case "decode":
		steps = 1
	case "generate":
		steps = w.Generate - 1
	}
	if w.Phase != "decode" {
		pass(w.Prompt, 0)
	}
	for s := int64(0); s < steps; s++ {
		pass(1, w.Prompt+s)
	}
	want.parameter = m.Parameters()
	want.weights = 2 * want.parameter
	if want != got {
		t.Errorf("%s %+v:\n got %+v\nwant %+v", m.Name, w, got, want)
	}
}

// plain reports whether the closed form above holds for the model.
func plain(m *Model) bool {
	return m.Kind == Decoder && m.MLA == nil && m.MoE == nil && m.SlidingWindow == 0 && m.Position != Projected
}

// TestGraphsHoldAllParameters: the weights that operators name are those that the formula counts, whatever
// the kind of the model.
func TestGraphsHoldAllParameters(t *testing.T) {
	for _, name := range Presets() {
		m := preset(t, name)
		for _, phase := range []string{"prefill", "decode", "generate"} {
			g, err := m.Graph(Workload{Phase: phase, Batch: 2, Prompt: 20, Generate: 3})
			if err != nil {
				var bad *Invalid
				if m.Kind == Encoder || m.Kind == Vision {
					if phase == "prefill" || !errors.As(err, &bad) || bad.Field != "phase" {
						t.Errorf("%s %s: %v", name, phase, err)
					}
					continue
				}
				t.Errorf("%s %s: %v", name, phase, err)
				continue
			}
			if phase == "decode" && m.Kind == EncoderDecoder {
				continue // the encoder's weights are not used
			}
			if got, want := sumUp(t, g).parameter, m.Parameters()-m.FixedExtra; got != want {
				t.Errorf("%s %s: operators name %d parameters, the model has %d", name, phase, got, want)
			}
		}
	}
}

func TestGraphsOfPresetsMatchClosedForms(t *testing.T) {
	for _, name := range Presets() {
		m := preset(t, name)
		if !plain(&m) {
			continue
		}
		for _, w := range []Workload{
			{Phase: "prefill", Batch: 3, Prompt: 17},
			{Phase: "decode", Batch: 5, Prompt: 100},
			{Phase: "generate", Batch: 2, Prompt: 9, Generate: 4},
		} {
			g, err := m.Graph(w)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if err := g.Validate(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			checkClosedForm(t, &m, w, g)
		}
	}
}

func TestLayerOfLlama(t *testing.T) {
	m := preset(t, "llama3-8b")
	g, err := m.Graph(Workload{Phase: "prefill", Batch: 2, Prompt: 64, Layers: 1, KVDType: traces.FP8, WeightDType: traces.INT4})
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Blocks) != 1 || len(g.Runs) != 1 || g.Runs[0] != (traces.Run{Times: 1}) {
		t.Fatalf("one layer is %d blocks, runs %+v", len(g.Blocks), g.Runs)
	}
	want := `
attn_norm rmsnorm whole 128x4096
qkv gemm column 1x128x6144x4096 [4096 1024 1024] int4
rope rope sharded 128x5120
kv_append kv-append sharded 128x2048 fp8
attention attention heads 2 sequences of 64, 32 on 8 heads of 128 fp8
out gemm row 1x128x4096x4096 [] int4
attn_add add whole 128x4096
ffn_norm rmsnorm whole 128x4096
gate_up gemm column 1x128x28672x4096 [14336 14336] int4
activation silu-mul sharded 128x14336
down gemm row 1x128x4096x14336 [] int4
ffn_add add whole 128x4096
`
	if got := "\n" + describe(&g.Blocks[0]); got != want {
		t.Errorf("got %s", got)
	}
}

func TestLayerOfParallelBlocks(t *testing.T) {
	for name, want := range map[string]string{
		"gptj-6b":    "attn_norm qkv rope kv_append attention out up activation down attn_add ffn_add",
		"falcon-40b": "attn_norm ffn_norm qkv rope kv_append attention out up activation down attn_add ffn_add",
		"palm-8b":    "attn_norm qkv rope kv_append attention out gate_up activation down attn_add ffn_add",
		"bloom-176b": "attn_norm qkv kv_append attention out attn_add ffn_norm up activation down ffn_add",
	} {
		m := preset(t, name)
		g, err := m.Graph(Workload{Phase: "decode", Batch: 1, Prompt: 8, Layers: 1})
		if err != nil {
			t.Fatal(err)
		}
		var ops []string
		for _, op := range g.Blocks[0].Ops {
			ops = append(ops, op.Name)
			if op.Name == "rope" && name == "gptj-6b" && op.Cols != 2*16*64 {
				t.Errorf("GPT-J rotates %d elements, want 64 of each head", op.Cols)
			}
		}
		if got := strings.Join(ops, " "); got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
	}
}

func describe(b *traces.Block) string {
	var s strings.Builder
	for _, op := range b.Ops {
		fmt.Fprintf(&s, "%s %v %v ", op.Name, op.Kind, op.Split)
		switch op.Kind {
		case traces.Gemm:
			fmt.Fprintf(&s, "%dx%dx%dx%d %v %v\n", op.Batch, op.M, op.N, op.K, op.Parts, op.WeightDType)
		case traces.Attention:
			fmt.Fprintf(&s, "%d sequences of %d, %d on %d heads of %d %v\n", op.Batch, op.QLen, op.Heads, op.KVHeads, op.HeadDim, op.KVDType)
		case traces.KVAppend:
			fmt.Fprintf(&s, "%dx%d %v\n", op.Rows, op.Cols, op.KVDType)
		default:
			fmt.Fprintf(&s, "%dx%d\n", op.Rows, op.Cols)
		}
	}
	return s.String()
}

func TestRunsOfGeneration(t *testing.T) {
	m := preset(t, "gpt2-small")
	g, err := m.Graph(Workload{Phase: "generate", Batch: 1, Prompt: 10, Generate: 3})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range g.Runs {
		got = append(got, fmt.Sprintf("%v %d %s x%d past %d", r.Phase, r.Step, g.Blocks[r.Block].Name, r.Times, r.Past))
	}
	want := []string{
		"prefill 0 embedding x1 past 0", "prefill 0 layer x12 past 0", "prefill 0 head x1 past 0",
		"decode 1 embedding x1 past 0", "decode 1 layer x12 past 10", "decode 1 head x1 past 0",
		"decode 2 embedding x1 past 0", "decode 2 layer x12 past 11", "decode 2 head x1 past 0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if g.Phase != "generate" || g.Batch != 1 || g.Prompt != 10 || g.Generate != 3 || g.Name != "gpt2-small" {
		t.Errorf("header %+v", g)
	}
}

func TestContextBeyondTheModelIsNoted(t *testing.T) {
	for _, c := range []struct {
		model    string
		w        Workload
		contains string
	}{
		{"gpt3-175b", Workload{Phase: "generate", Batch: 1, Prompt: 2000, Generate: 49}, ""}, // the last token is not looked up
		{"gpt3-175b", Workload{Phase: "generate", Batch: 1, Prompt: 2000, Generate: 50}, "2049 tokens needs more learned positions"},
		{"gpt3-175b", Workload{Phase: "decode", Batch: 1, Prompt: 2048}, "learned positions"},
		{"llama2-7b", Workload{Phase: "prefill", Batch: 1, Prompt: 4097}, "longer than the 4096"},
		{"mistral-7b", Workload{Phase: "prefill", Batch: 1, Prompt: 4097}, ""},
		{"mistral-7b", Workload{Phase: "prefill", Batch: 1, Prompt: 4096}, ""},
	} {
		m := preset(t, c.model)
		g, err := m.Graph(c.w)
		if err != nil {
			t.Fatal(err)
		}
		notes := strings.Join(g.Notes, "\n")
		if !strings.Contains(notes, c.contains) || c.contains == "" && notes != "" {
			t.Errorf("%s %+v: notes %q, want %q", c.model, c.w, notes, c.contains)
		}
	}
}

func TestBadWorkloads(t *testing.T) {
	const huge = int64(1e18)
	for _, c := range []struct {
		w    Workload
		want string // "field: …" of every problem
	}{
		{Workload{Phase: "train", Batch: 1, Prompt: 1}, "phase"},
		{Workload{Phase: "prefill"}, "batch prompt"},
		{Workload{Phase: "prefill", Batch: huge, Prompt: huge}, "batch prompt"},
		{Workload{Phase: "prefill", Batch: 1, Prompt: huge}, "prompt"},
		{Workload{Phase: "prefill", Batch: math.MaxInt64, Prompt: 1}, "batch"},
		{Workload{Phase: "prefill", Batch: -1, Prompt: math.MinInt64}, "batch prompt"},
		{Workload{Phase: "prefill", Batch: 1 << 16, Prompt: 1 << 16}, "batch"},
		{Workload{Phase: "prefill", Batch: 1 << 10, Prompt: 1 << 30}, "prompt"},
		{Workload{Phase: "prefill", Batch: 1, Prompt: 1 << 31}, "prompt"}, // attention does not fit 64 bits
		{Workload{Phase: "decode", Batch: 1 << 31, Prompt: 1 << 30}, "batch"},
		{Workload{Phase: "decode", Batch: 1, Prompt: 1 << 31}, "prompt"},
		{Workload{Phase: "generate", Batch: 1, Prompt: 1}, "generate"},
		{Workload{Phase: "generate", Batch: 1, Prompt: 1, Generate: huge}, "generate"},
		{Workload{Phase: "generate", Batch: 1, Prompt: 1<<31 - 1, Generate: 2}, "generate"},
		{Workload{Phase: "prefill", Batch: 1, Prompt: 1, Generate: -1}, "generate"},
		{Workload{Phase: "prefill", Batch: 1, Prompt: 1, Layers: 33}, "layers"},
		{Workload{Phase: "prefill", Batch: 1, Prompt: 1, Layers: -1}, "layers"},
		{Workload{Phase: "prefill", Batch: 1, Prompt: 1, DType: 200, WeightDType: 201, KVDType: 202}, "dtype weight_dtype kv_dtype"},
	} {
		m := preset(t, "llama2-7b")
		_, err := m.Graph(c.w)
		var fields []string
		for _, e := range split(err) {
			var bad *Invalid
			if errors.As(e, &bad) {
				fields = append(fields, bad.Field)
			}
		}
		if got := strings.Join(fields, " "); got != c.want {
			t.Errorf("%+v: %v, want errors for %s", c.w, err, c.want)
		}
	}
}

func TestBadModels(t *testing.T) {
	for want, change := range map[string]func(*Model){
		"layers":          func(m *Model) { m.Layers = 0 },
		"hidden":          func(m *Model) { m.Hidden = 1 << 32 },
		"kv_heads":        func(m *Model) { m.KVHeads = 5 },
		"rotary_dims":     func(m *Model) { m.RotaryDims = 3 },
		"activation":      func(m *Model) { m.Activation = "mish" },
		"norm":            func(m *Model) { m.Norm = "" },
		"position":        func(m *Model) { m.Position = "sinus" },
		"norms_per_layer": func(m *Model) { m.NormsPerLayer = 1 },
		"qkv_bias":        func(m *Model) { m.LinearBias, m.QKVBias = true, true },
		"torch_dtype":     func(m *Model) { m.DType = "float17" },
		"ffn":             func(m *Model) { m.FFN = 1 << 31 },
		"heads":           func(m *Model) { m.Heads, m.KVHeads, m.HeadDim = 1<<31, 1<<31, 1<<31 },
	} {
		m := preset(t, "llama2-7b")
		change(&m)
		var bad *Invalid
		if _, err := m.Graph(Workload{Phase: "prefill", Batch: 1, Prompt: 1}); !errors.As(err, &bad) || bad.Field != want {
			t.Errorf("%s: got %v", want, err)
		}
	}
	if err := (Model{}).Validate(); len(split(err)) < 10 {
		t.Errorf("an empty model has few problems: %v", err)
	}
	big := Model{Layers: maxDimension, Hidden: maxDimension, FFN: 1 << 30, Heads: 1, KVHeads: 1, HeadDim: 128, Vocab: maxDimension, MaxSeq: 1,
		Activation: SiLU, Norm: RMSNorm, NormsPerLayer: 2, Position: RoPE}
	if big.Parameters() != math.MaxInt64 {
		t.Errorf("parameters wrapped: %d", big.Parameters())
	}
	if err := big.Validate(); err == nil {
		t.Error("2^90 parameters are accepted")
	}
}

func drawModel(t *rapid.T) Model {
	size := func(name string, most int64) int64 { return rapid.Int64Range(1, most).Draw(t, name) }
	flag := func(name string) bool { return rapid.Bool().Draw(t, name) }
	kv := size("kv heads", 8)
	m := Model{Name: "random", Layers: size("layers", 5), Hidden: size("hidden", 300), FFN: size("ffn", 500), Heads: kv * size("group", 8), KVHeads: kv,
		HeadDim: 2 * size("half head", 40), Vocab: size("vocab", 1000), MaxSeq: size("max seq", 64),
		Activation: rapid.SampledFrom([]Activation{GELU, GELUTanh, SiLU, ReLU}).Draw(t, "activation"), TiedEmbeddings: flag("tied"), LinearBias: flag("bias"),
		FFNBias: flag("ffn bias"), HeadBias: flag("head bias"), Norm: rapid.SampledFrom([]Norm{LayerNorm, LayerNormNoBias, RMSNorm}).Draw(t, "norm"),
		NormsPerLayer: 2, QKNorm: flag("qk norm"), EmbeddingNorm: flag("embedding norm"), ParallelBlock: flag("parallel"),
		Position: rapid.SampledFrom([]Position{Learned, RoPE, ALiBi, None}).Draw(t, "position"), ExtraPositions: size("extra", 3) - 1}
	m.Gated = m.Activation != ReLU && flag("gated")
	m.QKVBias = !m.LinearBias && flag("qkv bias")
	if m.ParallelBlock {
		m.NormsPerLayer = size("norms", 2)
	}
	if flag("partial") {
		m.RotaryDims = 2 * rapid.Int64Range(1, m.HeadDim/2).Draw(t, "rotary")
	}
	return m
}

func TestRandomModels(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := drawModel(r)
		w := Workload{Phase: rapid.SampledFrom([]string{"prefill", "decode", "generate"}).Draw(r, "phase"), Batch: rapid.Int64Range(1, 9).Draw(r, "batch"),
			Prompt: rapid.Int64Range(1, 90).Draw(r, "prompt"), Generate: rapid.Int64Range(1, 6).Draw(r, "generate")}
		g, err := m.Graph(w)
		if err != nil {
			r.Fatal(err)
		}
		checkClosedForm(t, &m, w, g)
		if t.Failed() {
			r.FailNow()
		}
	})
}

func TestHeadAndLayersDoNotShareNames(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := drawModel(r)
		g, err := m.Graph(Workload{Phase: "prefill", Batch: 1, Prompt: 2})
		if err != nil {
			r.Fatal(err)
		}
		block := map[string]string{}
		for _, b := range g.Blocks {
			for _, x := range b.Tensors {
				if x.Role != traces.Weight {
					continue
				}
				if other, ok := block[x.Name]; ok && x.Name != "token_embedding.weight" {
					r.Fatalf("%s is a weight of %s and of %s", x.Name, other, b.Name)
				}
				block[x.Name] = b.Name
			}
		}
	})
}

func TestGraphTakesFewAllocations(t *testing.T) {
	m := preset(t, "llama2-7b")
	w := Workload{Phase: "generate", Batch: 1, Prompt: 512, Generate: 128}
	if n := testing.AllocsPerRun(20, func() { _, _ = m.Graph(w) }); n > 200 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkGraphGenerate128(b *testing.B) {
	m := preset(b, "llama2-7b")
	w := Workload{Phase: "generate", Batch: 1, Prompt: 512, Generate: 128}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Graph(w); err != nil {
			b.Fatal(err)
		}
	}
}
