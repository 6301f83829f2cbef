package llm

import (
	"github.com/stratasim/strata/traces"
)

// MoE says that feed-forward networks are mixtures of experts: a router sends each token to TopK of them.
type MoE struct {
	Experts int64 `json:"experts"`
	TopK    int64 `json:"top_k"`
	// FFN is the inner width of each expert, in elements.
	FFN int64 `json:"ffn"`
	// SharedFFN is the inner width of the network that every token passes besides, all shared experts
	// together; 0 if there is none. SharedGate weighs its result with a number of its own for each token.
	SharedFFN  int64 `json:"shared_ffn,omitempty"`
	SharedGate bool  `json:"shared_gate,omitempty"`
	// FirstDense is how many layers at the beginning have one dense network instead, as wide as Model.FFN.
	FirstDense int64 `json:"first_dense,omitempty"`
	// RouterBias is a number for each expert that is added to the router's scores, Bias are biases in the
	// experts' products.
	RouterBias bool `json:"router_bias,omitempty"`
	Bias       bool `json:"bias,omitempty"`
}

// sparse reports whether a layer is a mixture of experts.
func (m *Model) sparse(layer int64) bool { return m.MoE != nil && layer >= m.MoE.FirstDense }

// matrices returns how many matrices a feed-forward network has.
func (m *Model) matrices() int64 {
	if m.Gated {
		return 3
	}
	return 2
}

// expertParameters counts one expert.
func (m *Model) expertParameters() int64 {
	n := product(m.matrices(), m.Hidden, m.MoE.FFN)
	if m.MoE.Bias {
		n = sum(n, product(m.matrices()-1, m.MoE.FFN), m.Hidden)
	}
	return n
}

// moeParameters counts the feed-forward part of a sparse layer with so many of its experts.
func (m *Model) moeParameters(experts int64) int64 {
	e := m.MoE
	n := sum(product(experts, m.expertParameters()), product(m.Hidden, e.Experts), product(m.matrices(), m.Hidden, e.SharedFFN))
	if e.RouterBias {
		n = sum(n, e.Experts)
	}
	if e.SharedGate {
		n = sum(n, m.Hidden)
	}
	return n
}

// mixture appends router, experts and the shared network of a sparse layer and returns their sum.
func (m *Model) mixture(b *block, in traces.TensorID, tokens int64) traces.TensorID {
	e := m.MoE
	scores := b.activation("scores", tokens, e.Experts)
	b.router(e, tokens, in, scores)
	b.rows(traces.Softmax, traces.Whole, "route", tokens, e.Experts, b.ids(scores), b.ids(scores))
	out, split := b.activation("ffn_out", tokens, m.Hidden), traces.Row
	routed := out
	if e.SharedFFN > 0 {
		split = traces.Partial // one all-reduce for both
		routed = b.activation("routed", tokens, m.Hidden)
	}
	up := b.tensor("experts.up.weight", traces.Weight, b.w.WeightDType, m.Hidden, e.Experts*(m.matrices()-1)*e.FFN)
	down := b.tensor("experts.down.weight", traces.Weight, b.w.WeightDType, e.FFN, e.Experts*m.Hidden)
	ids := b.ids(in, scores, up, down)
	if e.Bias {
		ids = b.ids(in, scores, up, down, b.tensor("experts.bias", traces.Weight, b.w.DType, e.Experts, (m.matrices()-1)*e.FFN+m.Hidden))
	}
	b.product(traces.Op{Name: "experts", Kind: traces.MoE, Split: split, WeightDType: b.w.WeightDType, M: tokens, K: m.Hidden, N: e.FFN,
		Experts: e.Experts, TopK: e.TopK, EP: 1, SkewMilli: b.w.SkewMilli, Gated: m.Gated}, ids, b.ids(routed))
	if b.w.Groups > 1 { // whose tokens all come to the experts
		b.Ops[len(b.Ops)-1].M = product(tokens, b.w.Groups)
	}
	if e.SharedFFN > 0 {
		shared := m.network(b, "shared_", in, tokens, e.SharedFFN, traces.Partial)
		if e.SharedGate {
			gate := b.activation("shared_share", tokens, 1)
			b.gemm("shared_expert_gate", traces.Whole, tokens, m.Hidden, false, in, b.ids(gate), 1)
			b.rows(traces.Mul, traces.Whole, "shared_weigh", tokens, m.Hidden, b.ids(shared, gate), b.ids(shared))
		}
		b.rows(traces.Add, traces.Row, "experts_add", tokens, m.Hidden, b.ids(routed, shared), b.ids(out))
	}
	return out
}

// router adds the product of the tokens with the router, which every chip does in full, in the format of
// activations: it is small, and what it decides is not to be rounded.
func (b *block) router(e *MoE, tokens int64, in, scores traces.TensorID) {
	weight := b.tensor("router.weight", traces.Weight, b.w.DType, b.m.Hidden, e.Experts)
	ids := b.ids(in, weight)
	if e.RouterBias {
		ids = b.ids(in, weight, b.tensor("router.bias", traces.Weight, b.w.DType, e.Experts))
	}
	b.op(traces.Op{Name: "router", Kind: traces.Gemm, WeightDType: b.w.DType, Batch: 1, M: tokens, N: e.Experts, K: b.m.Hidden}, ids, b.ids(scores))
}
