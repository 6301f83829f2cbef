package llm

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/stratasim/strata/traces"
)

// Activation is the function between the products of the feed-forward network.
type Activation string

// The activations. GELUTanh is the approximation of GELU by a hyperbolic tangent; both cost the same
// here.
const (
	GELU     Activation = "gelu"
	GELUTanh Activation = "gelu-tanh"
	ReLU     Activation = "relu"
	SiLU     Activation = "silu"
)

// Norm is the kind of normalisation.
type Norm string

// The norms: LayerNorm has a weight and a bias per element, LayerNormNoBias and RMSNorm a weight.
const (
	LayerNorm       Norm = "layernorm"
	LayerNormNoBias Norm = "layernorm-no-bias"
	RMSNorm         Norm = "rmsnorm"
)

// Position is how a model knows the order of its tokens.
type Position string

// The encodings of positions: a table of learned vectors, rotation of queries and keys, a bias on
// the scores, or nothing.
const (
	Learned Position = "learned"
	RoPE    Position = "rope"
	ALiBi   Position = "alibi"
	None    Position = "none"
	// RelativeBias reads a bias for each head, query and key from a table (T5); Projected multiplies
	// queries with projected distances (Transformer-XL).
	RelativeBias Position = "relative-bias"
	Projected    Position = "relative-projected"
)

// Kind is what a model does with its tokens.
type Kind string

// The kinds: a decoder writes token after token; an encoder and a vision transformer look once at all they
// are given, and keep no cache; an encoder-decoder writes while looking at what its encoder made of the prompt.
const (
	Decoder        Kind = ""
	Encoder        Kind = "encoder"
	EncoderDecoder Kind = "encoder-decoder"
	Vision         Kind = "vision"
)

// NormPlace is where the norms of a layer stand.
type NormPlace string

// The places: before each branch; after the addition of each branch (the first transformers, BERT); on the
// result of each branch, before it is added (OLMo 2); before and on the result (Gemma 2).
const (
	BeforeBranch NormPlace = ""
	AfterAdd     NormPlace = "after-add"
	OnBranch     NormPlace = "on-branch"
	Sandwich     NormPlace = "sandwich"
)

// Patches says how a vision transformer cuts an image: squares of Size×Size pixels of Channels colours, one
// token each, beside one that stands for the class. Classes is what its head tells apart, 0 without a head.
type Patches struct {
	Size     int64 `json:"size"`
	Channels int64 `json:"channels"`
	Classes  int64 `json:"classes"`
}

