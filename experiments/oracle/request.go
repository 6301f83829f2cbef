package oracle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// job is everything that an answer depends on, and nothing else: the key of the cache of answers.
type job struct {
	arch, model                 string // canonical JSON of the members; model "" for an operator
	op                          Op
	array                       systolicArray
	dram                        dramStream
	network                     string // canonical JSON of the member, "" if it is left out
	phase                       string
	batch, context              int64 // context is the prompt, in phase decode the cached tokens
	generate, layers            int64
	dtype, weight, kv           maybeType
	draft, acceptance           string // canonical JSON of the draft model, "" for none, and the chance as it was written
	draftTokens                 int64
	lora                        string // as llm.ParseLoRA reads it, "" for none
	tp, pp                      int64
	ep, moeTP, attnDP, inFlight int64  // 0 where they are left out
	exchange                    string // as plan.Mapping has it
	train                       string // JSON of experiments.TrainOptions, "" for phases that do not train
	framework, kernel           string
	hostSync, detail            bool
	fusion                      string  // as arch.ParseFusions writes it
	mapping                     string  // canonical JSON of the member, "" if it is left out
	powerLimit                  float64 // watts of a chip; 0: the machine's
	powerTrace                  bool
	offload                     string // as plan.Mapping has it, like what follows
	placement                   string
	prefetch                    int64
	lookahead                   float64
	skew                        int64 // of the choice of experts, in thousandths
	fidelity                    string
	arrivals                    string  // of requests with phase serve, "" for steady
	interval                    float64 // level of the interval that is asked for, 0 for none
	ideal                       string  // effects that are left out, sorted, by commas
}

// maybeType is a number format that may be left out: 0, or one more than the format.
type maybeType uint8

func (m maybeType) or(otherwise traces.DType) traces.DType {
	if m == 0 {
		return otherwise
	}
	return traces.DType(m - 1)
}

// request is one request as it was read: a job, and what concerns this request only.
type request struct {
	job
	id      []byte // as written, nil if there is none
	archAt  *value
	modelAt *value
	draftAt *value
	limits  []limit
	metrics []string // the only figures that are asked for; nil for the whole answer
	// parsedNetwork is the network request that network stands for.
	parsedNetwork networkRequest
	timeout       time.Duration // 0: none
	pastLen       bool          // the cached tokens are called past_len

	spaceAt, pointAt *value             // of a request about a search space
	direct           *llm.Model         // in place of the model that is named
	seen             func(*eval.Answer) // told of the answer, nil for nobody
}

// limit is an upper bound that a figure of the answer is compared with.
type limit struct {
	name string
	most float64
}

// readRequest reads one request. The id is read even if the rest is wrong.
func readRequest(v *value, q *request) *Error {
	var err *Error
	f := open(v, "", &err)
	q.readID(f)
	op, model, array, stream, net, space := f.get("op"), f.get("model"), f.get("systolic"), f.get("dram"), f.get("network"), f.get("space")
	switch {
	case err != nil:
	case given(op, model, array, stream, net, space) > 1:
		err = invalid("conflict", "", "", "op, model, systolic, dram, network and space exclude one another")
	case space != nil:
		q.readSpace(f, space)
	case op != nil:
		q.readOp(f, op)
	case model != nil:
		q.readModel(f, model)
	case array != nil:
		q.array.read(open(array, "/systolic", &err))
	case stream != nil:
		q.fidelity = f.word("fidelity", eval.Event, eval.Analytic)
		q.readDRAM(open(stream, "/dram", &err))
	case net != nil:
		q.network = f.canonical(net, "/network")
		q.fidelity = f.word("fidelity", eval.Event, eval.Analytic)
		q.readNetwork(open(net, "/network", &err))
		q.readIdeal(f, eval.IdealContention)
		if q.ideal != "" && q.parsedNetwork.jobs == nil {
			f.fail(invalid("conflict", "/ideal", `leave it out, or "jobs"`, "one collective by itself meets no other"))
		}
	default:
		f.arch(q)
		f.misplaced()
		if err == nil {
			err = invalid("missing", "", `e.g. "op":{"kind":"gemm",…} or "model":"llama2-7b"`, "neither op nor model")
		}
	}
	if v := f.typed("mapping", object); v != nil {
		switch {
		case array != nil:
			f.fail(invalid("conflict", "/mapping", "leave it out", "a systolic array alone has no mapping"))
		case stream != nil:
			f.fail(invalid("conflict", "/mapping", "the address map is a member of dram", "accesses to DRAM have no mapping of operators"))
		case space != nil:
			f.fail(invalid("conflict", "/mapping", "leave it out", "a space says itself how its points are mapped"))
		case net != nil:
			f.fail(invalid("conflict", "/mapping", "leave it out", "a network alone has no mapping"))
		default:
			q.mapping = f.canonical(v, "/mapping")
		}
	}
	if err == nil {
		q.readLimits(f)
		q.readMetrics(f)
		q.timeout = time.Duration(f.real("timeout_seconds", 1e-3, 1e6, 0) * float64(time.Second))
	}
	f.close()
	return err
}

