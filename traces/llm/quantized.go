package llm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stratasim/strata/traces"
)

// quantization reads how the weights of a checkpoint are stored: the quantization_config of GPTQ, AWQ,
// bitsandbytes, compressed-tensors, ModelOpt, FP8 and MXFP4 checkpoints. It sets the formats of the
// model, or says which member of the file stands for something that no format here is.
func (c *config) quantization(m *Model) {
	key := "quantization_config"
	at := c.get(key, "compression_config")
	if at == nil || at.value.off() {
		return
	}
	if at.value.kind != object {
		c.fail(at.value.offset, at.key, "must be an object, is "+at.value.kind.String(), "")
		return
	}
	q := &quantized{c: c, at: at, path: at.key}
	method := q.word("quant_method", "")
	switch {
	case method == "gptq" || method == "awq":
		q.grouped(m, method)
	case method == "fp8" || method == "fbgemm_fp8":
		q.fp8(m, method)
	case method == "mxfp4":
		q.set(m, traces.MXFP4)
		m.HeadInFull = true
	case method == "bitsandbytes" || method == "" && (q.has("load_in_4bit") || q.has("load_in_8bit")):
		q.bitsandbytes(m)
	case method == "compressed-tensors" || method == "" && q.has("config_groups"):
		q.compressed(m)
	case method == "modelopt" || method == "" && q.has("quant_algo"):
		q.modelopt(m)
	case method == "":
		q.unsupported("quant_method", "missing", "gptq, awq, fp8, mxfp4, bitsandbytes, compressed-tensors or modelopt")
	default:
		q.unsupported("quant_method", fmt.Sprintf("%q is %v", shorten(method), ErrUnsupported), "gptq, awq, fp8, mxfp4, bitsandbytes, compressed-tensors or modelopt; or take the configuration of the original model and give a format for the weights")
	}
	q.kept(m)
}

// quantized reads the members of a quantization_config.
type quantized struct {
	c    *config
	at   *member
	path string
}

func (q *quantized) find(key string) *member {
	if v := q.at.value.find(key); v != nil && v.value.kind != null {
		return v
	}
	return nil
}

func (q *quantized) has(key string) bool {
	v := q.find(key)
	return v != nil && (v.value.kind != boolean || v.value.boolean)
}

// unsupported reports a member of the object, at its line.
func (q *quantized) unsupported(key, message, hint string) {
	offset := q.at.value.offset
	if v := q.find(key); v != nil {
		offset = v.value.offset
	}
	q.c.fail(offset, q.path+"."+key, message, hint).Cause = ErrUnsupported
}

func (q *quantized) word(key, otherwise string) string {
	v := q.find(key)
	if v == nil {
		return otherwise
	}
	if v.value.kind != text {
		q.c.fail(v.value.offset, q.path+"."+key, "must be a string, is "+v.value.kind.String(), "")
		return otherwise
	}
	return v.value.text
}

func (q *quantized) number(key string, otherwise int64) int64 {
	v := q.find(key)
	if v == nil {
		return otherwise
	}
	n, status := int64(0), fractional
	if v.value.kind == number {
		n, status = whole(v.value.text)
	}
	if status != isWhole {
		q.c.fail(v.value.offset, q.path+"."+key, "must be a whole number, is "+v.value.kind.String(), "")
		return otherwise
	}
	return n
}

// set notes the format of the weights.
func (q *quantized) set(m *Model, d traces.DType) { m.WeightDType = d.String() }

// integers finds the format of so many bits with a scale for each group along the reduction; a group of
// -1 is a whole column.
func (q *quantized) integers(m *Model, bits, group int64, bitsKey, groupKey string) {
	formats := map[[2]int64]traces.DType{{8, -1}: traces.INT8, {8, 128}: traces.INT8G128, {4, 128}: traces.INT4, {4, 64}: traces.INT4G64, {4, 32}: traces.INT4G32, {3, 128}: traces.INT3, {3, -1}: traces.INT3Channel}
	d, ok := formats[[2]int64{bits, group}]
	if ok {
		q.set(m, d)
		return
	}
	var groups []string
	for _, k := range [][2]int64{{8, -1}, {8, 128}, {4, 32}, {4, 64}, {4, 128}, {3, -1}, {3, 128}} {
		if k[0] == bits {
			groups = append(groups, fmt.Sprint(k[1]))
		}
	}
	if len(groups) == 0 {
		q.unsupported(bitsKey, fmt.Sprintf("%d bits: %v", bits, ErrUnsupported), "3, 4 or 8")
		return
	}
	q.unsupported(groupKey, fmt.Sprintf("%d bits in groups of %d: %v", bits, group, ErrUnsupported), "groups of "+strings.Join(groups, ", "))
}

