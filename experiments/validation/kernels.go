package validation

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/arch/presets"
)

// machines are the presets of devices, as the sources call them.
var machines = map[string]string{
	"A100-SXM-80GB": "a100-sxm-80gb", "A100-DGX-80GB": "a100-sxm-80gb", "A100": "a100-sxm-80gb", "A100x4": "a100-sxm-80gb",
	"A100-80GB-PCIe-pairNVLink": "a100-pcie-80gb", "A30": "a30", "A40": "a40",
	"H100-SXM-80GB": "h100-sxm", "H100-pairNVLink": "h100-pcie", "H200-SXM": "h200-sxm",
	"B200-SXM": "b200-sxm", "GB200": "gb200", "L40S": "l40s", "RTX-4090": "rtx-4090", "RTX-3090": "rtx-3090", "RTX-A6000": "rtx-a6000",
	"RTX-PRO-6000-Blackwell": "rtx-pro-6000", "Arc-Pro-B60": "arc-pro-b60", "MI210": "mi210", "TPU-v6e": "tpu-v6e", "TPU-v4": "tpu-v4",
}

// MachineOf is the preset of a device as a source of measurements, or the preset itself, calls it; "" if there is none.
func MachineOf(device string) string {
	if m, ok := machines[device]; ok {
		return m
	}
	if slices.Contains(presets.Names(), device) {
		return device
	}
	return ""
}

// kernelFiles are the files of single kernels. All have one schema but for LLMCompass's.
var kernelFiles = []string{"aic_gemm", "vidur_compute", "llmservingsim_compute", "aic_attention", "vidur_attention", "llmservingsim_attention", "aic_moe"}

// shapeColumns tell kernels apart, in the order that they are printed in.
var shapeColumns = []string{"op", "M", "N", "K", "batch", "q_len", "kv_len", "n_heads", "n_kv_heads", "head_dim", "tokens", "width", "num_devices", "model", "bytes", "framework", "kernel", "flag"}

func loadKernels(dir string, l *loaded) error {
	for _, file := range kernelFiles {
		if err := loadKernelFile(dir, "kernels/"+file+".csv", l); err != nil {
			return err
		}
	}
	return loadHostTimed(dir, l, false)
}

// loadKernelFile reads a file in the schema of kernels: one row is one case.
func loadKernelFile(dir, file string, l *loaded) error {
	list, err := records(dir, file)
	if err != nil {
		return err
	}
	for i := range list {
		r := reading{record: &list[i]}
		c, why := r.kernel()
		if r.err != nil {
			return r.err
		}
		if why != "" {
			l.leave(why)
			continue
		}
		l.add(c, strings.Join([]string{path.Base(file), c.Device, c.Figures[0].Class, c.Figures[0].DType}, " "))
	}
	return nil
}

// Kernels reads a file in the schema of kernels: cases, and what is wrong with rows that are none. Rows of classes that are not
// known are left out and counted.
func Kernels(file string) (cases []Case, bad []error, left []Left, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, nil, &NoData{file, err}
	}
	defer f.Close()
	list, bad, err := tolerantRecords(f, file)
	if err != nil {
		return nil, nil, nil, err
	}
	l := newLoaded()
	for i := range list {
		r := reading{record: &list[i]}
		c, why := r.kernel()
		switch {
		case r.err != nil:
			bad = append(bad, r.err)
		case why != "":
			l.leave(why)
		default:
			l.add(c, c.Device+" "+c.Figures[0].Class+" "+c.Figures[0].DType)
		}
	}
	slices.SortStableFunc(bad, func(a, b error) int { return LineOf(a) - LineOf(b) })
	return l.cases, bad, sorted(l.left), nil
}

// LineOf is the line of a row that is wrong, 0 if the error is of another kind.
func LineOf(err error) int {
	var bad *badRow
	if errors.As(err, &bad) {
		return bad.line
	}
	return 0
}

// Reason is what is wrong with a row, without file and line.
func Reason(err error) string {
	var bad *badRow
	if !errors.As(err, &bad) {
		return err.Error()
	}
	if bad.column != "" {
		return bad.column + ": " + bad.message
	}
	return bad.message
}