// given is how many members are there.
func given(members ...*value) (n int) {
	for _, v := range members {
		if v != nil {
			n++
		}
	}
	return n
}

// readID takes the id, which may be any string or number.
func (q *request) readID(f *fields) {
	v := f.get("id")
	if v == nil {
		return
	}
	if v.kind != text && v.kind != number {
		f.fail(invalid("type", "/id", "", "must be a string or a number, is %s", v.kind))
		return
	}
	q.id = v.raw
}

// misplaced names the members of an operator that stand beside it.
func (f *fields) misplaced() {
	for _, name := range []string{"kind", "m", "n", "k", "rows", "cols", "heads"} {
		if f.has(name) {
			f.fail(invalid("missing", "/op", `{"arch":…,"op":{"kind":…,…}}`, "the dimensions of an operator belong into op"))
		}
	}
}

// arch takes the machine, which must be there.
func (f *fields) arch(q *request) {
	v := f.get("arch")
	switch {
	case *f.err != nil:
	case v == nil:
		f.missing = append(f.missing, "arch")
	case v.kind != text && v.kind != object:
		f.fail(invalid("type", "/arch", "", "must be the name of a machine or an object with base and set, is %s", v.kind))
	default:
		q.archAt, q.arch = v, f.canonical(v, "/arch")
	}
}

func (f *fields) canonical(v *value, at string) string {
	text, err := v.canonical(nil, at)
	if err != nil {
		f.fail(err)
	}
	return string(text)
}

// hints reads what picks a profile of the runtime, from beside the operator or from within.
func (q *request) hints(f, within *fields) {
	read := func(f *fields) {
		q.framework, q.kernel = f.text("framework", q.framework), f.text("kernel", q.kernel)
		q.hostSync = f.flag("host_sync", q.hostSync)
	}
	read(f)
	if within == nil {
		return
	}
	for _, name := range []string{"framework", "kernel", "host_sync"} {
		if f.has(name) && within.has(name) {
			f.fail(invalid("conflict", pointer(within.at, name), "leave one of them out", "%s is given twice, in the operator and beside it", name))
		}
	}
	read(within)
}

// fusions reads what takes the place of the profile's fusions: "all", "none" or a list of names.
func (q *request) fusions(f *fields) {
	v := f.get("fusion")
	if v == nil {
		return
	}
	var names []string
	switch v.kind {
	case text:
		names = []string{string(v.chars())}
	case array:
		for i := range v.items() {
			if v.items()[i].kind != text {
				f.fail(invalid("type", fmt.Sprintf("/fusion/%d", i), "", "must be a string, is %s", v.items()[i].kind))
				return
			}
			names = append(names, string(v.items()[i].chars()))
		}
		if len(names) == 0 {
			names = []string{arch.FuseNone}
		}
	default:
		f.fail(invalid("type", "/fusion", `e.g. "none" or ["flash-attention","norm-add"]`, "must be a string or a list of them, is %s", v.kind))
		return
	}
	list, err := arch.ParseFusions(strings.Join(names, ","))
	var bad *arch.Unable
	if errors.As(err, &bad) {
		f.fail(invalid("unknown-value", "/fusion", bad.Hint, "%s", bad.Message))
		return
	}
	q.fusion = list
}

