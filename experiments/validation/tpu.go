package validation

import (
	"fmt"
	"strconv"
	"strings"
)

// loadTPU reads kernels on TPU v4 and v6e as their profilers see them.
func loadTPU(dir string, l *loaded) error {
	for _, load := range []func(string, *loaded) error{loadTPUv4Products, loadTPUv4Rows, loadTPUv6eProducts, loadTPUv6eAttention} {
		if err := load(dir, l); err != nil {
			return err
		}
	}
	return nil
}

// add reads what is common to all files: fill turns a row into an operator, the class, the name and the microseconds.
func (l *loaded) addKernels(dir, file, source, device string, fill func(r *reading) (op Fields, class string, us float64)) error {
	list, err := records(dir, file)
	if err != nil {
		return err
	}
	for i := range list {
		r := reading{record: &list[i]}
		op, class, us := fill(&r)
		if r.err != nil {
			return r.err
		}
		if op == nil {
			l.leave(class)
			continue
		}
		arch := machines[device]
		c := Case{File: file, Line: r.line, Source: source, Device: device, Arch: arch, Name: opName(op), Request: Fields{"op": op},
			Figures: []Figure{{Class: class, DType: fmt.Sprint(op["dtype"]), Field: "seconds", Scale: 1e6, Measured: us, Unit: "us"}}}
		for _, name := range []string{"m", "n", "k", "batch", "q_len", "past_len", "heads", "kv_heads", "head_dim", "rows", "cols", "tokens", "hidden", "intermediate", "gated"} {
			if v, ok := op[name]; ok {
				c.Columns = append(c.Columns, Column{name, fmt.Sprint(v)})
			}
		}
		c.Work = leastWork(arch, op)
		l.add(c, device+class)
	}
	return nil
}

// opName is an operator in a few words.
func opName(op Fields) string {
	switch op["kind"] {
	case "gemm":
		return fmt.Sprintf("%vx%vx%v", op["m"], op["n"], op["k"])
	case "attention":
		return fmt.Sprintf("B%v_Q%v_KV%v_H%v_HK%v_D%v", op["batch"], op["q_len"], op["past_len"], op["heads"], op["kv_heads"], op["head_dim"])
	case "ffn":
		return fmt.Sprintf("ffn %vx%vx%v gated=%v", op["tokens"], op["hidden"], op["intermediate"], op["gated"])
	}
	return fmt.Sprintf("%v %vx%v", op["kind"], op["rows"], op["cols"])
}

// leastWork is the roofline of an operator with 16-bit operands, each of which is moved once.
func leastWork(arch string, op Fields) *Roofline {
	d := func(name string) float64 { v, _ := op[name].(int64); return float64(v) }
	switch op["kind"] {
	case "gemm":
		m, n, k := d("m"), d("n"), d("k")
		return roofline(arch, "bf16", 2*m*n*k, 2*(m*k+k*n+m*n))
	case "ffn":
		m, n, k, matrices := d("tokens"), d("intermediate"), d("hidden"), 2.0
		if op["gated"] == true {
			matrices = 3
		}
		return roofline(arch, "bf16", matrices*2*m*n*k, 2*(2*m*k+matrices*n*k)) // what is inside stays on chip at best
	case "attention":
		q, past := d("q_len"), d("past_len")
		pairs := q*past + q*(q+1)/2
		if op["causal"] == false {
			pairs = q * (q + past)
		}
		return roofline(arch, "bf16", 4*d("batch")*d("heads")*d("head_dim")*pairs, 2*d("batch")*d("head_dim")*(2*q*d("heads")+2*(past+q)*d("kv_heads")))
	case "add", "mul":
		return roofline(arch, "bf16", 0, 6*d("rows")*d("cols"))
	}
	return roofline(arch, "bf16", 0, 4*d("rows")*d("cols"))
}

func loadTPUv4Products(dir string, l *loaded) error {
	return l.addKernels(dir, "tpu/tpu_v4_gemm_measured.csv", "scale-sim-validation", "TPU-v4", func(r *reading) (Fields, string, float64) {
		us := "fusion_us_avg"
		if r.get(us) == "" {
			us = "kernel_us_avg"
		}
		return Fields{"kind": "gemm", "m": r.integer("M"), "n": r.integer("N"), "k": r.integer("K"), "dtype": "fp16"}, "gemm", r.number(us)
	})
}

