package experiments

import (
	"fmt"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// Ways to train a model.
const (
	TuneFull  = "full"  // all weights
	TuneLoRA  = "lora"  // adapters beside weights in 16 bits
	TuneQLoRA = "qlora" // adapters beside weights in nf4-dq, with a paged optimizer (Dettmers et al., 2023)
)

// TuneMethods lists them.
func TuneMethods() []string { return []string{TuneFull, TuneLoRA, TuneQLoRA} }

// AdamBytes is the state that Adam keeps of a parameter: two moments in 32 bits.
const AdamBytes = 8

// Training is a model that one chip trains, as far as its memory tells.
type Training struct {
	Phase   string   // train, of all weights, or finetune
	Method  string   // of TuneMethods
	Rank    int64    // of adapters
	Targets []string // projections with adapters; none stands for all
	Batch   int64    // sequences of a micro-batch
	SeqLen  int64    // tokens of each
	DType   string   // of activations, adapters, gradients and weights, less those of qlora; "" is the model's
	// KeepAll keeps all activations for the backward pass; else a layer's input is kept and the layer computed again.
	KeepAll bool
	Offload string // see plan.Mapping
	Runtime string // profile, "" for the machine's default
}

// Place returns what lives in which memory of one chip. Errors are those of plan.PlaceTraining and *Invalid; with a
// *plan.DoesNotFit comes the placement as far as it goes.
func (t *Training) Place(m *arch.Machine, model *llm.Model) (*plan.Placement, error) {
	var problems Problems
	add := func(field, message, hint string) {
		problems.Add(&Invalid{Field: field, Message: message, Hint: hint})
	}
	usual := model.Activations(m.Chip.Cores.Matrix.Multiplies)
	d := dtype("dtype", t.DType, usual, &problems)
	if model.Kind == llm.EncoderDecoder {
		add("model", model.Name+": a forward pass here has one token of the decoder, training has many", "a decoder or an encoder")
	}
	if d.Bits() < 16 {
		add("dtype", d.String()+": gradients and what is trained have 16 bits or more", "bf16, fp16 or fp32")
	}
	w := llm.Workload{Phase: traces.Prefill.String(), Batch: t.Batch, Prompt: t.SeqLen, DType: d, WeightDType: d, KVDType: d}
	p := plan.Training{Gradient: d, State: AdamBytes, Recompute: !t.KeepAll, Offload: t.Offload, Profile: t.Runtime}
	adapters := t.Method == TuneLoRA || t.Method == TuneQLoRA
	switch {
	case t.Phase != "train" && t.Phase != "finetune":
		add("phase", fmt.Sprintf("%.40q trains nothing", t.Phase), "train or finetune; strata plan show has the placement of other phases")
	case t.Method != TuneFull && !adapters:
		hint := "full, lora or qlora"
		if near := spec.Suggest(t.Method, TuneMethods()); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		add("method", fmt.Sprintf("%.40q is unknown", t.Method), hint)
	case t.Phase == "train" && adapters:
		add("method", "adapters are for phase finetune", "full, or --phase finetune")
	case adapters:
		l := &llm.LoRA{Rank: t.Rank, Targets: t.Targets, DType: d.String()}
		if err := l.Normalize(); err != nil {
			addWorkload(&problems, err)
		}
		w.LoRA, p.AdaptersOnly = l, true
		if t.Method == TuneQLoRA {
			w.WeightDType, p.Paged = traces.NF4DQ, true
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	g, err := model.Graph(w)
	addWorkload(&problems, err)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return plan.PlaceTraining(m, g, p)
}