// readOp reads a request for an operator.
func (q *request) readOp(f *fields, v *value) {
	f.arch(q)
	q.fidelity = f.word("fidelity", eval.Analytic, eval.Event)
	q.readInterval(f)
	within := open(v, "/op", f.err)
	q.op.read(within)
	q.hints(f, within)
	q.fusions(f)
	within.close()
}

// read reads the operator.
func (o *Op) read(f *fields) {
	name := f.text("kind", "")
	if *f.err == nil && !f.has("kind") {
		f.fail(invalid("missing", "/op/kind", nearest("", Kinds()), "missing: kind"))
	}
	if o.Mixed = name == mixed; o.Mixed {
		name, o.Batch = traces.Attention.String(), 1
	}
	if bad := o.SetKind(name); bad != nil {
		f.fail(bad)
	}
	if *f.err != nil {
		return
	}
	k := o.Kind
	for _, d := range o.dims() {
		if d.Otherwise == Needed {
			*d.Of(o) = f.need(d.Name, d.Least, d.Most)
		} else {
			*d.Of(o) = f.integer(d.Name, d.Least, d.Most, d.Otherwise)
		}
	}
	o.DType = f.dtype("dtype", traces.BF16)
	o.WeightDType, o.KVDType = o.DType, o.DType
	if HasWeight(k) {
		o.WeightDType = f.dtype("weight_dtype", o.DType)
	}
	if HasKV(k) {
		o.KVDType = f.dtype("kv_dtype", o.DType)
	}
	if Narrows(k) {
		o.ToDType = f.dtype("to_dtype", traces.FP8)
		if *f.err == nil && o.ToDType.Bits() >= o.DType.Bits() {
			f.fail(invalid("value", "/op/to_dtype", "e.g. fp8", "%s is no narrower than %s", o.ToDType, o.DType))
		}
	}
	switch {
	case k == traces.Attention:
		o.Causal = o.Mixed || f.flag("causal", true)
		if !o.Mixed {
			o.Backward = f.word("pass", passes...) != passes[0]
			o.Algorithm = f.word("algorithm", append([]string{""}, arch.Algorithms()...)...)
		}
		if *f.err == nil && o.Backward && o.Past > 0 {
			f.fail(invalid("conflict", "/op/past_len", "leave it out, or ask for pass fwd", "a backward pass has no cached tokens"))
		}
		if *f.err == nil && o.Backward && o.KVDType != o.DType {
			f.fail(invalid("conflict", "/op/kv_dtype", "leave it out", "gradients need keys and values as they were computed, in %s", o.DType))
		}
		f.refuse("page", "a page size of the key/value cache")
		if h := f.get("heads"); o.KVHeads > 0 && o.Heads%o.KVHeads != 0 && h != nil {
			f.fail(invalid("value", "/op/kv_heads", "heads must be a multiple of kv_heads", "%d query heads cannot share %d key/value heads evenly", o.Heads, o.KVHeads))
		}
	case o.Form == ffn:
		o.Gated = f.flag("gated", true)
	case o.Form == conv2d:
		if dim, message, hint := o.Conflict(); dim != "" && *f.err == nil && len(f.missing) == 0 {
			f.fail(invalid("value", "/op/"+dim, hint, "%s", message))
		}
	case k == traces.MoE:
		o.Gated = f.flag("gated", true)
		if msg := o.SetSkew(f.real("skew", 0, 1e6, 0)); msg != "" {
			f.fail(invalid("range", "/op/skew", "", "%s", msg))
		}
		if dim, message, hint := o.Conflict(); dim != "" {
			f.fail(invalid("value", "/op/"+dim, hint, "%s", message))
		}
	case k.Collective():
		// The data type says nothing about a collective of so many bytes.
		o.DType, o.WeightDType, o.KVDType = traces.BF16, traces.BF16, traces.BF16
		if o.Algorithm = f.text("algorithm", ""); o.Algorithm == "auto" {
			o.Algorithm = ""
		}
	}
	o.Complete()
}

