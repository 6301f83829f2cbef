package uncertainty

import "github.com/stratasim/strata/traces"

// Classes of operators; collectives have the name of their kind, with Nodes behind it where they cross nodes.
const (
	Gemm             = "gemm"
	AttentionPrefill = "attention-prefill"
	AttentionDecode  = "attention-decode"
	AttentionMixed   = "attention-mixed"
	Norm             = "norm" // row-wise: norms and softmax
	Elementwise      = "elementwise"
	MoE              = "moe"
	FFN              = "ffn"
	Nodes            = " between nodes"
	// Host comes before a class whose times are a host's.
	Host = "host-timed "
)

// Classes of whole models.
const (
	Generate  = "generate" // prompts and tokens of one batch, from the first to the last
	FirstTok  = "first-token"
	Between   = "between-tokens"
	Decode    = "decode" // one step
	ServeOf   = "serve " // between tokens of a server, with the kind of model behind it
	Train     = "train"  // a step of the optimizer
	Model     = "model"  // what whole models are off beyond their kernels
	PowerMean = "power"  // average power while tokens are generated
)

// ClassOf is the class of operators of a kind, "" if there is none. Attention of one new token decodes. Instead is true if no operator of
// that kind was measured anywhere and the class is that of its nearest relatives.
func ClassOf(k traces.Kind, decodes bool) (class string, instead bool) {
	switch {
	case k == traces.Gemm:
		return Gemm, false
	case k == traces.Attention && decodes:
		return AttentionDecode, false
	case k == traces.Attention:
		return AttentionPrefill, false
	case k == traces.MoE:
		return MoE, false
	case k == traces.RMSNorm, k == traces.LayerNorm:
		return Norm, false
	case k == traces.Softmax:
		return Norm, true
	case k == traces.Broadcast:
		return traces.AllGather.String(), true
	case k.Collective():
		return k.String(), false
	case k == traces.Embedding, k == traces.KVAppend, k == traces.Quantize:
		return Elementwise, true
	}
	return Elementwise, false
}
