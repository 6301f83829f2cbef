package llm

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stratasim/strata/traces"
)

// published holds for each preset its exact parameter count and the bytes that a token adds to an FP16
// cache. Counts without a remark are of the released checkpoint or the paper to the last digit; the
// others are what the architecture gives, with the rounded figure that was published, in billions.
var published = []struct {
	name       string
	parameters int64
	kvBytes    int64
	rounded    float64 // published figure in billions, if only that is known
	within     float64 // of it, in percent
}{
	{"gpt2-small", 124439808, 36864, 0, 0}, // Hugging Face openai-community/gpt2
	{"gpt2-medium", 354823168, 98304, 0, 0},
	{"gpt2-large", 774030080, 184320, 0, 0},
	{"gpt2-xl", 1557611200, 307200, 0, 0},
	{"gpt3-1.3b", 1315723264, 196608, 1.3, 1.3}, // name of the benchmark
	{"gpt3-2.7b", 2651553280, 327680, 2.65, 0.1},
	{"gpt3-6.7b", 6658404352, 524288, 6.66, 0.1},      // arXiv 2005.14165, table D.1
	{"gpt3-13b", 12853386240, 819200, 12.85, 0.1},     // the same
	{"gpt3-175b", 174604259328, 4718592, 174.6, 0.01}, // arXiv 2005.14165, table D.1
	{"opt-13b", 12853463040, 819200, 13, 1.3},         // arXiv 2205.01068, table 1, by name
	{"opt-30b", 29974525952, 1376256, 30, 0.2},
	{"opt-66b", 65719683072, 2359296, 66, 0.5},
	{"opt-175b", 174604443648, 4718592, 174.6, 0.01},
	{"bloom-176b", 176247271424, 4014080, 0, 0}, // arXiv 2211.05100: 176,247M
	{"gptj-6b", 6050882784, 458752, 6.053381344, 0.05},
	{"gpt-neox-20b", 20554567680, 1081344, 0, 0}, // Hugging Face EleutherAI
	{"mpt-7b", 6649286656, 524288, 0, 0},         // Hugging Face mosaicml
	{"mpt-30b", 29957200896, 1376256, 30, 0.2},
	{"nemotron4-15b", 15628775424, 131072, 15.6, 0.5},  // arXiv 2402.16819, table 1: 3.2 billion of embeddings and 12.5
	{"nemotron4-340b", 341029195776, 589824, 341, 0.1}, // arXiv 2406.11704, table 1: 9.4 billion of embeddings and 331.6
	{"megatron-1.7b", 1652230656, 221184, 1.7, 2.9},    // arXiv 2104.04473, table 1,
	{"megatron-3.6b", 3562168320, 368640, 3.6, 1.1},
	{"megatron-7.5b", 7467786240, 589824, 7.5, 0.5},
	{"megatron-18b", 18449756160, 983040, 18.4, 0.3},
	{"megatron-39b", 39096041472, 1572864, 39.1, 0.1},
	{"megatron-76b", 76050739200, 2457600, 76.1, 0.1},
	{"megatron-145b", 145622261760, 3932160, 145.6, 0.1},
	{"megatron-310b", 310130540544, 6291456, 310.1, 0.1},
	{"mtnlg-530b", 529600819200, 8601600, 529.6, 0.01},    // arXiv 2104.04473, table 1
	{"megatron-1t", 1008038758400, 13107200, 1008, 0.01},  // arXiv 2104.04473, table 1
	{"megatron-22b", 22074273792, 1179648, 22, 0.4},       // arXiv 2205.05198, table 3
	{"palm-8b", 8632012800, 32768, 8.63, 0.03},            // arXiv 2204.02311, table 1
	{"palm-62b", 62495662080, 65536, 62.5, 0.01},          // the same
	{"palm-540b", 540356474880, 120832, 540.35, 0.01},     // the same
	{"llama1-7b", 6738415616, 524288, 6.7, 0.6},           // arXiv 2302.13971, table 2
	{"llama1-13b", 13015864320, 819200, 13.0, 0.2},        // the same
	{"llama1-33b", 32528943616, 1597440, 32.5, 0.1},       // the same
	{"llama1-65b", 65285660672, 2621440, 65.2, 0.2},       // the same
	{"bloomberggpt-50b", 50558868480, 2150400, 50.6, 0.1}, // arXiv 2303.17564, table 4
	{"llama2-7b", 6738415616, 524288, 0, 0},               // Hugging Face meta-llama
	{"llama2-13b", 13015864320, 819200, 0, 0},
	{"llama2-70b", 68976648192, 327680, 0, 0},
	{"llama3-8b", 8030261248, 131072, 0, 0},
	{"llama3-70b", 70553706496, 327680, 0, 0},
	{"llama3-405b", 405853388800, 516096, 0, 0},
	{"mistral-7b", 7241732096, 131072, 0, 0},
	{"falcon-7b", 7217189760, 8192, 0, 0}, // Hugging Face tiiuae
	{"falcon-40b", 41303293952, 122880, 0, 0},
	{"mixtral-8x7b", 46702792704, 131072, 0, 0},
	{"qwen3-8b", 8190735360, 147456, 0, 0},
	{"qwen3-32b", 32762123264, 262144, 0, 0},
	{"qwen3-30b-a3b", 30532122624, 98304, 0, 0},
	{"qwen3-235b-a22b", 235093634560, 192512, 0, 0},
	{"gpt-oss-20b", 20914757184, 49152, 20.91, 0.03},    // OpenAI, gpt-oss model card, table 1
	{"gpt-oss-120b", 116829156672, 73728, 116.83, 0.01}, // the same
	{"minimax-m2", 228689764864, 253952, 230, 0.6},
	{"deepseek-v2-lite", 15706484224, 31104, 15.7, 0.05},
	{"deepseek-v3", 671026419200, 70272, 671, 0.01}, // arXiv 2412.19437
	{"deepseek-r1", 671026419200, 70272, 671, 0.01},
	{"kimi-k2", 1026408232448, 70272, 1040, 1.4}, // arXiv 2507.20534: 1.04 trillion
	{"gopher-280b", 279699800064, 5242880, 280, 0.11},
	{"chinchilla-70b", 70056681472, 2621440, 70, 0.09},
	{"bert-base", 109482240, 0, 0, 0}, // Hugging Face bert-base-uncased
	{"bert-large", 335141888, 0, 0, 0},
	{"t5-large", 737668096, 98304, 0, 0}, // Hugging Face t5-large; the cache of the decoder's own tokens
	{"t5-11b", 11307321344, 1572864, 0, 0},
	{"vit-b16-224", 86567656, 0, 0, 0}, // timm vit_base_patch16_224
	{"falcon-180b", 179522565120, 163840, 179.5, 0.02},
}