// readModel reads a request for a model.
func (q *request) readModel(f *fields, v *value) {
	if v.kind != text && v.kind != object {
		f.fail(invalid("type", "/model", "", "must be the name of a model or a Hugging Face configuration, is %s", v.kind))
		return
	}
	q.phase = f.word("phase", "generate", "prefill", "decode", "serve", "train", "finetune")
	if q.phase == experiments.Train || q.phase == experiments.FineTune {
		q.readTraining(f, v)
		return
	}
	f.arch(q)
	q.modelAt, q.model = v, f.canonical(v, "/model")
	q.fidelity = f.word("fidelity", eval.Analytic, eval.Event)
	q.batch = f.integer("batch", 1, maxDim, 1)
	q.layers = f.integer("layers", 1, maxDim, 0)
	q.lengths(f)
	d := f.dtypes()
	q.dtype, q.weight, q.kv = d[0], d[1], d[2]
	q.adapters(f)
	q.speculation(f)
	q.parallel(f)
	q.hints(f, nil)
	q.fusions(f)
	q.detail = f.flag("detail", false)
	q.readInterval(f)
	q.powerLimit = f.real("power_limit", 1e-3, 1e6, 0)
	q.powerTrace = f.flag("power_trace", false)
	q.readIdeal(f, eval.Ideals()...)
	q.tiers(f)
	var wrong string
	if q.skew, wrong = experiments.Skew(f.real("skew", 0, 1e6, 0)); wrong != "" {
		f.fail(invalid("range", "/skew", "", "%s", wrong))
	}
	for _, m := range notSimulated {
		if m.name == "recompute" && f.get(m.name) != nil && string(f.get(m.name).chars()) == "none" {
			continue
		}
		f.refuse(m.name, m.what)
	}
}

// readIdeal reads which of the known effects are left out. They come in any order and are kept in one.
func (q *request) readIdeal(f *fields, known ...string) {
	v := f.typed("ideal", array)
	if v == nil {
		return
	}
	var list []string
	for i := range v.items() {
		item, at := &v.items()[i], fmt.Sprintf("/ideal/%d", i)
		name := string(item.chars())
		switch {
		case item.kind != text:
			f.fail(invalid("type", at, "", "must be a string, is %s", item.kind))
		case !slices.Contains(known, name):
			f.fail(invalid("unknown-value", at, nearest(name, known), "%q is unknown", shorten(name)))
		case slices.Contains(list, name):
			f.fail(invalid("conflict", at, "leave one of them out", "%s is there twice", name))
		default:
			list = append(list, name)
		}
	}
	slices.Sort(list)
	q.ideal = strings.Join(list, ",")
}

// ideals are the effects that are left out, nil for none.
func (j *job) ideals() []string {
	if j.ideal == "" {
		return nil
	}
	return strings.Split(j.ideal, ",")
}

// tiers reads what decides which tensors live where.
func (q *request) tiers(f *fields) {
	if q.offload = f.word("offload", "auto", plan.OffloadNone, plan.OffloadHost); q.offload == "auto" {
		q.offload = plan.OffloadChip
	}
	if q.placement = f.word("placement", "greedy", plan.Solved); q.placement == "greedy" {
		q.placement = plan.Greedy
	}
	q.prefetch = f.integer("prefetch", 0, plan.MaxPrefetch, plan.DefaultPrefetch)
	q.lookahead = f.real("lookahead", 0, 1, 1)
}

// notSimulated are members of model requests that are part of the protocol but not simulated.
var notSimulated = []struct{ name, what string }{
	{"seq_len", "training (seq_len)"}, {"global_batch", "training (global_batch)"}, {"micro_batch", "pipelining of micro-batches"},
	{"recompute", "recomputation"}, {"zero", "a sharded optimizer"},
	{"schedule", "a pipeline schedule"}, {"stages", "a pipeline"}, {"master_dtype", "training (master_dtype)"},
}