// grouped reads the configurations of GPTQ and AWQ.
func (q *quantized) grouped(m *Model, method string) {
	bits, group := q.number("bits", 4), q.number("group_size", 128)
	q.integers(m, bits, group, "bits", "group_size")
	if q.has("desc_act") {
		q.c.note("%s.desc_act: the order of groups costs nothing here", q.path)
	}
	m.HeadInFull = !q.has("lm_head")
}

func (q *quantized) fp8(m *Model, method string) {
	d := traces.FP8
	if b := q.find("weight_block_size"); b != nil {
		d = traces.FP8B128
		if v := &b.value; v.kind != list || len(v.list) != 2 || v.list[0].text != "128" || v.list[1].text != "128" {
			q.unsupported("weight_block_size", "blocks other than 128×128 are "+ErrUnsupported.Error(), "[128, 128]")
		}
	}
	q.set(m, d)
	switch scheme := q.word("activation_scheme", "dynamic"); scheme {
	case "dynamic", "static":
		m.ActivationDType = traces.FP8.String()
	default:
		q.unsupported("activation_scheme", fmt.Sprintf("%q is %v", shorten(scheme), ErrUnsupported), "dynamic or static")
	}
	m.HeadInFull = true
}

func (q *quantized) bitsandbytes(m *Model) {
	m.HeadInFull = true // as transformers does unless it is told otherwise
	switch {
	case q.has("load_in_8bit"):
		q.set(m, traces.INT8)
	case q.has("load_in_4bit"):
		d := traces.NF4
		if q.has("bnb_4bit_use_double_quant") {
			d = traces.NF4DQ
		}
		if t := q.word("bnb_4bit_quant_type", "fp4"); t != "nf4" {
			q.c.note("%s.bnb_4bit_quant_type: %q takes the space and time of nf4 here", q.path, shorten(t))
		}
		q.set(m, d)
	default:
		q.unsupported("load_in_4bit", "neither load_in_4bit nor load_in_8bit is true", "one of them says how wide the weights are")
	}
}

// compressed reads the groups of a compressed-tensors configuration, which must agree.
func (q *quantized) compressed(m *Model) {
	groups := q.find("config_groups")
	if groups == nil || groups.value.kind != object || len(groups.value.members) == 0 {
		q.unsupported("config_groups", "missing or empty", "which weights are quantised, and how")
		return
	}
	for i := range groups.value.members {
		g := &groups.value.members[i]
		one := &quantized{c: q.c, at: g, path: q.path + ".config_groups." + shorten(g.key)}
		if g.value.kind != object {
			q.c.fail(g.value.offset, one.path, "must be an object, is "+g.value.kind.String(), "")
			return
		}
		before, activations := m.WeightDType, m.ActivationDType
		w := one.within("weights")
		if w == nil {
			one.unsupported("weights", "missing", "the format of the weights")
			return
		}
		w.scheme(m)
		if a := one.within("input_activations"); a != nil {
			a.activations(m)
		}
		if i > 0 && (m.WeightDType != before || m.ActivationDType != activations) {
			q.unsupported("config_groups", "groups of different formats are "+ErrUnsupported.Error(), "")
			return
		}
	}
	if kv := q.within("kv_cache_scheme"); kv != nil {
		if bits := kv.number("num_bits", 8); bits == 8 {
			m.KVDType = map[bool]string{true: traces.FP8.String(), false: traces.INT8.String()}[kv.word("type", "float") == "float"]
		} else {
			kv.unsupported("num_bits", fmt.Sprintf("a cache of %d bits is %v", bits, ErrUnsupported), "8")
		}
	}
}

