package plan

import (
	"errors"
	"fmt"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/traces"
)

// Mapping says how a graph is laid out on a machine.
type Mapping struct {
	// TP is the tensor-parallel degree; 0 means 1.
	TP int64 `json:"tp"`
	// SP divides by tokens what tensor parallelism does not divide otherwise: sequence parallelism.
	SP bool `json:"sp,omitempty"`
	// PP is the number of pipeline stages, as many chips each; 0 means 1.
	PP int64 `json:"pp,omitempty"`
	// EP is among how many ranks the experts of a mixture are shared out, and MoETP over how many chips each expert's inner
	// elements are divided; AttnDP is how many groups of TP chips have sequences of their own. 0 leaves it to Degrees.
	EP     int64 `json:"ep,omitempty"`
	MoETP  int64 `json:"moe_tp,omitempty"`
	AttnDP int64 `json:"attn_dp,omitempty"`
	// Exchange is how tokens of several groups come to the experts: Gather or Dispatch.
	Exchange string `json:"exchange,omitempty"`
	// InFlight is how many batches follow one another through the stages of a pipeline: the graph is that of each of them.
	// 0 means 1.
	InFlight int64 `json:"in_flight,omitempty"`
	// Profile names the runtime profile; "" is the machine's default.
	Profile string `json:"profile,omitempty"`
	// HostSync times every operator from the host: each pays the host's launch and
	// synchronisation, as single-operator benchmarks do.
	HostSync bool `json:"host_sync,omitempty"`
	// Alone times one operator by itself, with nothing before it that could fetch its operands.
	Alone bool `json:"alone,omitempty"`
	// Overfull plans a model that does not fit into memory, so that its plan can be looked at.
	Overfull bool `json:"overfull,omitempty"`
	// Memo, if not nil, remembers choices for other plans of the same machine. It is no part of what is asked for.
	Memo *Memo `json:"-"`
	// IdealLaunch leaves out what starting kernels costs.
	IdealLaunch bool `json:"ideal_launch,omitempty"`
	// IdealRefresh leaves out what refresh costs memories whose DRAM is known.
	IdealRefresh bool `json:"ideal_refresh,omitempty"`
	// Offload says which memories below the fastest may hold what does not fit there: OffloadChip, OffloadNone or
	// OffloadHost. Placement is how that is chosen: Greedy or Solved.
	Offload   string `json:"offload,omitempty"`
	Placement string `json:"placement,omitempty"`
	// Prefetch is how many layers ahead of its use a layer is fetched from a lower memory; 0 fetches it when its turn
	// has come, nil stands for DefaultPrefetch.
	Prefetch *int64 `json:"prefetch,omitempty"`
	// Lookahead is the share of the cold experts of a layer that its router's choice is known for as early as the
	// weights are fetched; the others are fetched when the router has spoken. nil stands for all.
	Lookahead *float64 `json:"lookahead,omitempty"`
	// Fusion is what takes the place of the profile's fusions, as arch.ParseFusions reads it; "" leaves them.
	Fusion string `json:"fusion,omitempty"`
	// Algorithm is that of attention, as arch.Algorithms lists them; "" is the profile's. Backward adds the gradients of
	// attention, for operators that are timed alone.
	Algorithm string `json:"algorithm,omitempty"`
	Backward  bool   `json:"backward,omitempty"`
	// Collective is the algorithm of collectives, or the protocol of that name; "" leaves it to the library.
	Collective string `json:"collective,omitempty"`
	// Pins are choices that the planner would make otherwise; nil leaves all to it.
	Pins *Pins `json:"pins,omitempty"`

	order []string // of classes that go down first; nil leaves it to what they save
}

// Chips is how many chips the mapping takes.
func (p Mapping) Chips() int64 { return p.Degrees().Chips() * max(p.PP, 1) }

// runtime returns the runtime profile of the mapping, as the mapping changes it. Errors are of type *Invalid.
func (p *Mapping) runtime(m *arch.Machine) (*arch.Profile, error) {
	profile, err := m.ProfileFor(p.Profile, p.HostSync)
	if err != nil {
		return nil, &Invalid{"runtime", err.Error(), ""}
	}
	if p.Fusion == "" && p.Algorithm == "" {
		return profile, nil
	}
	profile = m.Resolved(profile)
	unable := func(field string, err error) error {
		var e *arch.Unable
		if errors.As(err, &e) {
			return &Invalid{field, e.Message, e.Hint}
		}
		return &Invalid{field, err.Error(), ""}
	}
	if profile, err = m.Fused(profile, p.Fusion); err != nil {
		return nil, unable("fusion", err)
	}
	if profile, err = m.Attending(profile, p.Algorithm); err != nil {
		return nil, unable("algorithm", err)
	}
	return profile, nil
}