// lengths reads the lengths of prompts, caches and answers.
func (q *request) lengths(f *fields) {
	const usualPrompt, usualGenerate = 512, 128
	if q.pastLen = f.has("past_len"); q.pastLen {
		if q.phase != "decode" {
			f.fail(invalid("conflict", "/past_len", "call it prompt, or ask for phase decode", "past_len goes with phase decode, the phase is %s", q.phase))
		}
		if f.has("prompt") {
			f.fail(invalid("conflict", "/past_len", "leave one of them out", "prompt and past_len both say how many tokens are cached"))
		}
	}
	if q.phase == "decode" {
		q.context = f.integer("past_len", 0, maxDim, usualPrompt)
		q.context = f.integer("prompt", 0, maxDim, q.context)
	} else {
		q.context = f.integer("prompt", 1, maxDim, usualPrompt)
	}
	if q.phase == "generate" || q.phase == "serve" {
		q.generate = f.integer("generate", 1, experiments.MaxGenerate, usualGenerate)
		if e := *f.err; e != nil && e.Path == "/generate" && e.Code == "range" && e.Hint == "" {
			e.Hint = `for longer answers ask for "phase":"decode" at the cache lengths of interest`
		}
	} else if f.integer("generate", 0, maxDim, 0) > 0 {
		f.fail(invalid("conflict", "/generate", `"phase":"generate"`, "generate goes with phases generate and serve, the phase is %s", q.phase))
	}
	if q.phase == "serve" {
		if q.arrivals = f.word("arrivals", traces.Steady, traces.Burst); q.arrivals == traces.Steady {
			q.arrivals = "" // one way to write the same
		}
	} else if f.has("arrivals") {
		f.fail(invalid("conflict", "/arrivals", `"phase":"serve"`, "requests arrive at a server, the phase is %s", q.phase))
	}
}

// speculation reads the draft model of speculative decoding.
func (q *request) speculation(f *fields) {
	v := f.get("draft")
	tokens := f.integer("draft_tokens", 1, traces.MaxDraftTokens, 0)
	acceptance := f.typed("acceptance", number)
	switch {
	case v == nil:
		if tokens > 0 || acceptance != nil {
			f.fail(invalid("missing", "/draft", `e.g. "draft":"llama2-7b"`, "draft_tokens and acceptance go with a draft model"))
		}
		return
	case v.kind != text && v.kind != object:
		f.fail(invalid("type", "/draft", "", "must be the name of a model or a Hugging Face configuration, is %s", v.kind))
	case tokens == 0:
		f.fail(invalid("missing", "/draft_tokens", `e.g. "draft_tokens":4`, "missing: draft_tokens"))
	case acceptance == nil:
		f.fail(invalid("missing", "/acceptance", `e.g. "acceptance":0.8`, "missing: acceptance"))
	}
	if *f.err != nil {
		return
	}
	if _, err := traces.ParseAcceptance(string(acceptance.raw)); err != nil {
		f.fail(invalid("range", "/acceptance", "", "%v", err))
		return
	}
	q.draftAt, q.draft, q.draftTokens, q.acceptance = v, f.canonical(v, "/draft"), tokens, string(acceptance.raw)
}

// adapters reads the low-rank adapters beside the weights.
func (q *request) adapters(f *fields) {
	v := f.get("lora")
	if v == nil {
		return
	}
	l := open(v, "/lora", f.err)
	a := llm.LoRA{Rank: l.need("rank", 1, 1<<16), Adapters: l.integer("adapters", 1, 1<<20, 1), Merged: l.flag("merged", false)}
	for _, d := range []struct {
		name string
		into *string
	}{{"dtype", &a.DType}, {"base_dtype", &a.BaseDType}} {
		if t := l.dtype(d.name, 0); l.has(d.name) {
			*d.into = t.String()
		}
	}
	if t := l.typed("targets", array); t != nil {
		for i := range t.items() {
			if t.items()[i].kind != text {
				l.fail(invalid("type", fmt.Sprintf("/lora/targets/%d", i), "", "must be a string, is %s", t.items()[i].kind))
				break
			}
			a.Targets = append(a.Targets, string(t.items()[i].chars()))
		}
	}
	l.close()
	if *f.err != nil {
		return
	}
	var bad *llm.Invalid
	if errors.As(a.Normalize(), &bad) {
		f.fail(invalid("value", "/lora", bad.Hint, "%s", bad.Message))
		return
	}
	if a.BaseDType != "" && q.weight != 0 {
		f.fail(invalid("conflict", "/lora/base_dtype", "leave one of them out", "base_dtype and weight_dtype both say how wide the weights are"))
	}
	q.lora = a.String()
}

// dtypes reads the three number formats, which depend on the model if they are left out.
func (f *fields) dtypes() (d [3]maybeType) {
	for i, name := range [...]string{"dtype", "weight_dtype", "kv_dtype"} {
		if f.has(name) {
			d[i] = maybeType(f.dtype(name, 0)) + 1
		} else {
			f.get(name)
		}
	}
	return d
}