// kernel turns a row into a case, or says why not. What is wrong with the row is in err.
func (r *reading) kernel() (c Case, why string) {
	device := r.get("device")
	c = Case{File: r.file, Line: r.line, ID: r.get("id"), Source: r.get("source"), Device: device, Arch: MachineOf(device), Name: strings.TrimSuffix(r.get("shape"), "_kvb2")}
	class := r.get("op_class")
	op, class, why := r.operator(class)
	if why != "" || r.err != nil {
		return c, why
	}
	c.Request = Fields{"op": op}
	for _, hint := range []string{"framework", "kernel"} {
		if v := r.get(hint); v != "" {
			c.Request[hint] = v
		}
	}
	for _, name := range shapeColumns {
		c.Columns = append(c.Columns, Column{name, r.get(name)})
	}
	dtype := r.get("dtype")
	if op["kv_dtype"] == "fp8" {
		dtype += "+fp8kv"
	}
	c.Figures = []Figure{{Class: class, DType: dtype, Field: "seconds", Scale: 1e6, Measured: r.number("measured_us"), Unit: "us"}}
	if _, collective := op["ranks"]; collective {
		c.Work = r.leastLink(c.Arch, op)
	} else {
		c.Work = r.least(c.Arch, op)
	}
	if r.err == nil && c.Figures[0].Measured <= 0 {
		r.fail("measured_us", "must be more than 0")
	}
	return c, ""
}

// operator is the operator of a row of a class.
func (r *reading) operator(class string) (op Fields, as, why string) {
	op = Fields{"dtype": r.get("dtype")}
	integers := func(members ...string) {
		for i := 0; i < len(members); i += 2 {
			op[members[i]] = r.integer(members[i+1])
		}
	}
	switch class {
	case "gemm":
		op["kind"] = "gemm"
		integers("m", "M", "n", "N", "k", "K")
		if w := r.get("w_dtype"); w != "" {
			op["weight_dtype"] = w
		}
	case "attn_prefill", "attn_decode":
		op["kind"] = "attention"
		integers("batch", "batch", "heads", "n_heads", "kv_heads", "n_kv_heads", "head_dim", "head_dim", "past_len", "kv_len")
		op["q_len"] = max(1, r.optional("q_len", 1))
	case "attn_mixed":
		op["kind"] = "attention-mixed"
		integers("heads", "n_heads", "kv_heads", "n_kv_heads", "head_dim", "head_dim", "q_len", "q_len", "past_len", "tokens", "decode_batch", "batch", "decode_past_len", "kv_len")
	case "norm", "elementwise":
		op["kind"] = r.rowKind(class)
		integers("rows", "tokens", "cols", "width")
	case "moe":
		r.moe(op)
	case "all_reduce", "all_gather", "reduce_scatter", "alltoall", "send_recv":
		if r.get("flag") == "crosses_nodes_or_pairs" {
			return nil, "", "collectives that cross nodes or pairs"
		}
		op["kind"] = collectiveKinds[class]
		integers("bytes", "bytes", "ranks", "num_devices")
	default:
		return nil, "", "class " + class
	}
	if strings.HasSuffix(r.get("shape"), "kvb1") {
		op["kv_dtype"] = "fp8"
	}
	return op, class, ""
}

var collectiveKinds = map[string]string{"all_reduce": "all-reduce", "all_gather": "all-gather", "reduce_scatter": "reduce-scatter", "alltoall": "all-to-all", "send_recv": "send-recv"}

// rowKind is the kind of a norm or element-wise row. Phi has a layer norm and an activation without gate.
func (r *reading) rowKind(class string) string {
	phi := strings.Contains(strings.ToLower(r.get("model")), "phi")
	phi2 := strings.Contains(strings.ToLower(r.get("model")), "phi-2")
	name := r.get("op")
	switch {
	case class == "norm" && (phi || name == "layernorm" && r.get("model") == ""):
		return "layernorm"
	case class == "norm":
		return "rmsnorm"
	case strings.Contains(name, "act") && !phi2:
		return "silu-mul"
	case strings.Contains(name, "act"), name == "gelu":
		return "gelu"
	case strings.Contains(name, "rope"), strings.Contains(name, "rotary"):
		return "rope"
	case name == "copy", name == "softmax", name == "mul", name == "silu", name == "silu-mul", name == "relu":
		return name
	}
	return "add"
}

var moeShape = regexp.MustCompile(`^T(\d+)_H(\d+)_I(\d+)_k(\d+)_E(\d+)_tp(\d+)_ep(\d+)_(?:power_law_([\d.]+)|balanced)$`)

// moe reads a mixture of experts, whose dimensions are in its shape.
func (r *reading) moe(op Fields) {
	m := moeShape.FindStringSubmatch(r.get("shape"))
	if m == nil {
		r.fail("shape", "%.60q is no shape of a mixture of experts, such as T1024_H4096_I1536_k8_E128_tp1_ep4_balanced", r.get("shape"))
		return
	}
	op["kind"] = "moe"
	for i, name := range []string{"tokens", "hidden", "intermediate", "top_k", "experts", "tp", "ep"} {
		n, err := strconv.ParseInt(m[i+1], 10, 64)
		if err != nil {
			r.fail("shape", "%v", err)
		}
		op[name] = n
	}
	if m[8] != "" {
		op["skew"] = r.parse("shape", m[8])
	}
}