// within reads a member that is an object itself, nil if it is not there.
func (q *quantized) within(key string) *quantized {
	v := q.find(key)
	if v == nil {
		return nil
	}
	if v.value.kind != object {
		q.c.fail(v.value.offset, q.path+"."+key, "must be an object, is "+v.value.kind.String(), "")
		return nil
	}
	return &quantized{c: q.c, at: v, path: q.path + "." + key}
}

// scheme reads the scheme of weights of compressed-tensors.
func (q *quantized) scheme(m *Model) {
	bits, kind, strategy := q.number("num_bits", 8), q.word("type", "int"), q.word("strategy", "tensor")
	group := q.number("group_size", -1)
	switch {
	case kind == "float" && bits == 8 && (strategy == "tensor" || strategy == "channel"):
		q.set(m, traces.FP8)
	case kind == "float" && bits == 8 && strategy == "block":
		q.set(m, traces.FP8B128)
	case kind == "float" && bits == 8 && strategy == "group" && group == 32:
		q.set(m, traces.MXFP8)
	case kind == "float" && bits == 4 && group == 16:
		q.set(m, traces.NVFP4)
	case kind == "float" && bits == 4 && group == 32:
		q.set(m, traces.MXFP4)
	case kind == "int":
		if strategy != "group" {
			group = -1
		}
		q.integers(m, bits, group, "num_bits", "group_size")
	default:
		q.unsupported("num_bits", fmt.Sprintf("%s weights of %d bits, a scale for each %s: %v", shorten(kind), bits, shorten(strategy), ErrUnsupported), "")
	}
}

// activations reads the scheme of activations of compressed-tensors.
func (q *quantized) activations(m *Model) {
	bits, kind, group := q.number("num_bits", 8), q.word("type", "int"), q.number("group_size", -1)
	d, ok := map[string]traces.DType{"int8": traces.INT8, "float8": traces.FP8, "float8g128": traces.FP8B128, "float8g32": traces.MXFP8, "float4g16": traces.NVFP4, "float4g32": traces.MXFP4}[activationKey(kind, bits, group)]
	if !ok {
		q.unsupported("num_bits", fmt.Sprintf("%s activations of %d bits are %v", shorten(kind), bits, ErrUnsupported), "int or float of 8 bits, float of 4 bits in groups of 16 or 32")
		return
	}
	m.ActivationDType = d.String()
}

func activationKey(kind string, bits, group int64) string {
	s := fmt.Sprintf("%s%d", kind, bits)
	if group > 0 {
		s += fmt.Sprintf("g%d", group)
	}
	return s
}

func (q *quantized) modelopt(m *Model) {
	m.HeadInFull = true
	switch algo := q.word("quant_algo", ""); strings.ToUpper(algo) {
	case "FP8":
		q.set(m, traces.FP8)
		m.ActivationDType = traces.FP8.String()
	case "NVFP4":
		q.set(m, traces.NVFP4)
		m.ActivationDType = traces.NVFP4.String()
	default:
		q.unsupported("quant_algo", fmt.Sprintf("%q is %v", shorten(algo), ErrUnsupported), "FP8 or NVFP4")
	}
}

// kept reads which products stay in full precision: the head, and all of attention.
func (q *quantized) kept(m *Model) {
	for _, key := range []string{"modules_to_not_convert", "llm_int8_skip_modules", "ignore", "exclude_modules", "ignored_layers"} {
		v := q.find(key)
		if v == nil || v.value.kind != list {
			continue
		}
		var others []string
		for _, name := range v.value.list {
			switch n := name.text; {
			case name.kind != text || strings.Contains(n, "router") || strings.Contains(n, "gate") && !strings.Contains(n, "gate_") || strings.Contains(n, "embed") || strings.Contains(n, "norm"):
			case strings.Contains(n, "lm_head"):
				m.HeadInFull = true
			case strings.Contains(n, "self_attn") && (!strings.ContainsAny(n, "0123456789") || strings.Contains(n, "*")):
				m.AttentionInFull = true
			case !slices.Contains(others, n):
				others = append(others, n)
			}
		}
		if len(others) > 0 {
			q.c.note("%s.%s: %q and others like it are quantised here", q.path, key, shorten(others[0]))
		}
	}
}