// Model describes a transformer. It is plain data: what json.Marshal writes,
// json.Unmarshal reads back.
type Model struct {
	// Name is for reports; for a file it is the file's.
	Name string `json:"name"`
	// Source says where the figures are from.
	Source string `json:"source,omitempty"`

	Kind Kind `json:"kind,omitempty"`
	// Layers is the number of transformer layers; of an encoder-decoder those of the decoder, and
	// EncoderLayers those of the encoder.
	Layers        int64 `json:"layers"`
	EncoderLayers int64 `json:"encoder_layers,omitempty"`
	// Hidden is the width of the residual stream, in elements.
	Hidden int64 `json:"hidden"`
	// FFN is the inner width of the feed-forward network, in elements; of each of the two
	// projections if it is gated.
	FFN int64 `json:"ffn"`
	// Heads is the number of query heads, KVHeads that of key/value heads: equal for multi-head,
	// 1 for multi-query attention, a divisor of Heads for grouped queries.
	Heads   int64 `json:"heads"`
	KVHeads int64 `json:"kv_heads"`
	// HeadDim is the width of a head, in elements. Heads·HeadDim may differ from Hidden.
	HeadDim int64 `json:"head_dim"`
	// Vocab is the number of rows of the token table, padding included.
	Vocab int64 `json:"vocab"`
	// MaxSeq is the longest context, in tokens, that the model was made for.
	MaxSeq int64 `json:"max_seq"`

	// Activation is that of the feed-forward network; Gated means act(x·Wg) ∘ (x·Wu) in place of
	// act(x·Wu), such as SwiGLU.
	Activation Activation `json:"activation"`
	Gated      bool       `json:"gated"`
	// TiedEmbeddings means that the head uses the token table.
	TiedEmbeddings bool `json:"tied_embeddings"`
	// LinearBias puts a bias on all four projections of attention, QKVBias on query, key and value
	// only; FFNBias on all of the feed-forward network, HeadBias (one element per vocabulary entry) on the head.
	LinearBias bool `json:"linear_bias"`
	QKVBias    bool `json:"qkv_bias"`
	FFNBias    bool `json:"ffn_bias"`
	// OutBias puts a bias on the output projection of attention where LinearBias does not.
	OutBias  bool `json:"out_bias,omitempty"`
	HeadBias bool `json:"head_bias"`

	// Norm is the kind of all norms; NormsPerLayer is 2, or 1 if the branches of a parallel block
	// share theirs, or 4 if they stand before and after each branch. Cross-attention has one more.
	Norm          Norm      `json:"norm"`
	NormsPerLayer int64     `json:"norms_per_layer"`
	NormPlace     NormPlace `json:"norm_place,omitempty"`
	// QKNorm normalises queries and keys per head (RMSNorm with HeadDim weights each), or over all heads
	// together if QKNormWide.
	QKNorm     bool `json:"qk_norm"`
	QKNormWide bool `json:"qk_norm_wide,omitempty"`
	// Sinks is a learned number for each head that takes part in its softmax, as the score of no key.
	Sinks bool `json:"sinks,omitempty"`
	// EmbeddingNorm is a norm after the embedding.
	EmbeddingNorm bool `json:"embedding_norm"`
	// ParallelBlock means that attention and feed-forward network both read the layer's input.
	ParallelBlock bool `json:"parallel_block"`

	Position Position `json:"position"`
	// RotaryDims is how many elements of each head are rotated; 0 means all.
	RotaryDims int64 `json:"rotary_dims"`
	// ExtraPositions is by how many rows the table of learned positions exceeds MaxSeq.
	ExtraPositions int64 `json:"extra_positions,omitempty"`
	// SlidingWindow is over how many tokens a layer looks back, itself included; 0 means all. Layers of
	// FullAttention, counted from 0, look at all.
	SlidingWindow int64   `json:"sliding_window,omitempty"`
	FullAttention []int64 `json:"full_attention_layers,omitempty"`
	// MLA and MoE are there if attention is latent, and if feed-forward networks are mixtures of experts.
	MLA *MLA `json:"mla,omitempty"`
	MoE *MoE `json:"moe,omitempty"`
	// TokenTypes is the rows of a table by which segments of the prompt are told apart; Pooler is a product
	// and a tanh over the first token of each sequence in place of a head; Patches are those of a vision
	// transformer.
	TokenTypes int64    `json:"token_types,omitempty"`
	Pooler     bool     `json:"pooler,omitempty"`
	Patches    *Patches `json:"patches,omitempty"`
	// FixedExtra counts parameters that take part in no operator.
	FixedExtra int64 `json:"fixed_extra_params,omitempty"`

	// DType is the number format of the published weights, as in traces.ParseDType; empty if unknown.
	DType string `json:"torch_dtype,omitempty"`
	// WeightDType, ActivationDType and KVDType are the formats of a quantised checkpoint: of the weights of
	// its products, of what they are multiplied with where the machine can, and of its cache. Empty
	// means DType.
	WeightDType     string `json:"weight_dtype,omitempty"`
	ActivationDType string `json:"activation_dtype,omitempty"`
	KVDType         string `json:"kv_dtype,omitempty"`
	// HeadInFull and AttentionInFull say that a quantised checkpoint leaves the head, or the projections of
	// attention, as they were.
	HeadInFull      bool `json:"head_in_full,omitempty"`
	AttentionInFull bool `json:"attention_in_full,omitempty"`
	// Notes are remarks of the reader, such as what of a file has no effect. They are
	// passed on to the graph.
	Notes []string `json:"notes,omitempty"`
}

