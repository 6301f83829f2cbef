// Package llm describes language models and generates their operator graphs.
//
// # Model
//
// A Model is a decoder-only transformer: embedding, equal layers, head. It comes from Preset, from
// a Hugging Face config.json (FromHF), or is written by hand. Model.Graph turns it into the
// operators of a prefill (all prompt tokens at once, the head on the last token of each sequence
// only), of one decode step, or of a generation: the prefill gives the first token and every
// further token is a decode step on a cache that is one token longer. Blocks are built once; the
// steps are runs of them.
//
// A layer is, in this order: norm, query/key/value projection, rotary embedding, append to the
// cache, attention, output projection, residual addition, norm, up (and gate) projection,
// activation, down projection, residual addition. In a parallel block both branches read the
// layer's input and both additions come last; the all-reduces of its two row-divided products stay
// two. Biases belong to the kernel of their product, as in the epilogues of vendor libraries.
//
// Activations are in Workload.DType, weights of products and the token table in WeightDType, keys
// and values in KVDType; norms, biases and the table of learned positions are in DType.
//
// # Units
//
// Sizes are elements, contexts are tokens, parameters are counted one by one.
//
// # Sources
//
// Every preset carries its own in Model.Source. The structure of a layer: Vaswani et al., arXiv
// 1706.03762; Shoeybi et al., Megatron-LM, arXiv 1909.08053 (which products divide how); Touvron et
// al., LLaMA, arXiv 2302.13971 (RMSNorm, gated feed-forward); Su et al., RoFormer, arXiv 2104.09864
// (rotary embedding); Press et al., ALiBi, arXiv 2108.12409; Shazeer, arXiv 1911.02150 and Ainslie
// et al., arXiv 2305.13245 (shared keys and values); Chowdhery et al., PaLM, arXiv 2204.02311
// (parallel block). Keys and defaults of config.json: the configuration classes of Hugging Face
// transformers.
//
// # Not modelled
//
// Mixtures of experts, latent attention, encoders, several modalities, relative positions with a
// projection of their own (Gopher, Chinchilla), norms after a branch, quantised checkpoints: these
// are refused. A sliding window is noted and every token attended to; so is a context beyond the
// table of learned positions, timed as if the table went on, since published measurements do that.
// The ALiBi bias, logit soft caps, the scaling of embeddings and sampling cost nothing. The slot
// for a norm's bias is counted in a LayerNorm without one. Quantisers often leave the token table
// and the head in 16 bits; here both follow WeightDType.
package llm
