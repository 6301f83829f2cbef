package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// weightTypes are the formats in which a model's size is shown.
var weightTypes = []traces.DType{traces.FP32, traces.BF16, traces.FP8, traces.INT4}

// Model describes a model: its shape, its size by data type, what a token of context costs, and the operations of a
// token, taken from the operator graph of one decode step.
func Model(w io.Writer, m *llm.Model, s Style) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", s.bold(m.Name))
	line := func(name, format string, a ...any) {
		b.WriteString(wrap(fmt.Sprintf("  %-12s ", name), fmt.Sprintf(format, a...)))
	}
	if m.Source != "" {
		b.WriteString(wrap("", m.Source))
	}
	b.WriteString("\n")
	n := m.Parameters()
	line("parameters", "%s (%d)", Count(n), n)
	if m.MoE != nil {
		active := m.ActiveParameters()
		line("active", "%s for each token, %.1f %%", Count(active), 100*float64(active)/float64(n))
	}
	if m.Kind != llm.Decoder {
		line("kind", "%s", m.Kind)
	}
	layers := fmt.Sprint(m.Layers)
	if m.Kind == llm.EncoderDecoder {
		layers = fmt.Sprintf("%d of the encoder, %d of the decoder", m.EncoderLayers, m.Layers)
	}
	line("layers", "%s, %d wide; %s", layers, m.Hidden, strings.Join(structure(m), ", "))
	heads := fmt.Sprintf("%d heads of %d", m.Heads, m.HeadDim)
	switch m.KVHeads {
	case m.Heads:
	case 1:
		heads += ", one key/value head for all (MQA)"
	default:
		heads += fmt.Sprintf(", %d key/value heads (GQA)", m.KVHeads)
	}
	if m.MLA != nil {
		heads += fmt.Sprintf(", keys and values of all from %d latent elements (MLA)", m.MLA.KVRank)
	}
	if m.SlidingWindow > 0 {
		heads += fmt.Sprintf(", looking back over %d tokens", m.SlidingWindow)
		if n := len(m.FullAttention); n > 0 {
			heads += fmt.Sprintf(" but for %d layers", n)
		}
	}
	line("attention", "%s", heads)
	if e := m.MoE; e != nil {
		text := fmt.Sprintf("%d of %d for each token, %d wide", e.TopK, e.Experts, e.FFN)
		if e.SharedFFN > 0 {
			text += fmt.Sprintf(", one of %d for all", e.SharedFFN)
		}
		if e.FirstDense > 0 {
			text += fmt.Sprintf("; not in the first %d layers", e.FirstDense)
		}
		line("experts", "%s", text)
	}
	ffn := fmt.Sprintf("%d wide, %s", m.FFN, m.Activation)
	if m.Gated {
		ffn += ", gated"
	}
	if m.MoE == nil || m.MoE.FirstDense > 0 {
		line("feed-forward", "%s", ffn)
	}
	tied := "separate head"
	if m.TiedEmbeddings {
		tied = "head tied to it"
	}
	switch m.Kind {
	case llm.Vision:
		line("image", "patches of %d×%d pixels, %d tokens with that of the class", m.Patches.Size, m.Patches.Size, m.MaxSeq)
	case llm.Encoder:
		line("vocabulary", "%d tokens", m.Vocab)
	default:
		line("vocabulary", "%d tokens, %s", m.Vocab, tied)
	}
	line("context", "up to %d tokens", m.MaxSeq)
	line("runs in", "%s unless asked otherwise", m.DefaultDType())

	fmt.Fprintf(&b, "\n%s\n", s.bold("Size"))
	t := Table{Columns: []Column{{Title: "type"}, {Title: "weights", Right: true}, {Title: "cache per token", Right: true}, {Title: fmt.Sprintf("cache of %d tokens", m.MaxSeq), Right: true}}}
	for _, d := range weightTypes {
		kv := int64(m.KVBytesPerToken(d))
		t.Rows = append(t.Rows, []any{d.String(), Size(int64(d.Bytes(n))), Size(kv), scaled(float64(kv)*float64(m.MaxSeq)/1024, 1024, "KiB", "MiB", "GiB", "TiB", "PiB")})
	}
	for _, l := range t.lines() {
		fmt.Fprintf(&b, "  %s\n", l)
	}
	fmt.Fprintf(&b, "\n%s\n", s.bold("Operations of a token"))
	pasts := []int64{0, m.MaxSeq - 1}
	if m.Kind != llm.Decoder { // whose steps do not differ by what is cached
		ops, err := passOps(m)
		if err != nil {
			return err
		}
		line("a pass", "%s operations over %d tokens (a multiply-add is two)", scaled(ops/1e9, 1000, "G", "T", "P"), m.MaxSeq)
		pasts = nil
	}
	for _, past := range pasts {
		ops, err := TokenOps(m, past)
		if err != nil {
			return err
		}
		line(fmt.Sprintf("after %d", past), "%s operations (a multiply-add is two)", scaled(ops/1e9, 1000, "G", "T", "P"))
	}
	for _, note := range m.Notes {
		b.WriteString(wrap("  note: ", note))
	}
	return s.write(w, b.String())
}

// structure names what sets the layers of a model apart.
func structure(m *llm.Model) []string {
	list := []string{string(m.Norm)}
	if m.ParallelBlock {
		list = append(list, "parallel blocks")
	}
	switch m.Position {
	case llm.Learned:
		list = append(list, "learned positions")
	case llm.RoPE:
		list = append(list, "rotary positions")
	case llm.ALiBi:
		list = append(list, "ALiBi")
	case llm.RelativeBias:
		list = append(list, "a bias for each distance")
	case llm.Projected:
		list = append(list, "projected distances")
	}
	switch m.NormPlace {
	case llm.AfterAdd:
		list = append(list, "norms after each addition")
	case llm.OnBranch:
		list = append(list, "norms on each branch")
	case llm.Sandwich:
		list = append(list, "norms before and on each branch")
	}
	if m.QKNorm {
		list = append(list, "norms on queries and keys")
	}
	if m.LinearBias || m.FFNBias || m.QKVBias {
		list = append(list, "biases")
	}
	return list
}

// TokenOps returns the matrix operations of one decode step of one sequence with past tokens cached.
func TokenOps(m *llm.Model, past int64) (float64, error) {
	return matrixOps(m, llm.Workload{Phase: "decode", Batch: 1, Prompt: past, DType: traces.BF16, WeightDType: traces.BF16, KVDType: traces.BF16})
}

// passOps returns the matrix operations of a prefill of the longest context.
func passOps(m *llm.Model) (float64, error) {
	return matrixOps(m, llm.Workload{Phase: "prefill", Batch: 1, Prompt: m.MaxSeq, DType: traces.BF16, WeightDType: traces.BF16, KVDType: traces.BF16})
}

func matrixOps(m *llm.Model, w llm.Workload) (float64, error) {
	g, err := m.Graph(w)
	if err != nil {
		return 0, err
	}
	var total float64
	for i := range g.Runs {
		r := &g.Runs[i]
		for j := range g.Blocks[r.Block].Ops {
			work, err := g.Blocks[r.Block].Ops[j].Work(r.Past)
			if err != nil {
				return 0, err
			}
			total += float64(work.MatrixOps) * float64(r.Times) * float64(r.Steps())
		}
	}
	return total, nil
}
