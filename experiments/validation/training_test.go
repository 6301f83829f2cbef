package validation

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stratasim/strata/traces/llm"
)

// requested is the request of a case with its figures, as text.
func requested(t *testing.T, c *Case) string {
	t.Helper()
	text, err := json.Marshal(c.Request)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(c.Arch + " " + string(text))
	for _, f := range c.Figures {
		b.WriteString(" " + f.Class + " " + tick(f.Measured) + " " + f.Unit)
	}
	return b.String()
}

// TestTrainingRows: rows become requests, and those that contradict themselves are left out. The figures are made up to fit.
func TestTrainingRows(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "training"), 0o777); err != nil {
		t.Fatal(err)
	}
	const (
		foundry = "section,Model,SeqLen_(T),#_GPUs,GPU,MFU,HFU,Model_TFLOP,MicroBatchSize,GradAccum,GlobalBatchSize,Throughput_(S/s),Throughput_(T/s),Throughput_(T/s/GPU),GlobalBatchSize_(T),Precision,MP_Mode,Sharding_Strategy,Activation_Checkpointing,NumParams\n"
		bloom   = "srcline,section,gpus,size,hidden,layers,heads,seq,vocab,dp,tp,pp,mbs,gbs,mem_GB,sec_per_iter,tflops_per_gpu\n"
		papers  = "system,chips,model,params_B,layers,hidden,heads,seq,vocab,batch,TP,PP,DP,interleave,recompute,metric,unit,value,source,verified\n"
	)
	files := map[string]string{
		// 6·1e9 + 12·24·2048·2048 operations a token at 1.6 million tokens a second on 8 chips: 1441.6 TFLOP/s each.
		"llmfoundry_measured": foundry +
			"a,1b,2048,8,a100_80gb,0,0,1441.6,4,2,64,0,1600000,0,131072,amp_bf16,DEFAULT,FULL_SHARD,True,1000000000\n" +
			"a,1b,2048,8,h100_80gb,0,0,1441.6,4,2,64,0,1600000,0,131072,amp_fp8,PURE,SHARD_GRAD_OP,False,1000000000\n" +
			"a,1b,2048,8,h100_80gb,0,0,1441.6,4,2,60,0,1600000,0,131072,amp_fp8,PURE,SHARD_GRAD_OP,False,1000000000\n" +
			"a,1b,2048,8,a100_80gb,0,0,1500,4,2,64,0,1600000,0,131072,amp_bf16,DEFAULT,FULL_SHARD,True,1000000000\n",
		// 96·256·2048·20·14336² operations on 96 chips in 100 s are 21.55 TFLOP/s, 23.24 with attention and the head.
		"bloom_a100_sweep": bloom +
			"1,early,96,0,14336,,,2048,250880,4,8,3,2,256,50,100,21.55\n" +
			"2,late,96,0,14336,20,112,2048,250880,4,8,3,2,256,,100,23.24\n" +
			"3,Rebalancing layers,96,0,14336,19,112,2048,250880,4,8,3,2,256,50,100,22.14\n" +
			"4,late,96,0,14336,21,112,2048,250880,4,8,3,2,256,50,100,23.24\n" +
			"5,late,96,0,14336,20,112,2048,250880,4,8,3,2,250,50,100,22.70\n" +
			"6,late,95,0,14336,20,112,2048,250880,4,8,3,2,256,50,100,23.49\n" +
			"7,late,96,0,14336,20,112,2048,250880,4,8,3,2,,50,100,22.31\n",
		"training_published": papers +
			"x,2240,MT-NLG 530B,530,105,20480,128,2048,50272,1920,8,35,8,1F1B,full,iteration_time,s,60.1,y,verified\n" +
			"x,992,OPT-175B,175,96,12288,96,2048,50272,1024,8,1,124,1,full,throughput_max,TFLOP/s/GPU,147,y,verified\n" +
			"x,6144,PaLM 540B,540,118,18432,48,2048,256000,2048,12,1,512,1,full,step_time_derived,s,17.6,y,derived\n" +
			"x,2048,LLaMA 65B,65.2,80,8192,64,2048,32000,2048,,,,1,selective,throughput,tokens/s/GPU,380,y,verified\n" +
			"x,256,GPT 175B,175,96,12288,128,2048,64000,768,8,8,4,interleaved 6,,iteration_time_MegatronLM,s,40,y,unverified\n" +
			"x,256,GPT 175B,175,96,12288,128,2048,64000,768,8,8,4,interleaved 6,,iteration_time_MegaScale,s,32,y,unverified\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "training", name+".csv"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	l := newLoaded()
	if err := loadTraining(dir, l); err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range l.cases {
		got = append(got, requested(t, &l.cases[i]))
	}
	want := []string{
		`mosaic-a100-80gb {"dtype":"bf16","framework":"fsdp","global_batch":64,"micro_batch":4,"model":{"model_type":"gpt2","n_embd":2048,"n_head":16,"n_layer":24,"n_positions":2048,"torch_dtype":"bfloat16","vocab_size":50368},"parallel":{"dp":8,"pp":1,"tp":1},"phase":"train","recompute":"full","seq_len":2048,"zero":3} llm-foundry 0.08192 s`,
		`mosaic-h100 {"dtype":"fp8","framework":"fsdp","global_batch":64,"keep_gathered":true,"master_dtype":"bf16","micro_batch":4,"model":{"model_type":"gpt2","n_embd":2048,"n_head":16,"n_layer":24,"n_positions":2048,"torch_dtype":"bfloat16","vocab_size":50368},"parallel":{"dp":8,"pp":1,"tp":1},"phase":"train","recompute":"none","seq_len":2048,"zero":3} llm-foundry 0.08192 s`,
		`jean-zay {"dtype":"bf16","framework":"bigscience","global_batch":256,"micro_batch":2,"model":{"model_type":"bloom","n_embed":14336,"n_head":64,"n_layer":20,"seq_length":2048,"torch_dtype":"bfloat16","vocab_size":250880},"parallel":{"dp":4,"pp":3,"tp":8},"phase":"train","recompute":"full","seq_len":2048,"stages":[7,7,6],"zero":1} bloom-sweep-heads-assumed 100 s bloom-memory 50 GiB`,
		`jean-zay {"dtype":"bf16","framework":"bigscience","global_batch":256,"micro_batch":2,"model":{"model_type":"bloom","n_embed":14336,"n_head":112,"n_layer":20,"seq_length":2048,"torch_dtype":"bfloat16","vocab_size":250880},"parallel":{"dp":4,"pp":3,"tp":8},"phase":"train","recompute":"full","seq_len":2048,"stages":[7,7,6],"zero":1} bloom-sweep 100 s`,
		`jean-zay {"dtype":"bf16","framework":"bigscience","global_batch":256,"micro_batch":2,"model":{"model_type":"bloom","n_embed":14336,"n_head":112,"n_layer":19,"seq_length":2048,"torch_dtype":"bfloat16","vocab_size":250880},"parallel":{"dp":4,"pp":3,"tp":8},"phase":"train","recompute":"full","seq_len":2048,"stages":[6,7,6],"zero":1} bloom-sweep 100 s bloom-memory-late 50 GiB`,
		`selene {"dtype":"bf16","framework":"megatron-deepspeed","global_batch":1920,"micro_batch":1,"model":"mtnlg-530b","parallel":{"dp":8,"pp":35,"tp":8},"phase":"train","recompute":"full","seq_len":2048,"stages":[3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3],"zero":1} mt-nlg-530b 60.1 s`,
		`azure-a100 {"dtype":"fp16","framework":"metaseq","global_batch":992,"micro_batch":8,"model":"opt-175b","parallel":{"dp":124,"pp":1,"tp":8},"phase":"train","recompute":"full","seq_len":2048,"zero":3} opt-175b 19.98 s`,
		`tpu-v4-pods {"dtype":"bf16","framework":"xla-2022","global_batch":2048,"micro_batch":4,"model":"palm-540b","parallel":{"dp":512,"pp":1,"sp":true,"tp":12},"phase":"train","recompute":0.75,"seq_len":2048,"shard":256,"zero":3} palm-540b 17.6 s palm-540b-mfu 46.2 % palm-540b-hfu 57.8 %`,
		`meta-rsc {"dtype":"bf16","framework":"fsdp","global_batch":2048,"micro_batch":1,"model":"llama1-65b","parallel":{"dp":2048,"pp":1,"tp":1},"phase":"train","recompute":"none","seq_len":2048,"zero":3} llama 5.389 s`,
		`megascale {"dtype":"bf16","framework":"megatron-2022","global_batch":768,"micro_batch":1,"model":{"model_type":"gpt2","n_embd":12288,"n_head":128,"n_layer":96,"n_positions":2048,"torch_dtype":"bfloat16","vocab_size":64000},"parallel":{"dp":4,"interleave":6,"pp":8,"sp":true,"tp":8},"phase":"train","recompute":"none","seq_len":2048,"zero":1} megatron-175b 40 s`,
	}
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("case %d is\n %s\nwant\n %s", i, g, w)
		}
	}
	for reason, n := range map[string]int{"micro-batches contradict the batch": 2, "tokens a second contradict TFLOP/s": 1, "seconds contradict TFLOP/s": 1,
		"degrees contradict the number of chips": 1, "seconds or batch not recorded": 1, "a system that hides communication in ways that are not public": 1} {
		if l.left[reason] != n {
			t.Errorf("left out because %s: %d, want %d", reason, l.left[reason], n)
		}
	}
}

