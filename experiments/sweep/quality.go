package sweep

import (
	"strings"

	"github.com/stratasim/strata/sim/portable"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// modelFigures are what is known of a point's model before it is run.
var modelFigures = []string{"parameters", "active_parameters", "parameter_bytes", "loss_proxy", "loss_extrapolated"}

// stored is the column of table points that has a figure: its parameters are those of the sweep.
func stored(figure string) string {
	if figure == "parameters" {
		return "model_parameters"
	}
	return figure
}

// Law is a published law of the loss that a decoder of so many parameters comes to after so many tokens, in nats a token of its own
// tokenizer and data.
type Law struct {
	Name   string
	Source string
	// Parameters says which parameters it counts.
	Parameters string
	// From and To are the fewest and the most parameters of the models that it was fitted on, FromTokens and ToTokens the tokens.
	From, To, FromTokens, ToTokens float64
	loss                           func(n, d float64) float64
	count                          func(*llm.Model) int64
}

// power is x to the power of a, the same on every machine.
func power(x, a float64) float64 { return portable.Exp(a * portable.Ln(x)) }

// chinchilla is E + A/N^alpha + B/D^beta.
func chinchilla(e, a, alpha, b, beta float64) func(n, d float64) float64 {
	return func(n, d float64) float64 {
		return e + float64(a/power(n, alpha)) + float64(b/power(d, beta))
	}
}

func allParameters(m *llm.Model) int64 { return m.Parameters() }
func nonEmbedding(m *llm.Model) int64  { return m.NonEmbeddingParameters() }
func kaplan(n, d float64) float64 {
	// Kaplan et al. 2020, equation 1.5 with the constants of table 2, of the fit over both.
	const (
		alphaN, alphaD = 0.076, 0.103
		nc, dc         = 6.4e13, 1.8e13 // parameters, tokens
	)
	return power(power(nc/n, alphaN/alphaD)+dc/d, alphaD)
}

// laws are those that a file may name. What they were fitted on: Hoffmann et al., section 3 and table A9, models of 44 million to 16.2
// billion parameters and 5 to 500 billion tokens; Besiroglu et al. refit the same runs as far as a figure of the paper shows them.
// Kaplan et al., section 3, models of 768 to 1.5 billion parameters without embeddings on 22 million to 23 billion tokens.
var laws = []Law{
	{"hoffmann2022", "Hoffmann et al. 2022, Training Compute-Optimal Large Language Models, arXiv 2203.15556, approach 3, equation 10", "all", 44e6, 16.2e9, 5e9, 500e9,
		chinchilla(1.69, 406.4, 0.34, 410.7, 0.28), allParameters},
	{"besiroglu2024", "Besiroglu et al. 2024, Chinchilla Scaling: A replication attempt, arXiv 2404.10102, table 1", "all", 44e6, 16.2e9, 5e9, 500e9,
		chinchilla(1.8172, 482.01, 0.3478, 2085.43, 0.3658), allParameters},
	{"kaplan2020", "Kaplan et al. 2020, Scaling Laws for Neural Language Models, arXiv 2001.08361, equation 1.5 and table 2", "without embeddings", 768, 1.5e9, 22e6, 23e9,
		kaplan, nonEmbedding},
}

// Laws lists the laws of the loss that a file may name.
func Laws() []Law { return laws }

// Loss is what the law says of a model after so many tokens, and whether that is beyond what the law was fitted on. It is not ok for a
// model that the law is not about: one that is no decoder, or a mixture of experts, whose parameters do not all see each token.
func (l *Law) Loss(m *llm.Model, tokens float64) (loss float64, extrapolated, ok bool) {
	n := float64(l.count(m))
	if m.Kind != llm.Decoder || m.MoE != nil || n < 1 || !(tokens >= 1) {
		return 0, false, false
	}
	return l.loss(n, tokens), n < l.From || n > l.To || tokens < l.FromTokens || tokens > l.ToTokens, true
}

// quality is the law of a file.
type quality struct {
	law *Law
	of  *Quality
}

// law finds the law that the file names.
func (b *builder) law() {
	if b.File.Quality == nil {
		return
	}
	for i := range laws {
		if laws[i].Name == b.File.Quality.Law {
			b.quality = &quality{&laws[i], b.File.Quality}
		}
	}
	b.results["loss_proxy"], b.results["loss_extrapolated"] = 0.0, 0.0
}

// lawHint says how to have a loss where a text names it without.
func lawHint(text string, q *Quality) string {
	if q == nil && strings.Contains(text, "loss_") {
		return "add quality: {law: besiroglu2024, tokens_per_parameter: 20}"
	}
	return ""
}

// ofModel works out the figures of a point's model; those without a value are not there. Weights are in the format given.
func (s *Space) ofModel(m *llm.Model, dtype, weights traces.DType) map[string]float64 {
	n := m.Parameters()
	figures := map[string]float64{"parameters": float64(n), "active_parameters": float64(m.ActiveParameters())}
	full := n - m.NonEmbeddingParameters() // tables of tokens and positions, and a head of its own
	figures["parameter_bytes"] = float64(dtype.Bytes(full)) + float64(weights.Bytes(n-full))
	if q := s.quality; q != nil {
		tokens := q.of.Tokens
		if q.of.TokensPerParameter > 0 {
			tokens = q.of.TokensPerParameter * float64(q.law.count(m))
		}
		if loss, far, ok := q.law.Loss(m, tokens); ok {
			figures["loss_proxy"], figures["loss_extrapolated"] = loss, 0
			if far {
				figures["loss_extrapolated"] = 1
			}
		}
	}
	return figures
}
