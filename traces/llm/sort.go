package llm

// Sort names the kind of the model in one word: decoder, moe (a decoder with mixtures of experts),
// encoder, encoder-decoder or vision.
func (m Model) Sort() string {
	switch {
	case m.MoE != nil:
		return "moe"
	case m.Kind == Decoder:
		return "decoder"
	}
	return string(m.Kind)
}

// AttentionSort names how heads share keys and values: mha (each has its own), gqa (groups do), mqa (all do)
// or mla (all are projections of one latent vector).
func (m Model) AttentionSort() string {
	switch {
	case m.MLA != nil:
		return "mla"
	case m.KVHeads == m.Heads:
		return "mha"
	case m.KVHeads == 1:
		return "mqa"
	}
	return "gqa"
}