// parallel reads the mapping over chips.
func (q *request) parallel(f *fields) {
	q.tp, q.pp = 1, 1
	v := f.get("parallel")
	if v == nil {
		return
	}
	p := open(v, "/parallel", f.err)
	q.tp = p.integer("tp", 1, maxDim, 1)
	if q.pp = p.integer("pp", 1, maxDim, 1); q.model == "" && q.pp > 1 {
		p.fail(invalid("value", "/parallel/pp", "leave it out", "an operator alone has no stages"))
	}
	for _, d := range []struct {
		name string
		into *int64
	}{{"ep", &q.ep}, {"moe_tp", &q.moeTP}, {"attn_dp", &q.attnDP}, {"in_flight", &q.inFlight}} {
		if *d.into = p.integer(d.name, 1, maxDim, 0); q.model == "" && *d.into > 1 {
			p.fail(invalid("value", "/parallel/"+d.name, "leave it out; operator moe has ep and tp of its own", "an operator alone is that of one chip"))
		}
	}
	if q.exchange = p.word("exchange", "gather", plan.Dispatch); q.exchange == "gather" {
		q.exchange = plan.Gather
	}
	p.one("dp", "data parallelism")
	p.one("cp", "context parallelism")
	p.one("interleave", "an interleaved pipeline")
	if p.flag("sp", false) {
		p.fail(unsupported("not-simulated", "/parallel/sp", "false or nothing", "sequence parallelism is not simulated by this version"))
	}
	p.close()
}

// readLimits reads what the figures are to be compared with.
func (q *request) readLimits(f *fields) {
	v := f.get("limits")
	if v == nil {
		return
	}
	l := open(v, "/limits", f.err)
	for i := range figureNames {
		name := figureNames[i]
		if most := l.real(name, 1e-30, 1e30, 0); most > 0 {
			q.limits = append(q.limits, limit{name, most})
		}
	}
	l.close()
}

// readMetrics reads which figures are asked for.
func (q *request) readMetrics(f *fields) {
	v := f.typed("metrics", array)
	if v == nil {
		return
	}
	q.metrics = []string{}
	for i := range v.items() {
		at := fmt.Sprintf("/metrics/%d", i)
		switch name := string(v.items()[i].chars()); {
		case v.items()[i].kind != text:
			f.fail(invalid("type", at, "", "must be a string, is %s", v.items()[i].kind))
		case !slices.Contains(figureNames, name) && !slices.Contains(moreFigureNames, name):
			f.fail(invalid("unknown-value", at, nearest(name, slices.Concat(figureNames, moreFigureNames)), "there is no figure %q", shorten(name)))
		case slices.Contains(q.metrics, name):
			f.fail(invalid("conflict", at, "leave one of them out", "%s is there twice", name))
		default:
			q.metrics = append(q.metrics, name)
		}
	}
}

// member finds the pointer of a field that the simulator names.
func (q *request) member(field string) string {
	field = strings.ReplaceAll(field, "-", "_")
	if field == "runtime" {
		return "/framework"
	}
	if q.model == "" {
		switch field {
		case "tp":
			return "/op/ranks"
		case "dtype", "algorithm":
			return "/op/" + field
		case "fusion":
			return "/fusion"
		}
		return wholeOp
	}
	switch field {
	case "tp", "pp", "ep", "moe_tp", "attn_dp", "exchange", "in_flight":
		return "/parallel/" + field
	case "prompt":
		if q.pastLen {
			return "/past_len"
		}
		return "/prompt"
	case "dp", "cp", "sp", "interleave":
		return "/parallel/" + field
	case "seq_len", "global_batch", "micro_batch", "recompute", "zero", "schedule", "stages", "master_dtype", "stragglers", "fail_link", "shard", "tokens", "pue",
		"phase", "batch", "generate", "lora", "draft", "draft_tokens", "acceptance", "layers", "arrivals", "dtype", "weight_dtype", "kv_dtype", "fidelity", "power_limit",
		"offload", "placement", "prefetch", "lookahead", "skew", "fusion", "ideal", "host_sync":
		return "/" + field
	}
	return wholeModel
}

// withTimeout gives the request's own time limit to a context.
func (q *request) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if q.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, q.timeout)
}
