package plan

import (
	"slices"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// DescriptionSchema names the format of a Description.
const DescriptionSchema = "strata.plan/1"

// Description is a program with the decisions that led to it, for programs to read. Times are seconds, sizes bytes.
type Description struct {
	Schema    string         `json:"schema"`
	Arch      string         `json:"arch"`
	Model     string         `json:"model"`
	Runtime   string         `json:"runtime"`
	Chips     int64          `json:"chips"`
	Resources []ResourceInfo `json:"resources"`
	Placement []TierInfo     `json:"placement"`
	Fusion    []FusionInfo   `json:"fusion"`
	Sections  []SectionInfo  `json:"sections"`
	Kernels   []KernelInfo   `json:"kernels"`
	Work      []CounterInfo  `json:"work"` // planned work of one chip, in a pipeline of one of each stage together
}

// ResourceInfo is a server with its sustained rate.
type ResourceInfo struct {
	Name          string `json:"name"`
	Unit          string `json:"unit"` // of amounts
	RatePerSecond int64  `json:"rate_per_second"`
	PerCore       bool   `json:"per_core"`
	ChargedTo     string `json:"charged_to"`
}

// TierInfo is a memory of one chip and what is placed in it.
type TierInfo struct {
	Tier          string     `json:"tier"`
	Kind          string     `json:"kind"`
	PerCore       bool       `json:"per_core"`
	CapacityBytes int64      `json:"capacity_bytes"`
	PeakBytes     int64      `json:"peak_bytes"` // of a tier of each core: of one core
	Holds         []HeldInfo `json:"holds"`
}

// HeldInfo is something that a memory holds.
type HeldInfo struct {
	What  string `json:"what"`
	Bytes int64  `json:"bytes,omitempty"` // 0: what passes through
}

// FusionInfo is whether operators became one kernel.
type FusionInfo struct {
	Fusion string   `json:"fusion"`
	Ops    []string `json:"ops"`
	Phase  string   `json:"phase"`
	Block  string   `json:"block"`
	Fused  bool     `json:"fused"`
}

// SectionInfo is a phase or a step.
type SectionInfo struct {
	Name   string      `json:"name"`
	Phase  string      `json:"phase"`
	Step   int64       `json:"step"`
	Times  int64       `json:"times"`
	Blocks []BlockInfo `json:"blocks"`
}

// BlockInfo is a block of operators: its kernels, as indices into Description.Kernels.
type BlockInfo struct {
	Name    string `json:"name"`
	Times   int64  `json:"times"`
	Kernels []int  `json:"kernels"`
}

// KernelInfo is a kernel with what was decided about it.
type KernelInfo struct {
	Op    string `json:"op"`
	Kind  string `json:"kind"`
	Phase string `json:"phase"`
	What  string `json:"what,omitempty"`
	Calls int64  `json:"calls"` // in the whole program
	// Match is what selects it in a mapping file, Choice what was chosen, Pinned the members of it that were given.
	Match  *Match   `json:"match,omitempty"`
	Choice *Choice  `json:"choice,omitempty"`
	Pinned []string `json:"pinned,omitempty"`
	Rule   string   `json:"rule,omitempty"`
	// Seconds is what the planner expects, without launch, where it compares times; OccupiedShare the share of places
	// that have work, where it compares these.
	Seconds       float64           `json:"planned_seconds,omitempty"`
	OccupiedShare float64           `json:"occupied_share,omitempty"`
	Alternatives  []AlternativeInfo `json:"alternatives,omitempty"`
	Levels        []LevelInfo       `json:"levels,omitempty"`
	Moved         []MovedInfo       `json:"moved"` // by one call
	OpsPerByte    float64           `json:"ops_per_byte,omitempty"`
	Nest          []NodeInfo        `json:"nest,omitempty"`
}

// AlternativeInfo is a choice that was not taken.
type AlternativeInfo struct {
	Choice        Choice  `json:"choice"`
	Seconds       float64 `json:"planned_seconds,omitempty"`
	OccupiedShare float64 `json:"occupied_share,omitempty"`
}

// LevelInfo is a memory, or at the end the unit that computes, with the loops inside it.
type LevelInfo struct {
	Level string     `json:"level"`
	Holds []HeldInfo `json:"holds"`
	Loops []LoopInfo `json:"loops"`
}

// LoopInfo is a loop of a level.
type LoopInfo struct {
	Over    string `json:"over"`
	Times   int64  `json:"times"`
	Spatial bool   `json:"spatial"`
	Of      string `json:"of,omitempty"`
}

// MovedInfo is what a part of the program moves in one memory.
type MovedInfo struct {
	Tier         string `json:"tier"`
	ReadBytes    int64  `json:"read_bytes"`
	WrittenBytes int64  `json:"written_bytes"`
	// Reuse is how often each byte that is written into an on-chip memory is read from it.
	Reuse float64 `json:"reuse,omitempty"`
}

// NodeInfo is a loop with what is in it, or a step.
type NodeInfo struct {
	Name        string       `json:"name"`
	Times       int64        `json:"times,omitempty"` // of a loop
	Overlapping bool         `json:"overlapping,omitempty"`
	Buffers     []BufferInfo `json:"buffers,omitempty"`
	Moved       []MovedInfo  `json:"moved,omitempty"` // by all iterations
	Nodes       []NodeInfo   `json:"nodes,omitempty"`

	Kind           string    `json:"kind,omitempty"` // of a step
	Uses           []UseInfo `json:"uses,omitempty"`
	Seconds        float64   `json:"seconds,omitempty"` // alone
	LimitedBy      string    `json:"limited_by,omitempty"`
	LatencySeconds float64   `json:"latency_seconds,omitempty"`
	ChargedTo      string    `json:"charged_to,omitempty"` // the latency
}

// BufferInfo is on-chip space counted in tokens.
type BufferInfo struct {
	Name         string `json:"name"`
	Tokens       int64  `json:"tokens"`
	BytesPerCore int64  `json:"bytes_per_core"` // of one token
}

// UseInfo is an amount of a resource.
type UseInfo struct {
	Resource string  `json:"resource"`
	Amount   int64   `json:"amount"`
	Unit     string  `json:"unit"`
	Share    float64 `json:"share,omitempty"` // of the rate that the kernel reaches, where it is not all
	Seconds  float64 `json:"seconds"`
}

// CounterInfo is one figure of the planned work.
type CounterInfo struct {
	Name   string `json:"name"`
	Unit   string `json:"unit"`
	Amount int64  `json:"amount"`
}

// Show says what of a program is shown.
type Show struct {
	Decisions *Decisions // nil: the program alone
	Op        string     // only kernels whose names match this pattern; "" is all
	Depth     int        // of the loops inside a kernel; 0 is all
}

// shows reports whether a kernel is one of those to show.
func (s *Show) shows(p *Program, b *Body) bool { return b.Op < 0 || glob(s.Op, p.Ops[b.Op].Name) }

// Names lists the names of the program's kernels, each once.
func (p *Program) Names() []string {
	var names []string
	for i := range p.Ops {
		if name := p.Ops[i].Name; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Shown reports whether any kernel's name matches the pattern.
func (s *Show) Shown(p *Program) bool {
	for _, name := range p.Names() {
		if glob(s.Op, name) {
			return true
		}
	}
	return false
}

// Describe returns the program for other programs to read.
func (p *Program) Describe(s Show) *Description {
	d := &Description{Schema: DescriptionSchema, Arch: p.Machine, Chips: p.Chips(), Fusion: []FusionInfo{}, Sections: []SectionInfo{},
		Kernels: []KernelInfo{}}
	for i := range p.Resources {
		r := &p.Resources[i]
		d.Resources = append(d.Resources, ResourceInfo{r.Name, r.Unit, r.Rate, r.PerCore, r.Cause.String()})
	}
	if s.Decisions != nil {
		for _, f := range s.Decisions.Fusions {
			d.Fusion = append(d.Fusion, FusionInfo(f))
		}
	}
	index := map[*Body]int{}
	var kernels func(list []int, b *Body, times int64) []int
	kernels = func(list []int, b *Body, times int64) []int {
		for i := range b.Nodes {
			n := &b.Nodes[i]
			switch {
			case n.Body == nil:
			case n.Body.Op < 0:
				list = kernels(list, n.Body, times*n.Times)
			case s.shows(p, n.Body):
				at, ok := index[n.Body]
				if !ok {
					at = len(d.Kernels)
					index[n.Body] = at
					d.Kernels = append(d.Kernels, p.kernelInfo(&s, n.Body))
				}
				d.Kernels[at].Calls += times * n.Times
				list = append(list, at)
			}
		}
		return list
	}
	for i := range p.Entry.Nodes {
		n := &p.Entry.Nodes[i]
		section := SectionInfo{Name: n.Name, Times: n.Times, Blocks: []BlockInfo{}}
		if i < len(p.Sections) {
			section.Phase, section.Step = p.Sections[i].Phase, p.Sections[i].Step
		}
		if n.Body != nil {
			for j := range n.Body.Nodes {
				if block := &n.Body.Nodes[j]; block.Body != nil && block.Body.Op < 0 {
					if list := kernels([]int{}, block.Body, n.Times*block.Times); len(list) > 0 {
						section.Blocks = append(section.Blocks, BlockInfo{block.Name, block.Times, list})
					}
				}
			}
			if len(section.Blocks) > 0 {
				d.Sections = append(d.Sections, section)
			}
		}
	}
	for i, n := range p.Work() {
		d.Work = append(d.Work, CounterInfo{p.Counters[i].Name, p.Counters[i].Unit, n})
	}
	return d
}

// kernelInfo describes one kernel.
func (p *Program) kernelInfo(s *Show, b *Body) KernelInfo {
	op := &p.Ops[b.Op]
	k := KernelInfo{Op: op.Name, Kind: op.Kind, Phase: op.Phase, Moved: p.moved(b.work, 1), OpsPerByte: p.opsPerByte(b.work)}
	if d := s.Decisions.Of(b); d != nil {
		k.What, k.Match, k.Pinned, k.Rule, k.Seconds, k.OccupiedShare = d.What, &d.Match, d.Pinned, d.Rule, d.Time.Seconds(), d.Full
		if d.Choice != (Choice{}) {
			k.Choice = &d.Choice
		}
		for _, o := range d.Others {
			k.Alternatives = append(k.Alternatives, AlternativeInfo{o.Choice, o.Time.Seconds(), o.Full})
		}
		for _, l := range d.Levels {
			info := LevelInfo{Level: l.Name, Holds: []HeldInfo{}, Loops: []LoopInfo{}}
			for _, h := range l.Holds {
				info.Holds = append(info.Holds, HeldInfo{h.What, int64(h.Bytes)})
			}
			for _, loop := range l.Loops {
				info.Loops = append(info.Loops, LoopInfo(loop))
			}
			k.Levels = append(k.Levels, info)
		}
	}
	k.Nest = p.nodeInfos(b, s.Depth, 1)
	return k
}

// nodeInfos describes the nodes of a body, as deep as is to be shown.
func (p *Program) nodeInfos(b *Body, most, depth int) []NodeInfo {
	if most > 0 && depth > most {
		return nil
	}
	var list []NodeInfo
	for i := range b.Nodes {
		n := &b.Nodes[i]
		info := NodeInfo{Name: n.Name}
		if n.Body != nil {
			info.Times, info.Moved, info.Overlapping = n.Times, p.moved(n.Body.work, n.Times), overlaps(n)
			for k := range n.Body.Buffers {
				buf := &n.Body.Buffers[k]
				info.Buffers = append(info.Buffers, BufferInfo{buf.Name, buf.Capacity, int64(buf.Token)})
			}
			info.Nodes = p.nodeInfos(n.Body, most, depth+1)
			list = append(list, info)
			continue
		}
		s := n.Step
		info.Kind = s.Kind
		for _, u := range s.Uses {
			r := &p.Resources[u.Resource]
			info.Uses = append(info.Uses, UseInfo{r.Name, u.Amount, r.Unit, u.Share, u.Time(p.Resources).Seconds()})
		}
		if len(s.Uses) > 0 {
			t, cause := s.Serve(p.Resources)
			info.Seconds, info.LimitedBy = t.Seconds(), cause.String()
		}
		if s.Latency > 0 {
			info.LatencySeconds, info.ChargedTo = s.Latency.Seconds(), s.Charge.String()
		}
		list = append(list, info)
	}
	return list
}

// overlaps reports whether nodes of a loop's body run at the same time.
func overlaps(n *Node) bool { return len(n.Body.Nodes) > 1 && !n.Body.Chain(n.Times) }

// moved returns what times iterations with that work read and write in each memory, from the outermost inwards.
func (p *Program) moved(work sim.Counts, times int64) []MovedInfo {
	list := []MovedInfo{}
	for r := len(p.Resources) - 1; r >= 0; r-- {
		m := MovedInfo{Tier: p.Resources[r].Name}
		for i, n := range work {
			switch tier, what, _ := strings.Cut(p.Counters[i].Name, "."); {
			case tier != m.Tier:
			case what == "read":
				m.ReadBytes = n * times
			case what == "write":
				m.WrittenBytes = n * times
			}
		}
		if m.ReadBytes == 0 && m.WrittenBytes == 0 {
			continue
		}
		if c := p.Resources[r].Cause; c == sim.SRAM && m.WrittenBytes > 0 {
			m.Reuse = float64(m.ReadBytes) / float64(m.WrittenBytes)
		}
		list = append(list, m)
	}
	return list
}

// opsPerByte returns the operations of the matrix unit for each byte that leaves or enters the chip, 0 where there are
// none.
func (p *Program) opsPerByte(work sim.Counts) float64 {
	off := map[string]bool{}
	for i := range p.Resources {
		r := &p.Resources[i]
		off[r.Name] = r.Unit == "B" && r.Cause != sim.SRAM && r.Cause != sim.Link
	}
	var ops, bytes int64
	for i, n := range work {
		switch tier, what, _ := strings.Cut(p.Counters[i].Name, "."); {
		case tier == "matrix" && strings.HasSuffix(what, ".ops"):
			ops += n
		case off[tier] && (what == "read" || what == "write"):
			bytes += n
		}
	}
	if bytes == 0 {
		return 0
	}
	return float64(ops) / float64(bytes)
}

// Placed says what lives in which memory of one chip while the program runs.
func Placed(m *arch.Machine, p *Program) []TierInfo {
	var list []TierInfo
	off := func(name, kind string, capacity units.Bytes) {
		info := TierInfo{Tier: name, Kind: kind, CapacityBytes: int64(capacity), Holds: []HeldInfo{}}
		if t := p.Placement.Tier(name); t != nil {
			for _, h := range t.Holds {
				info.Holds = append(info.Holds, HeldInfo{h.What, int64(h.Bytes)})
			}
			info.PeakBytes = int64(t.Peak())
		}
		list = append(list, info)
	}
	for i := range m.Chip.Memory {
		t := &m.Chip.Memory[i]
		if t.Kind != "sram" {
			off(t.Name, t.Kind, t.Capacity)
			continue
		}
		info := TierInfo{Tier: t.Name, Kind: t.Kind, PerCore: t.Private(), CapacityBytes: int64(t.Capacity), Holds: []HeldInfo{}}
		if t.Private() {
			info.PeakBytes = int64(p.BufferPeak())
			info.Holds = []HeldInfo{{"operand buffers", info.PeakBytes}}
		} else {
			info.Holds = []HeldInfo{{"what passes through", 0}}
		}
		list = append(list, info)
	}
	if h := m.System.Host; h != nil && p.Placement.Tier(h.Memory.Name) != nil {
		off(h.Memory.Name, h.Memory.Kind, p.Placement.Tier(h.Memory.Name).Capacity)
	}
	return list
}
