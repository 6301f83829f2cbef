package oracle

import (
	"testing"

	"github.com/stratasim/strata/arch/presets"
)

// What hints of measured rows mean: a profile's name, one for kernels of a library by how the kernel's name begins, else the
// framework's first word; and PyTorch's name of its fused attention.
func TestHints(t *testing.T) {
	for _, c := range []struct{ machine, framework, kernel, profile, algorithm string }{
		{"rtx-pro-6000", "vLLM 0.19.0", "vLLM", "vllm", ""},
		{"rtx-pro-6000", "vllm 0.19.0", "vllm_flash_attn", "vllm_flash", ""},
		{"rtx-pro-6000", "vllm 0.19.0", "vllm_flashinfer/fp8kv", "vllm_flash", ""},
		{"l40s", "vllm 0.14.0", "vllm_flash_attn", "vllm_flash", ""},
		{"rtx-4090", "vLLM 0.19.0", "vLLM", "vllm", ""},
		{"a100-sxm-80gb", "vllm 0.14.0", "vllm_flash_attn", "vllm", ""},
		{"a30", "sarathi-serve", "FLASHINFER", "sarathi", ""},
		{"h100-sxm", "HF eager + torch.profiler", "FLASH_ATTENTION", "eager", "flash2"},
		{"h100-sxm", "eager", "", "eager", ""},
		{"rtx-a6000", "HF eager + torch.profiler", "FLASH_ATTENTION", "eager", ""}, // which fuses it anyway
		{"b200-sxm", "vllm 0.19.0", "vllm_flashinfer", "vllm", ""},
		{"tpu-v6e", "JAX/vLLM-TPU", "XLA", "vllm", ""},
		{"h100-sxm", "torch 2.8.0", "torch SDPA", "eager", "flash2"},
		{"h100-sxm", "nobody knows", "", "", ""},
	} {
		m, err := presets.Machine(c.machine)
		if err != nil {
			t.Fatal(err)
		}
		name := profile(m, c.framework, c.kernel)
		if alg := algorithm(m, name, c.kernel); name != c.profile || alg != c.algorithm {
			t.Errorf("%s, %q, %q: profile %q and algorithm %q, want %q and %q", c.machine, c.framework, c.kernel, name, alg, c.profile, c.algorithm)
		}
	}
}