func TestPresetsGivePublishedCounts(t *testing.T) {
	var names []string
	for _, p := range published {
		names = append(names, p.name)
		m, err := Preset(p.name)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := m.Parameters(); got != p.parameters {
			t.Errorf("%s has %d parameters, want %d", p.name, got, p.parameters)
		}
		if p.rounded > 0 {
			if off := 100 * (float64(m.Parameters())/1e9/p.rounded - 1); off > p.within || off < -p.within {
				t.Errorf("%s is %.3f %% off the published %v billion", p.name, off, p.rounded)
			}
		}
		if got := int64(m.KVBytesPerToken(traces.FP16)); got != p.kvBytes {
			t.Errorf("%s caches %d bytes a token, want %d", p.name, got, p.kvBytes)
		}
	}
	slices.Sort(names)
	if got := Presets(); !slices.Equal(got, names) {
		t.Errorf("presets are %v\nthe table above has %v", got, names)
	}
}

// TestActiveParameters compares the parameters that a token passes with published figures, in billions.
func TestActiveParameters(t *testing.T) {
	for name, want := range map[string]struct{ billions, within float64 }{
		"mixtral-8x7b":    {12.9, 0.2}, // arXiv 2401.04088
		"qwen3-30b-a3b":   {3.3, 2},    // arXiv 2505.09388
		"qwen3-235b-a22b": {22, 1},
		"deepseek-v3":     {37, 1.6}, // arXiv 2412.19437, which leaves out the token table
		"kimi-k2":         {32.6, 0.9},
		"gpt-oss-120b":    {5.13, 12}, // the model card leaves out the token table, 0.58
		"gpt-oss-20b":     {3.61, 17},
		"llama2-7b":       {6.738415616, 0},
	} {
		m, err := Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		if off := 100 * (float64(m.ActiveParameters())/1e9/want.billions - 1); off > want.within || off < -want.within {
			t.Errorf("%s: a token passes %d parameters, %.2f %% off %g billion", name, m.ActiveParameters(), off, want.billions)
		}
	}
}

func TestPresetsAreCompleteAndSurviveJSON(t *testing.T) {
	for _, name := range Presets() {
		m, err := Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(m.Source) < 20 {
			t.Errorf("%s: source %q: say where the figures are from, with table or file", name, m.Source)
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var back Model
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(m, back) {
			t.Errorf("%s: %+v came back from JSON as %+v, %v", name, m, back, err)
		}
	}
}

func TestUnknownPresetSuggests(t *testing.T) {
	_, err := Preset("lama2-7b")
	var unknown *Unknown
	if !errors.As(err, &unknown) || unknown.Nearest != "llama2-7b" {
		t.Errorf("got %v", err)
	}
	if _, err := Preset("qzxwv"); err == nil || strings.Contains(err.Error(), "mean") {
		t.Errorf("got %v", err)
	}
	if _, err := Preset(strings.Repeat("x", 1<<16)); err == nil || len(err.Error()) > 200 {
		t.Errorf("a long name gives a long message")
	}
}

func TestDefaultDType(t *testing.T) {
	for name, want := range map[string]traces.DType{"gpt2-xl": traces.FP16, "gpt3-175b": traces.FP16, "opt-175b": traces.FP16, "llama2-7b": traces.BF16, "palm-540b": traces.BF16} {
		if m, _ := Preset(name); m.DefaultDType() != want {
			t.Errorf("%s runs in %v, want %v", name, m.DefaultDType(), want)
		}
	}
	for text, want := range map[string]traces.DType{"": traces.BF16, "float32": traces.BF16, "torch.float16": traces.FP16, "nonsense": traces.BF16} {
		if got := (Model{DType: text}).DefaultDType(); got != want {
			t.Errorf("weights in %q run in %v, want %v", text, got, want)
		}
	}
}
