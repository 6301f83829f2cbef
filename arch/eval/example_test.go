package eval_test

import (
	"context"
	"fmt"
	"log"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// llama is a request for Llama 2 7B on one A100.
func llama(w llm.Workload) eval.Request {
	machine, err := presets.Machine("a100-sxm-80gb")
	if err != nil {
		log.Fatal(err)
	}
	model, err := llm.Preset("llama2-7b")
	if err != nil {
		log.Fatal(err)
	}
	w.DType, w.WeightDType, w.KVDType = traces.BF16, traces.BF16, traces.BF16
	graph, err := model.Graph(w)
	if err != nil {
		log.Fatal(err)
	}
	return eval.Request{Machine: machine, Graph: graph, Fidelity: eval.Analytic}
}

// A preset model on a preset machine: what the time of a decode step goes to.
func ExampleRun() {
	res, err := eval.Run(context.Background(), llama(llm.Workload{Phase: "decode", Batch: 8, Prompt: 512}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s on %s, bound by %s\n", res.Model, res.Arch, res.BoundBy)
	fmt.Printf("%d operators, the longest is %s\n", len(res.Operators), res.Operators[0].Name)
	sum := 0.0
	for _, s := range res.Stalls {
		sum += s
	}
	fmt.Printf("the stalls sum to %.3f of the time\n", sum/res.Seconds)
	// Output:
	// llama2-7b on a100-sxm-80gb, bound by hbm
	// 14 operators, the longest is gate_up
	// the stalls sum to 1.000 of the time
}

// A figure of the machine is changed as --set changes it.
func ExampleRun_changedMachine() {
	seconds := func(bandwidth string) float64 {
		r := llama(llm.Workload{Phase: "decode", Batch: 8, Prompt: 512})
		if err := r.Machine.Apply(map[string]string{"chip.memory[hbm].bandwidth": bandwidth}); err != nil {
			log.Fatal(err)
		}
		res, err := eval.Run(context.Background(), r)
		if err != nil {
			log.Fatal(err)
		}
		return res.Seconds
	}
	faster := seconds("2039 GB/s") / seconds("4078 GB/s")
	fmt.Println("twice the bandwidth is faster, but not twice as fast:", faster > 1.3 && faster < 2)
	// Output: twice the bandwidth is faster, but not twice as fast: true
}

// An operator graph of one's own: a product and its activation, sixteen times over.
func ExampleRun_ownGraph() {
	const rows, in, out = 64, 4096, 16384
	block := traces.Block{Name: "layer",
		Tensors: []traces.Tensor{
			{Name: "x", Shape: []int64{rows, in}, Type: traces.BF16, Role: traces.Activation},
			{Name: "w", Shape: []int64{in, out}, Type: traces.BF16, Role: traces.Weight},
			{Name: "y", Shape: []int64{rows, out}, Type: traces.BF16, Role: traces.Activation},
			{Name: "z", Shape: []int64{rows, out}, Type: traces.BF16, Role: traces.Activation},
		},
		Ops: []traces.Op{
			{Name: "up", Kind: traces.Gemm, Batch: 1, M: rows, N: out, K: in, Inputs: []traces.TensorID{0, 1}, Outputs: []traces.TensorID{2},
				DType: traces.BF16, WeightDType: traces.BF16, KVDType: traces.BF16},
			{Name: "act", Kind: traces.SiLU, Rows: rows, Cols: out, Inputs: []traces.TensorID{2}, Outputs: []traces.TensorID{3},
				DType: traces.BF16, WeightDType: traces.BF16, KVDType: traces.BF16},
		},
	}
	graph := &traces.Graph{Name: "mine", Phase: "prefill", Batch: 1, Prompt: rows, DType: traces.BF16,
		Blocks: []traces.Block{block}, Runs: []traces.Run{{Block: 0, Phase: traces.Prefill, Times: 16}}}
	machine, err := presets.Machine("a100-sxm-80gb")
	if err != nil {
		log.Fatal(err)
	}
	res, err := eval.Run(context.Background(), eval.Request{Machine: machine, Graph: graph})
	if err != nil {
		log.Fatal(err)
	}
	for _, op := range res.Operators {
		fmt.Printf("%s ran %d times, bound by %s\n", op.Name, op.Calls, op.BoundBy)
	}
	// Output:
	// up ran 16 times, bound by hbm
	// act ran 16 times, bound by hbm
}

// Costs of one's own for operators: all products take 20 µs, the rest is the model's.
func ExampleRun_ownCosts() {
	r := llama(llm.Workload{Phase: "decode", Batch: 8, Prompt: 512})
	r.Costs = plan.CostFunc(func(ctx context.Context, q plan.Query) (plan.Cost, bool, error) {
		if q.Kind != "gemm" {
			return plan.Cost{}, false, nil // the model's
		}
		return plan.Cost{Time: 20 * units.Microsecond, Source: "a guess"}, true, nil
	})
	res, err := eval.Run(context.Background(), r)
	if err != nil {
		log.Fatal(err)
	}
	for _, op := range res.Operators {
		if op.Name == "qkv" {
			fmt.Printf("%d calls of %s take %.0f µs: %s\n", op.Calls, op.Name, op.Seconds*1e6, op.Source)
		}
	}
	fmt.Printf("%d of %d calls are not the model's\n", res.OwnCosts.Calls, res.OwnCosts.Calls+res.OwnCosts.ModelCalls)
	// Output:
	// 32 calls of qkv take 640 µs: a guess
	// 129 of 355 calls are not the model's
}

// A loop over batch sizes: throughput grows, and so does the time of a step.
func ExampleRun_batchSizes() {
	var tokens, step float64
	for batch := int64(1); batch <= 64; batch *= 4 {
		res, err := eval.Run(context.Background(), llama(llm.Workload{Phase: "decode", Batch: batch, Prompt: 512}))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("batch %2d: more tokens a second %t, a longer step %t\n", batch, res.TokensPerSecond > tokens, res.Seconds > step)
		tokens, step = res.TokensPerSecond, res.Seconds
	}
	// Output:
	// batch  1: more tokens a second true, a longer step true
	// batch  4: more tokens a second true, a longer step true
	// batch 16: more tokens a second true, a longer step true
	// batch 64: more tokens a second true, a longer step true
}
