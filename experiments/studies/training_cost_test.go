package studies

import (
	"math"
	"strings"
	"testing"
)

// TestTrainingCost: the targets of the study, and figures that follow from one another.
func TestTrainingCost(t *testing.T) {
	r := judged(t, "training-cost", 6)
	ours := map[string]float64{}
	for i := range r.Rows {
		ours[r.Rows[i].Part+"/"+r.Rows[i].Name] = r.Rows[i].Ours
	}
	near := func(name string, got, want float64) {
		if math.Abs(got/want-1) > 1e-9 {
			t.Errorf("%s: %g, want %g", name, got, want)
		}
	}
	const (
		gpt3       = "GPT-3 175B, 300 billion tokens on V100/"
		llama      = "LLaMA 65B, 1.4 trillion tokens on 2048 A100/"
		chinchilla = "Chinchilla against Gopher, on 3072 TPU v4/"
	)
	near("operations of GPT-3", ours[gpt3+"operations, six a parameter and token"]*petaflopDay, 6*174604259328*300e9)
	near("money of GPT-3", ours[gpt3+"money at 1.50 USD an hour"]*1e6, ours[gpt3+"one V100"]*8760*1.5)
	near("rate of a V100", ours[gpt3+"rate of a V100"]*1e12*ours[gpt3+"one V100"]*8760*3600, 6*174604259328*300e9)
	near("days of LLaMA", ours[llama+"days"]*24*2048, ours[llama+"GPU-hours"]*1e3)
	near("energy of LLaMA", ours[llama+"energy, PUE 1.1"]*1e6, ours[llama+"GPU-hours"]*1e3*ours[llama+"power of an A100"]*1.1)
	near("money of LLaMA", ours[llama+"money at the machine's price"]*1e6, ours[llama+"GPU-hours"]*1e3*4.1)
	// 6·279.7·0.3 and 6·70.06·1.4.
	near("Gopher", ours[chinchilla+"Gopher 280B, 300 billion tokens: operations"], 6*279.699800064*0.3)
	near("Chinchilla", ours[chinchilla+"Chinchilla 70B, 1.4 trillion tokens: operations"], 6*70.056681472*1.4)
	for name, watts := range ours {
		if limit := map[bool]float64{true: 400, false: 300}[strings.Contains(name, "A100")]; strings.Contains(name, "/power of") && (watts < 0.3*limit || watts > limit) {
			t.Errorf("%s: %g W", name, watts)
		}
	}
}