// maxMixed bounds the layers of a model that are not alike in turn.
const maxMixed = 1 << 12

// maxDimension is the largest size that an operator graph takes (traces.Graph.Validate).
const maxDimension = 1 << 31

// DefaultDType returns the number format that the model usually runs in: FP16 if it was published so
// (the GPT-2, GPT-3 and OPT presets are), else BF16. Weights published in FP32 run in BF16 too.
func (m Model) DefaultDType() traces.DType {
	if d, err := traces.ParseDType(m.DType); err == nil && d == traces.FP16 {
		return d
	}
	return traces.BF16
}

// Activations returns the format of activations that the model usually runs with: that of a quantised
// checkpoint where the machine multiplies it, else its own. A nil function means that no machine is known.
func (m Model) Activations(multiplies func(traces.DType) bool) traces.DType {
	if d, err := traces.ParseDType(m.ActivationDType); err == nil && (multiplies == nil || multiplies(d)) {
		return d
	}
	return m.DefaultDType()
}

// Weights returns the format of the weights of products: that of a quantised checkpoint, else that of
// activations.
func (m Model) Weights(activations traces.DType) traces.DType {
	if d, err := traces.ParseDType(m.WeightDType); err == nil {
		return d
	}
	return activations
}

// Cache returns the format of cached keys and values: that of a quantised checkpoint, else that of
// activations, or fp8 where these are of less than a byte.
func (m Model) Cache(activations traces.DType) traces.DType {
	switch d, err := traces.ParseDType(m.KVDType); {
	case err == nil:
		return d
	case activations.Bits() < 8:
		return traces.FP8
	case m.ActivationDType != "" && activations.Bits() < 16: // the file says what is narrow
		return m.DefaultDType()
	}
	return activations
}