// leastLink is the least time on links: what each rank sends over its own.
func (r *reading) leastLink(arch string, op Fields) *Roofline {
	n := op["ranks"].(int64)
	bytes := float64(op["bytes"].(int64))
	switch op["kind"] {
	case "all-reduce":
		bytes *= 2 * float64(n-1) / float64(n)
	case "all-gather", "reduce-scatter", "all-to-all":
		bytes *= float64(n-1) / float64(n)
	}
	return linkRoofline(arch, bytes, n)
}

// loadHostTimed reads LLMCompass's measurements: eager and timed by the host. They are kernels, or collectives.
func loadHostTimed(dir string, l *loaded, collectives bool) error {
	list, err := records(dir, "kernels/llmcompass_real.csv")
	if err != nil {
		return err
	}
	for i := range list {
		r := reading{record: &list[i]}
		op, class, times := r.hostTimed()
		if r.err != nil {
			return r.err
		}
		if (class == "host_all_reduce") != collectives {
			continue
		}
		device := r.get("device")
		source := "llmcompass"
		if strings.Contains(r.get("op"), ".") {
			source = "llmcompass-gpt3-layer"
		}
		c := Case{File: r.file, Line: r.line, Source: source, Device: device, Arch: machines[device], Name: r.get("op") + " " + r.get("params"), Times: times,
			Request: Fields{"op": op, "framework": "eager", "host_sync": true},
			Columns: []Column{{"op", r.get("op")}, {"params", r.get("params")}},
			Figures: []Figure{{Class: class, DType: r.get("dtype"), Field: "seconds", Scale: 1e6, Measured: 1e6 * r.number("measured_seconds"), Unit: "us"}}}
		if text := r.get("llmcompass_roofline_seconds"); text != "" {
			if s := r.number("llmcompass_roofline_seconds"); s > 0 {
				c.Work = &Roofline{Memory: s, Devices: 1}
			}
		}
		if r.err != nil {
			return r.err
		}
		kind := ""
		if source == "llmcompass" {
			kind = device + class
		}
		l.add(c, kind)
	}
	return nil
}

// hostTimed is the operator of a row of LLMCompass. times is how often it ran.
func (r *reading) hostTimed() (op Fields, class string, times float64) {
	op, times = Fields{"dtype": "fp16"}, 1
	params, name := r.get("params"), r.get("op")
	if i := strings.LastIndex(name, "."); i >= 0 {
		name = name[i+1:]
	}
	plain := strings.Trim(params, "[]")
	size := strings.Split(plain, "x")
	integer := func(i int, text string) int64 {
		if i >= len(size) && i >= 0 {
			r.fail("params", "%.40q: too few dimensions", params)
			return 1
		}
		if i >= 0 {
			text = size[i]
		}
		v := r.parse("params", text)
		if v < 1 || v != math.Trunc(v) {
			r.fail("params", "%.40q: must be a whole number", text)
		}
		return int64(v)
	}
	switch strings.ToLower(strings.SplitN(name, "_", 2)[0]) {
	case "softmax":
		op["kind"], op["rows"], op["cols"] = "softmax", integer(0, ""), integer(1, "")
		class = "host_softmax"
	case "layernorm":
		op["kind"], op["rows"], op["cols"] = "layernorm", integer(0, ""), integer(1, "")
		class = "host_layernorm"
	case "gelu":
		op["kind"], op["rows"], op["cols"] = "gelu", 1, integer(-1, plain)
		class = "host_gelu"
	case "all", "allreduce":
		op["kind"], op["bytes"], op["ranks"] = "all-reduce", integer(-1, strings.TrimSuffix(plain, "B")), 4
		class = "host_all_reduce"
	case "matmul":
		op["kind"], op["m"], op["k"], op["n"] = "gemm", integer(0, ""), integer(1, ""), integer(2, "")
		class = "host_matmul"
	default:
		class = "host_matmul"
		var batch, m, n, k int64
		if rest, ok := strings.CutPrefix(params, "3x"); ok {
			times, params = 3, rest
		}
		if i := strings.Index(params, "["); strings.HasPrefix(params, "batch") && i > 0 {
			batch, params = integer(-1, params[len("batch"):i]), params[i:]
		}
		if _, err := fmt.Sscanf(params, "[M%d,N%d,K%d]", &m, &n, &k); err != nil {
			r.fail("params", "%.40q: %v", params, err)
		}
		op["kind"], op["m"], op["n"], op["k"] = "gemm", m, n, k
		if batch > 0 {
			op["batch"] = batch
		}
	}
	return op, class, times
}