// Invalid says that a mapping does not suit a machine or a graph.
type Invalid struct {
	Field   string // of the mapping, e.g. "tp"
	Message string
	Hint    string
}

func (e *Invalid) Error() string {
	if e.Hint == "" {
		return e.Field + ": " + e.Message
	}
	return fmt.Sprintf("%s: %s (%s)", e.Field, e.Message, e.Hint)
}

// check verifies the mapping against machine and graph.
func (p Mapping) check(m *arch.Machine, g *traces.Graph) error {
	if p.TP < 1 {
		return &Invalid{"tp", fmt.Sprintf("%d: must be at least 1", p.TP), ""}
	}
	if err := p.checkDegrees(g); err != nil {
		return err
	}
	if err := p.checkChips(m); err != nil {
		return err
	}
	switch p.Offload {
	case OffloadChip, OffloadNone, OffloadHost:
	default:
		return &Invalid{"offload", fmt.Sprintf("%q is unknown", p.Offload), "auto, none or host"}
	}
	switch {
	case p.Offload == OffloadHost && m.System.Host == nil:
		return &Invalid{"offload", m.Name + " says nothing of its host's memory", "add system.host to the machine"}
	case p.Offload == OffloadHost && p.PP > 1:
		return &Invalid{"offload", "stages of a pipeline keep all that they hold in their fastest memory", "leave it out, or give --tp in place of --pp"}
	case p.Placement != Greedy && p.Placement != Solved:
		return &Invalid{"placement", fmt.Sprintf("%q is unknown", p.Placement), "greedy or solved"}
	case p.Prefetch != nil && (*p.Prefetch < 0 || *p.Prefetch > MaxPrefetch):
		return &Invalid{"prefetch", fmt.Sprintf("%d: must be from 0 to %d layers", *p.Prefetch, MaxPrefetch), ""}
	case p.Lookahead != nil && !(*p.Lookahead >= 0 && *p.Lookahead <= 1):
		return &Invalid{"lookahead", fmt.Sprintf("%v: must be from 0 to 1", *p.Lookahead), "the share of a layer's experts that is known ahead"}
	}
	if err := p.checkStages(m, g); err != nil || p.TP == 1 {
		return err
	}
	most := int64(MaxChips)
	if m.System.ScaleOut == nil {
		most = m.System.Chips
	}
	for i := range g.Blocks {
		for j := range g.Blocks[i].Ops {
			op := &g.Blocks[i].Ops[j]
			if err := divides(op, p.TP, most); err != nil {
				return err
			}
		}
	}
	return nil
}

// divides checks that tensor parallelism of degree tp, of at most most chips, can divide the operator. A vocabulary is
// padded, key/value heads are replicated when there are fewer than chips; everything else must divide.
func divides(op *traces.Op, tp, most int64) error {
	bad := func(what string, n int64) error {
		return &Invalid{"tp", fmt.Sprintf("%d does not divide the %d %s of %s", tp, n, what, op.Name), nearestDivisors(n, tp, most)}
	}
	if op.Gradient { // of an operator that is divided
		return nil
	}
	switch op.Split {
	case traces.Heads:
		if op.Kind == traces.Gemm {
			if op.Batch%tp != 0 {
				return bad("products", op.Batch)
			}
			return nil
		}
		if op.Heads%tp != 0 {
			return bad("attention heads", op.Heads)
		}
		if op.KVHeads%tp != 0 && tp%op.KVHeads != 0 {
			return bad("key/value heads", op.KVHeads)
		}
	case traces.Column:
		if len(op.Parts) == 0 && op.N%tp != 0 {
			return bad("columns", op.N)
		}
	case traces.Row, traces.Partial:
		if op.Kind.RowWise() {
			return nil // what it adds are parts already
		}
		if op.Kind == traces.MoE {
			return nil // see checkDegrees
		}
		if op.K%tp != 0 {
			return bad("rows of the weight", op.K)
		}
	}
	return nil
}

// nearestDivisors names the divisors of n around tp, none of them above most.
func nearestDivisors(n, tp, most int64) string {
	below, above := int64(1), int64(0)
	for d := tp; d >= 1; d-- {
		if n%d == 0 {
			below = d
			break
		}
	}
	for d := tp; d <= min(n, most); d++ {
		if n%d == 0 {
			above = d
			break
		}
	}
	if above == 0 {
		return fmt.Sprintf("try %d", below)
	}
	return fmt.Sprintf("try %d or %d", below, above)
}