func loadTPUv4Rows(dir string, l *loaded) error {
	for _, kind := range []string{"layernorm", "add", "mul", "relu"} {
		err := l.addKernels(dir, "tpu/tpu_v4_"+kind+"_measured.csv", "scale-sim-validation", "TPU-v4", func(r *reading) (Fields, string, float64) {
			rows, cols, class := int64(1), int64(0), "elementwise"
			if kind == "layernorm" {
				class, cols = "norm", r.integer("hidden_dim")
				rows = r.integer("dim_product") / max(cols, 1)
			} else {
				cols = r.integer("tuple_product")
			}
			return Fields{"kind": kind, "rows": rows, "cols": cols, "dtype": "fp16"}, class, r.number("avg_duration_us")
		})
		if err != nil {
			return err
		}
	}
	// One row has a column for each activation.
	list, err := records(dir, "tpu/tpu_v4_activations_measured.csv")
	if err != nil {
		return err
	}
	for i := range list {
		r := reading{record: &list[i]}
		n := r.integer("tuple_product")
		for _, a := range []struct{ column, kind string }{{"elu", "elu"}, {"leaky", "leaky-relu"}, {"relu", "relu"}, {"selu", "selu"}, {"sigmoid", "sigmoid"}, {"tanh", "tanh"}} {
			op := Fields{"kind": a.kind, "rows": int64(1), "cols": n, "dtype": "fp16"}
			us := r.number(a.column + "_avg_duration_us")
			l.add(Case{File: r.file, Line: r.line, Source: "scale-sim-validation", Device: "TPU-v4", Arch: "tpu-v4", Name: opName(op), Request: Fields{"op": op},
				Columns: []Column{{"rows", "1"}, {"cols", strconv.FormatInt(n, 10)}}, Work: leastWork("tpu-v4", op),
				Figures: []Figure{{Class: "activation", DType: "fp16", Field: "seconds", Scale: 1e6, Measured: us, Unit: "us"}}}, "activation")
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

func loadTPUv6eProducts(dir string, l *loaded) error {
	if err := l.addKernels(dir, "tpu/tpu_v6e_gemm_measured.csv", "pytorchsim", "TPU-v6e", func(r *reading) (Fields, string, float64) {
		return Fields{"kind": "gemm", "m": r.integer("M"), "n": r.integer("N"), "k": r.integer("K"), "dtype": "bf16"}, "gemm", 1e-3 * r.number("latency_ns")
	}); err != nil {
		return err
	}
	return l.addKernels(dir, "tpu/tpu_v6e_ffn_measured.csv", "pytorchsim", "TPU-v6e", func(r *reading) (Fields, string, float64) {
		gated := strings.HasPrefix(r.get("kind"), "ffn_gated")
		return Fields{"kind": "ffn", "tokens": r.integer("tokens"), "hidden": r.integer("hidden"), "intermediate": r.integer("intermediate"), "gated": gated, "dtype": "bf16"},
			"ffn", 1e-3 * r.number("latency_ns")
	})
}

func loadTPUv6eAttention(dir string, l *loaded) error {
	err := l.addKernels(dir, "tpu/tpu_v6e_attn_decoder_measured.csv", "pytorchsim", "TPU-v6e", func(r *reading) (Fields, string, float64) {
		q, kv := r.integer("q_len"), r.integer("kv_len")
		class := "attn_prefill"
		if q == 1 {
			class = "attn_decode"
		}
		return Fields{"kind": "attention", "batch": int64(1), "heads": r.integer("Hq_total"), "kv_heads": r.integer("Hkv_total"), "head_dim": r.integer("head_dim"), "q_len": q, "past_len": max(0, kv-q), "dtype": "bf16"},
			class, 1e-3 * r.number("latency_ns")
	})
	if err != nil {
		return err
	}
	err = l.addKernels(dir, "tpu/tpu_v6e_attn_encoder_measured.csv", "pytorchsim", "TPU-v6e", func(r *reading) (Fields, string, float64) {
		h, s := r.integer("H_total"), r.integer("seq")
		return Fields{"kind": "attention", "batch": int64(1), "heads": h, "kv_heads": h, "head_dim": r.integer("head_dim"), "q_len": s, "past_len": int64(0), "causal": false, "dtype": "bf16"},
			"attn_encoder", 1e-3 * r.number("latency_ns")
	})
	if err != nil {
		return err
	}
	return l.addKernels(dir, "tpu/tpu_v6e_sdpa_measured_subset.csv", "pytorchsim", "TPU-v6e", func(r *reading) (Fields, string, float64) {
		s, q := r.integer("S"), int64(1)
		class := "attn_sdpa_" + r.get("mode")
		if r.get("mode") == "prefill" {
			q = s
		}
		return Fields{"kind": "attention", "batch": r.integer("B"), "heads": r.integer("Hq"), "kv_heads": r.integer("Hkv"), "head_dim": r.integer("D"), "q_len": q, "past_len": s - q, "dtype": "bf16"},
			class, r.number("device_us")
	})
}