// Validate reports everything that is wrong with the model: *Invalid errors, joined.
func (m Model) Validate() error {
	var errs []error
	bad := func(field, hint, format string, args ...any) {
		errs = append(errs, &Invalid{field, fmt.Sprintf(format, args...), hint})
	}
	type size struct {
		name string
		v    int64
	}
	sizes := []size{{"layers", m.Layers}, {"hidden", m.Hidden}, {"ffn", m.FFN}, {"heads", m.Heads}, {"kv_heads", m.KVHeads},
		{"head_dim", m.HeadDim}, {"max_seq", m.MaxSeq}}
	if m.Kind != Vision {
		sizes = append(sizes, size{"vocab", m.Vocab})
	}
	if m.Kind == EncoderDecoder {
		sizes = append(sizes, size{"encoder_layers", m.EncoderLayers})
	}
	if a := m.MLA; a != nil {
		sizes = append(sizes, size{"mla.kv_rank", a.KVRank}, size{"mla.nope", a.Nope}, size{"mla.rope", a.RoPE}, size{"mla.v", a.V})
	}
	if e := m.MoE; e != nil {
		sizes = append(sizes, size{"moe.experts", e.Experts}, size{"moe.top_k", e.TopK}, size{"moe.ffn", e.FFN})
	}
	if p := m.Patches; p != nil {
		sizes = append(sizes, size{"patches.size", p.Size}, size{"patches.channels", p.Channels})
	}
	for _, s := range sizes {
		if s.v < 1 || s.v > maxDimension {
			bad(s.name, "", "%d: must be from 1 to %d", s.v, int64(maxDimension))
		}
	}
	optional := []size{{"rotary_dims", m.RotaryDims}, {"extra_positions", m.ExtraPositions}, {"sliding_window", m.SlidingWindow}, {"fixed_extra_params", m.FixedExtra}, {"token_types", m.TokenTypes}}
	if m.MLA != nil {
		optional = append(optional, size{"mla.q_rank", m.MLA.QRank})
	}
	if m.MoE != nil {
		optional = append(optional, size{"moe.shared_ffn", m.MoE.SharedFFN}, size{"moe.first_dense", m.MoE.FirstDense})
	}
	if m.Patches != nil {
		optional = append(optional, size{"patches.classes", m.Patches.Classes})
	}
	for _, s := range optional {
		if s.v < 0 || s.v > maxDimension {
			bad(s.name, "", "%d: must be from 0 to %d", s.v, int64(maxDimension))
		}
	}
	switch m.Activation {
	case GELU, GELUTanh, ReLU, SiLU:
	default:
		bad("activation", "gelu, gelu-tanh, relu or silu", "%q is unknown", shorten(string(m.Activation)))
	}
	if m.Gated && m.Activation == ReLU {
		bad("activation", "gelu, gelu-tanh or silu", "a gated feed-forward network with relu is not supported")
	}
	switch m.Norm {
	case LayerNorm, LayerNormNoBias, RMSNorm:
	default:
		bad("norm", "layernorm, layernorm-no-bias or rmsnorm", "%q is unknown", shorten(string(m.Norm)))
	}
	switch m.Position {
	case Learned, RoPE, ALiBi, None, RelativeBias, Projected:
	default:
		bad("position", "learned, rope, alibi, relative-bias, relative-projected or none", "%q is unknown", shorten(string(m.Position)))
	}
	switch {
	case m.ParallelBlock && m.NormsPerLayer != 1 && m.NormsPerLayer != 2:
		bad("norms_per_layer", "", "%d: a parallel block has 1 or 2", m.NormsPerLayer)
	case m.ParallelBlock && m.NormPlace != BeforeBranch:
		bad("norm_place", "", "%q: the norms of a parallel block stand before its branches", shorten(string(m.NormPlace)))
	case !slices.Contains([]NormPlace{BeforeBranch, AfterAdd, OnBranch, Sandwich}, m.NormPlace):
		bad("norm_place", "after-add, on-branch, sandwich, or nothing for norms before each branch", "%q is unknown", shorten(string(m.NormPlace)))
	case m.NormPlace == Sandwich && m.NormsPerLayer != 4:
		bad("norms_per_layer", "before and after attention and feed-forward network", "%d: must be 4", m.NormsPerLayer)
	case !m.ParallelBlock && m.NormPlace != Sandwich && m.NormsPerLayer != 2:
		bad("norms_per_layer", "one before attention, one before the feed-forward network", "%d: must be 2", m.NormsPerLayer)
	}
	if m.LinearBias && m.QKVBias {
		bad("qkv_bias", "set one of them", "linear_bias puts a bias on queries, keys and values already")
	}
	for _, d := range []struct{ field, name string }{{"torch_dtype", m.DType}, {"weight_dtype", m.WeightDType}, {"activation_dtype", m.ActivationDType}, {"kv_dtype", m.KVDType}} {
		if d.name != "" {
			if _, err := traces.ParseDType(d.name); err != nil {
				bad(d.field, "", "%v", err)
			}
		}
	}
	m.validateKind(bad)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	switch {
	case m.Heads%m.KVHeads != 0:
		bad("kv_heads", "kv_heads must divide heads", "%d query heads cannot share %d key/value heads evenly", m.Heads, m.KVHeads)
	case m.RotaryDims > m.HeadDim:
		bad("rotary_dims", "", "%d: a head has only %d elements", m.RotaryDims, m.HeadDim)
	case m.Position == RoPE && m.rotary()%2 != 0:
		bad("rotary_dims", "rotation works on pairs", "%d elements of each head are rotated: must be even", m.rotary())
	}
	if n := m.qkvWidth(); n > maxDimension {
		bad("heads", "", "queries, keys and values of a token have %d elements, at most %d are supported", n, int64(maxDimension))
	}
	if n := m.upWidth(); n > maxDimension {
		bad("ffn", "", "the projections up have %d columns, at most %d are supported", n, int64(maxDimension))
	}
	if n := m.MaxSeq + m.ExtraPositions; m.Position == Learned && n > maxDimension {
		bad("extra_positions", "", "the table of positions has %d rows, at most %d are supported", n, int64(maxDimension))
	}
	if len(errs) == 0 && m.Parameters() > traces.MaxElements {
		bad("layers", "a size may have a digit too many", "more than 2^57 parameters")
	}
	return errors.Join(errs...)
}

