package studies

import (
	"math"
	"strings"
	"testing"
)

// TestQuantization: the targets of the study, and what fewer bits save at the level reached.
func TestQuantization(t *testing.T) {
	r := judged(t, "quantization", 6)
	ours := map[string]float64{}
	for i := range r.Rows {
		row := &r.Rows[i]
		ours[row.Part+"/"+row.Name] = row.Ours
		if row.Unit == "x" && math.Abs(row.Error()) > 0.08 {
			t.Errorf("%s: %g, published %g", row.Name, row.Ours, row.Published)
		}
	}
	// 32.53 G parameters, 65.06 GB in 16 bits; of 32.10 G in products 8.002, 4.25 and 3.25 bits a weight.
	memory := "Memory, LLaMA 33B on one A100/weights "
	for d, want := range map[string]float64{"bf16": 65.06, "int8": 32.8, "int4": 17.6, "int3-g128": 13.6} {
		if got := ours[memory+d]; got < want || got > want+1.2 { // the cache of 512 tokens takes 0.82 GB
			t.Errorf("%s: %g GB, weights take %g", d, got, want)
		}
	}
	for _, part := range []string{"Memory, LLaMA 33B on one A100", "Time of a token, LLaMA 33B on one A100", "Energy of a token, LLaMA 33B on one A100"} {
		if wide, narrow := ours[part+"/weights bf16"], ours[part+"/weights int4"]; narrow >= wide || narrow <= 0 {
			t.Errorf("%s: %g with 4 bits, %g with 16", part, narrow, wide)
		}
	}
	// 65.29 G parameters of 2 + 2 + 8 B; adapters of 799.5 M parameters, by hand: 80 layers · 64 · (4·16384 + 3·30208).
	tune := "Memory of fine-tuning/"
	for name, want := range map[string]float64{
		"LLaMA 65B, all weights: weights": 2 * 65.285660672, "LLaMA 65B, all weights: gradients": 2 * 65.285660672,
		"LLaMA 65B, all weights: optimizer state": 8 * 65.285660672,
		"LLaMA 65B, QLoRA: adapters":              2 * 0.79953920, "LLaMA 65B, QLoRA: gradients": 2 * 0.79953920, "LLaMA 65B, QLoRA: optimizer state": 8 * 0.79953920,
	} {
		if got := ours[tune+name]; math.Abs(got-want) > 1e-9*want {
			t.Errorf("%s: %.9g GB, want %.9g", name, got, want)
		}
	}
	sum := 0.0
	for name, v := range ours {
		if strings.HasPrefix(name, tune+"LLaMA 65B, QLoRA: ") {
			sum += v
		}
	}
	if got := ours[tune+"LLaMA 65B, QLoRA"]; math.Abs(sum-got) > 1e-9*got {
		t.Errorf("classes sum to %g, the whole is %g", sum, got)
	}
}