// TestTrainingShapes: llm-foundry's shapes have the parameters that its rows state, to the digit; as many rows of each kind are
// compared as were counted; and the layers that TFLOP/s give are those of the source's chronicle.
func TestTrainingShapes(t *testing.T) {
	dir, err := folder()
	skipWithout(t, err)
	l := newLoaded()
	skipWithout(t, loadTraining(dir, l))
	rows := map[string]int{}
	lines := map[string][]record{}
	for i := range l.cases {
		c := &l.cases[i]
		for _, f := range c.Figures {
			rows[f.Class]++
		}
		shape, inline := c.Request["model"].(Fields)
		if !inline {
			continue
		}
		text, err := json.Marshal(shape)
		if err != nil {
			t.Fatal(err)
		}
		m, err := llm.FromHF("", text)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if lines[c.File] == nil {
			if lines[c.File], err = records(dir, c.File); err != nil {
				t.Fatal(err)
			}
		}
		if c.Source == "llm-foundry" {
			r := reading{record: &lines[c.File][c.Line-2]}
			if n := r.integer("NumParams"); r.err != nil || m.Parameters() != n {
				t.Errorf("%s: %d parameters, the row says %d (%v)", c.Name, m.Parameters(), n, r.err)
			}
		}
		if c.Source == "bigscience" && !slices.Contains([]int64{10, 70, 72, 77, 78, 80, 81, 82, 84, 94, 96, 100, 106}, m.Layers) {
			t.Errorf("%s: %d layers", c.Name, m.Layers)
		}
	}
	for class, n := range map[string]int{"llm-foundry": 124, "bloom-sweep": 42, "bloom-sweep-heads-assumed": 29, "mt-nlg-530b": 3, "bloom-176b": 1, "opt-175b": 1, "llama": 4, "palm-540b": 1, "palm-540b-pods": 1, "megatron-175b": 8} {
		if rows[class] != n {
			t.Errorf("%s: %d rows, want %d", class, rows[class], n)
		}
	}
}

