package experiments

import (
	"slices"
	"testing"

	"github.com/stratasim/strata/traces/llm"
)

// Leaves of options and models are found by their names, read and written, and what is shared stays as it is.
func TestFields(t *testing.T) {
	for _, name := range []string{"batch", "tp", "moe_tp", "attn-dp", "dtype", "zero", "micro_batch", "lora.rank", "lora.targets", "prefetch", "power_limit", "stages", "host_sync", "phase"} {
		if OptionField(name) == nil {
			t.Errorf("no option %s in %q", name, OptionFields())
		}
	}
	for _, name := range []string{"hidden", "num_key_value_heads", "moe.experts", "gated", "sliding_window"} {
		if ModelField(name) == nil {
			t.Errorf("no leaf %s of models in %q", name, ModelFields())
		}
	}
	for _, name := range []string{"set", "mapping", "cost", "training", "nonsense"} {
		if OptionField(name) != nil {
			t.Errorf("%s is an option", name)
		}
	}
	o := Options{LoRA: &llm.LoRA{Rank: 4}}
	shared := o.LoRA
	for _, f := range []struct{ name, text string }{{"lora.rank", "16"}, {"lora.targets", "q, v"}, {"batch", " 8"}, {"prefetch", "2"}, {"power_limit", "300 W"}, {"host_sync", "true"}, {"stages", "3,4"}, {"zero", "1"}, {"dtype", "bf16"}} {
		if err := OptionField(f.name).Set(&o, f.text); err != nil {
			t.Error(err)
		}
	}
	if shared.Rank != 4 || o.LoRA.Rank != 16 || !slices.Equal(o.LoRA.Targets, []string{"q", "v"}) || o.Batch != 8 || *o.Prefetch != 2 || o.PowerLimit != 300 || !o.HostSync ||
		!slices.Equal(o.Training.Stages, []int64{3, 4}) || o.Training.ZeRO != 1 || o.DType != "bf16" {
		t.Errorf("%+v, %+v, %+v", o, o.LoRA, o.Training)
	}
	if got := OptionField("zero").Get(&o); got != int64(1) {
		t.Errorf("zero is %v", got)
	}
	if got := OptionField("dp").Get(&Options{}); got != int64(0) {
		t.Errorf("dp of nothing is %v", got)
	}
	for _, f := range []struct{ name, text string }{{"batch", "x"}, {"batch", "1.5"}, {"power_limit", "NaN"}, {"host_sync", "2"}, {"stages", "1,x"}} {
		if err := OptionField(f.name).Set(&o, f.text); err == nil {
			t.Errorf("%s took %q", f.name, f.text)
		}
	}
}