// validateKind reports what does not go with the kind of the model.
func (m *Model) validateKind(bad func(field, hint, format string, args ...any)) {
	switch m.Kind {
	case Decoder, Encoder, EncoderDecoder, Vision:
	default:
		bad("kind", "encoder, encoder-decoder, vision, or nothing for a decoder", "%q is unknown", shorten(string(m.Kind)))
	}
	if (m.Kind == Vision) != (m.Patches != nil) {
		bad("patches", "", "a vision transformer has patches, and nothing else has")
	}
	if m.Kind != Decoder {
		for _, f := range []struct {
			field string
			there bool
		}{{"mla", m.MLA != nil}, {"moe", m.MoE != nil}, {"sliding_window", m.SlidingWindow > 0}, {"parallel_block", m.ParallelBlock}} {
			if f.there {
				bad(f.field, "it goes with a decoder", "not supported in a model of kind %s", shorten(string(m.Kind)))
			}
		}
	}
	if m.Kind != Encoder && (m.TokenTypes > 0 || m.Pooler) {
		bad("pooler", "", "token types and a pooler go with an encoder")
	}
	if m.SlidingWindow > 0 && m.MLA != nil {
		bad("sliding_window", "", "a window goes with keys and values of heads, not with latent attention")
	}
	if len(m.FullAttention) > 0 && m.Layers > maxMixed {
		bad("layers", "", "%d layers of which some have a window, at most %d are supported", m.Layers, int64(maxMixed))
	}
	for _, l := range m.FullAttention {
		if l < 0 || l >= m.Layers || m.SlidingWindow == 0 {
			bad("full_attention_layers", "layers of a model with a sliding window, counted from 0", "%d: there is no such layer", l)
			break
		}
	}
	if a := m.MLA; a != nil && (m.KVHeads != m.Heads || m.HeadDim != a.Nope+a.RoPE || m.Position != RoPE || m.LinearBias || m.QKVBias || m.QKNorm || m.Sinks) {
		bad("mla", "kv_heads as heads, head_dim = nope + rope, rotary positions, no biases", "other figures do not go with latent attention")
	}
	if e := m.MoE; e != nil {
		switch {
		case e.TopK > e.Experts:
			bad("moe.top_k", "top_k is at most experts", "%d of %d experts for each token", e.TopK, e.Experts)
		case e.FirstDense >= m.Layers:
			bad("moe.first_dense", "", "%d dense layers of %d leave none for experts", e.FirstDense, m.Layers)
		}
		if product(e.Experts, m.matrices(), max(e.FFN, m.Hidden)) > maxDimension {
			bad("moe.experts", "", "the matrices of all experts side by side have more than %d columns", int64(maxDimension))
		}
		if m.Activation == ReLU || m.ParallelBlock {
			bad("moe", "", "experts with relu or in parallel blocks are not supported")
		}
	}
}

// rotary returns how many elements of each head are rotated.
func (m *Model) rotary() int64 {
	if m.RotaryDims > 0 {
		return m.RotaryDims
	}
	return m.HeadDim
}

// qkvWidth returns how many elements the queries, keys and values of one token have, at most
// MaxInt64.
func (m *Model) qkvWidth() int64 { return product(sum(m.Heads, product(2, m.KVHeads)), m.HeadDim) }

// upWidth returns the columns of the projections from the residual stream into the feed-forward
// network.
func (m *Model) upWidth() int64 {
	if m.Gated {
		return product(2, m.FFN)
	}
	return m.FFN
}

// product multiplies numbers that are not negative, at most MaxInt64.
func product(xs ...int64) int64 {
	p := int64(1)
	for _, x := range xs {
		if x <= 0 {
			return 0
		}
		if p > math.MaxInt64/x {
			p = math.MaxInt64
			continue
		}
		p *= x
	}
	return p
}

// sum adds numbers that are not negative, at most MaxInt64.
func sum(xs ...int64) int64 {
	var s int64
	for _, x := range xs {
		if x > math.MaxInt64-s {
			return math.MaxInt64
		}
		s += x
	}
	return s
}