// TestTrainingFits: what ran on a machine fits it.
func TestTrainingFits(t *testing.T) {
	r := resultOf(t, "training", "event")
	for _, l := range r.Left {
		if strings.HasPrefix(l.Reason, "infeasible") {
			t.Errorf("%d measured rows are said not to fit: %s", l.Rows, l.Reason)
		}
	}
}

// TestReported: every published run has a mapping that its chips and batch divide into, and every count of operations that its
// figure needs.
func TestReported(t *testing.T) {
	l := newLoaded()
	if err := loadReported("", l); err != nil {
		t.Fatal(err)
	}
	if len(l.cases) < 30 {
		t.Errorf("%d runs", len(l.cases))
	}
	for i, r := range reportedSteps() {
		c := &l.cases[i]
		if f := c.Figures[0]; !(f.Measured > 0.1 && f.Measured < 200) || f.High != 0 && f.High < f.Measured {
			t.Errorf("%s: %g s", c.Name, f.Measured)
		}
		if r.dp < 1 || r.global%(r.dp*r.micro) != 0 {
			t.Errorf("%s: the batch does not divide", c.Name)
		}
		if name, preset := r.model.(string); preset {
			m, err := llm.Preset(name)
			if err != nil {
				t.Error(err)
				continue
			}
			if size, counted := megatronSizes[r.name]; counted && (m.Layers != size[0] || m.Hidden != size[1] || m.Vocab != size[2]) {
				t.Errorf("%s: %d layers, %d wide, vocabulary %d", name, m.Layers, m.Hidden, m.Vocab)
			}
			if r.interleave > 1 && m.Layers%(r.pp*r.interleave) != 0 {
				t.Errorf("%s: %d layers in %d chunks of %d stages", c.Name, m.Layers, r.interleave, r.pp)
			}
		}
	}
	// Narayanan et al. say that 1 trillion parameters on 450 billion tokens take 84 days at this rate, by 8·T·P/(n·X); their equation
	// with attention and the head counts 2.4 % more.
	f := l.cases[9].Figures[0]
	days := f.Measured * 450e9 / (3072 * 2048) / 86400
	if days < 84 || days > 86.5 {
		t.Errorf("1 trillion parameters take %.1f days", days)
	}
}
