// Package llm describes language models and generates their operator graphs.
//
// # Model
//
// A Model is a transformer: embedding, layers, head. It is a decoder unless its Kind says otherwise; layers
// may differ in whether they are mixtures of experts and look back over a window. It comes from Preset, from
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
// (parallel block); Fedus et al., arXiv 2101.03961 and Jiang et al., arXiv 2401.04088 (mixtures of
// experts); DeepSeek-V2, arXiv 2405.04434 (latent attention, absorbed projections); Raffel et al., arXiv
// 1910.10683 (T5); Dai et al., arXiv 1901.02860 (projected distances); Devlin et al., arXiv 1810.04805
// (BERT); Dosovitskiy et al., arXiv 2010.11929 (ViT). Keys and defaults of config.json: the configuration classes of Hugging Face
// transformers.
//
// # Not modelled
//
// Several modalities, linear attention, state-space layers, dense layers between sparse ones: these are
// refused. A context beyond the table of learned positions is timed as if the table went on, since
// published measurements do that. Modules that predict further tokens are noted. The table of T5's biases
// is read for each score; working it out costs nothing.
// The ALiBi bias, logit soft caps, the scaling of embeddings and sampling cost nothing. The slot
// for a norm's bias is counted in a LayerNorm without one. Quantisers often leave the token table
// and the head in 16 bits; here both follow WeightDType.
package llm
