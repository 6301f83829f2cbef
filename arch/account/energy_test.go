package account_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/account"
	"github.com/stratasim/strata/arch/analytic"
	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/memory"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// The energies of the tiny machine are powers of two, so that every sum below is exact.
const (
	bf16J    = 0.5
	int8J    = 0.25
	vectorJ  = 2
	specialJ = 8
	l2J      = 1
	hbmJ     = 16
	linkJ    = 32
	idleW    = 64
	activeW  = 128
)

func tiny() *arch.Machine {
	return &arch.Machine{
		Name: "tiny",
		Chip: arch.Chip{Clock: 1e9, Cores: arch.Cores{Count: 1, Matrix: compute.Matrix{Kind: "mma", FMA: map[string]int64{"bf16": 1, "int8": 2}}},
			Memory: []memory.Spec{{Name: "l2", Kind: "sram"}, {Name: "hbm", Kind: "hbm"}}},
		Power: arch.Power{Limit: 1000, Idle: idleW, Active: activeW},
		Energy: arch.Energy{Matrix: map[string]units.JoulesPerOp{"bf16": bf16J, "int8": int8J}, Vector: vectorJ, Special: specialJ,
			Memory: map[string]units.JoulesPerByte{"l2": l2J, "hbm": hbmJ}, Link: linkJ},
	}
}

func program(ranks int64) *plan.Program {
	return &plan.Program{Machine: "tiny", Ranks: ranks,
		Ops: []plan.OpInfo{{Name: "first"}, {Name: "second"}},
		Counters: []sim.Counter{{Name: "matrix.bf16.ops"}, {Name: "matrix.int8.ops"}, {Name: "matrix.cycles"}, {Name: "vector.ops"}, {Name: "vector.cycles"},
			{Name: "special.ops"}, {Name: "l2.read"}, {Name: "l2.write"}, {Name: "hbm.read"}, {Name: "hbm.write"}, {Name: "link.sent"}, {Name: "launches"}}}
}

func energyOf(m *arch.Machine, p *plan.Program, o *sim.Outcome) account.Energy {
	return account.NewMeter(m, p).Energy(account.Stretch{Pace: account.Full, Outcome: o})
}

func opEnergy(m *arch.Machine, p *plan.Program, o *sim.Outcome, op int) units.Joules {
	return account.NewMeter(m, p).Op(op, &o.Ops[op], account.Full) * units.Joules(p.Ranks)
}

// outcome has two operators of two and six seconds, and two seconds in which nothing runs.
func outcome() *sim.Outcome {
	s := units.Second
	return &sim.Outcome{
		Makespan: 10 * s,
		Stalls:   sim.Stalls{sim.Compute: 3 * s, sim.HBM: 2 * s, sim.Launch: 1 * s, sim.Dependency: 2 * s, sim.Idle: 2 * s},
		Work:     sim.Counts{100, 40, 999, 30, 999, 20, 5, 6, 7, 8, 9, 999},
		Ops: []sim.OpStat{
			{Calls: 1, Time: 2 * s, Stalls: sim.Stalls{sim.Compute: 1 * s, sim.Launch: 1 * s}, Work: sim.Counts{100, 0, 500, 0, 0, 0, 5, 0, 7, 0, 0, 500}},
			{Calls: 3, Time: 6 * s, Stalls: sim.Stalls{sim.Compute: 2 * s, sim.HBM: 2 * s, sim.Dependency: 2 * s}, Work: sim.Counts{0, 40, 499, 30, 999, 20, 0, 6, 0, 8, 9, 499}},
		},
	}
}

// Energy is counts times constants, idle power for all of the time, and active power for the time in
// which kernels run: 10 s less 1 s of launching and 2 s without work. Worked out by hand.
func TestEnergy(t *testing.T) {
	const (
		matrix  = 100*bf16J + 40*int8J // 60
		vector  = 30 * vectorJ         // 60
		special = 20 * specialJ        // 160
		l2      = (5 + 6) * l2J        // 11
		hbm     = (7 + 8) * hbmJ       // 240
		link    = 9 * linkJ            // 288
		idle    = 10 * idleW           // 640
		active  = 7 * activeW          // 896
		total   = 2355
	)
	// The first operator, in 2 s of which 1 s is its launch: 50+5+112 of actions, 128 idle, 128 active.
	const first = 423
	// The second, in 6 s: 10+60+160+6+128+288 of actions, 384 idle, 768 active.
	const second = 1804
	for _, ranks := range []int64{1, 4} {
		n := units.Joules(ranks)
		want := account.Energy{Total: total * n, Average: units.Watts(total*n) / 10, Peak: units.Watts(second*n) / 6, PeakOp: "second",
			Parts: []account.Part{{Name: "matrix", Joules: matrix * n}, {Name: "vector", Joules: vector * n}, {Name: "special", Joules: special * n}, {Name: "l2", Joules: l2 * n},
				{Name: "hbm", Joules: hbm * n}, {Name: "link", Joules: link * n}, {Name: "idle", Joules: idle * n}, {Name: "active", Joules: active * n}}}
		p, o := program(ranks), outcome()
		got := energyOf(tiny(), p, o)
		if got.Total != want.Total || got.Average != want.Average || got.Peak != want.Peak || got.PeakOp != want.PeakOp || !slices.Equal(got.Parts, want.Parts) {
			t.Errorf("%d chips: %+v\nwant %+v", ranks, got, want)
		}
		if a, b := opEnergy(tiny(), p, o, 0), opEnergy(tiny(), p, o, 1); a != first*n || b != second*n {
			t.Errorf("%d chips: operators of %v and %v, want %v and %v", ranks, a, b, first*n, second*n)
		}
	}
}

// Where no operator draws more than the whole does on average, the average is the peak, of no operator.
func TestPeakIsAverage(t *testing.T) {
	p, o := program(1), outcome()
	o.Ops = nil
	e := energyOf(tiny(), p, o)
	if e.Peak != e.Average || e.PeakOp != "" || e.Average != 235.5 {
		t.Errorf("%+v", e)
	}
	// Nor do operators that took no time count.
	o.Ops = []sim.OpStat{{Work: sim.Counts{1e6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}, {}}
	if got := energyOf(tiny(), p, o); got.Peak != e.Peak || got.PeakOp != "" {
		t.Errorf("%+v", got)
	}
}

// Nothing in no time is nothing, and work in no time has an energy but no power.
func TestNoTime(t *testing.T) {
	p := program(2)
	none := make(sim.Counts, len(p.Counters))
	for _, o := range []*sim.Outcome{{}, {Work: none}, {Work: none, Ops: []sim.OpStat{{Work: none}, {Work: none}}}} {
		if e := energyOf(tiny(), p, o); e.Total != 0 || e.Average != 0 || e.Peak != 0 || e.PeakOp != "" || len(e.Parts) != 8 {
			t.Errorf("%+v", e)
		}
	}
	work := slices.Clone(none)
	work[0] = 4
	e := energyOf(tiny(), p, &sim.Outcome{Work: work, Ops: []sim.OpStat{{Work: work}, {}}})
	if e.Total != 4 || e.Average != 0 || e.Peak != 0 {
		t.Errorf("%+v", e)
	}
	for _, x := range []float64{float64(e.Average), float64(e.Peak)} {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			t.Errorf("power %v", x)
		}
	}
}

// For any outcome the parts sum to the total, chips multiply it, the peak is no less than the average,
// and more work is more energy.
func TestEnergyLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, p := tiny(), program(rapid.Int64Range(1, 1<<20).Draw(t, "chips"))
		energy := rapid.Float64Range(0, 1e-9)
		m.Energy.Vector, m.Energy.Link = units.JoulesPerOp(energy.Draw(t, "vector")), units.JoulesPerByte(energy.Draw(t, "link"))
		m.Energy.Memory["hbm"], m.Energy.Matrix["bf16"] = units.JoulesPerByte(energy.Draw(t, "hbm")), units.JoulesPerOp(energy.Draw(t, "bf16"))
		var o sim.Outcome
		o.Work = make(sim.Counts, len(p.Counters))
		for range p.Ops {
			op := sim.OpStat{Calls: 1, Work: make(sim.Counts, len(p.Counters))}
			for i := range op.Work {
				op.Work[i] = rapid.Int64Range(0, 1<<60).Draw(t, "count")
			}
			for c := range op.Stalls {
				op.Stalls[c] = units.Time(rapid.Int64Range(0, int64(units.MaxTime)/20).Draw(t, "time"))
			}
			op.Time = op.Stalls.Total()
			o.Ops = append(o.Ops, op)
			o.Work.Add(op.Work, 1)
			o.Stalls.Add(&op.Stalls, 1)
		}
		o.Makespan = o.Stalls.Total()
		e := energyOf(m, p, &o)
		var sum, ops units.Joules
		for _, part := range e.Parts {
			if part.Joules < 0 || math.IsNaN(float64(part.Joules)) {
				t.Fatalf("%+v", part)
			}
			sum += part.Joules
		}
		for i := range o.Ops {
			ops += opEnergy(m, p, &o, i)
		}
		if sum != e.Total || !near(ops, e.Total) {
			t.Fatalf("parts sum to %v, operators to %v, the total is %v", sum, ops, e.Total)
		}
		if e.Peak < e.Average || math.IsNaN(float64(e.Peak)) || o.Makespan > 0 && !near(units.Joules(e.Average), e.Total/units.Joules(o.Makespan.Seconds())) {
			t.Fatalf("peak %v, average %v of %v in %v", e.Peak, e.Average, e.Total, o.Makespan)
		}
		one := *p
		one.Ranks = 1
		if alone := energyOf(m, &one, &o); !near(alone.Total*units.Joules(p.Ranks), e.Total) || alone.PeakOp != e.PeakOp {
			t.Fatalf("%d chips: %+v, one: %+v", p.Ranks, e, alone)
		}
		i := rapid.IntRange(0, len(o.Work)-1).Draw(t, "counter")
		more := o
		more.Work = slices.Clone(o.Work)
		more.Work[i] += 1 << 61
		if got := energyOf(m, p, &more); got.Total < e.Total {
			t.Fatalf("more of %s is %v, less %v", p.Counters[i].Name, got.Total, e.Total)
		}
	})
}

func near(a, b units.Joules) bool { return math.Abs(float64(a-b)) <= 1e-12*math.Abs(float64(a+b)) }

// Every counter of a real plan that has a price is charged: with each constant at 1 the parts are the
// counts, and none is left over but cycles and launches.
func TestEveryCounterIsCharged(t *testing.T) {
	for _, name := range presets.Names() {
		m, err := presets.Machine(name)
		if err != nil {
			t.Fatal(err)
		}
		model, err := llm.Preset("llama2-7b")
		if err != nil {
			t.Fatal(err)
		}
		g, err := model.Graph(llm.Workload{Phase: "generate", Batch: 2, Prompt: 64, Generate: 2, DType: traces.BF16, WeightDType: traces.BF16, KVDType: traces.BF16})
		if err != nil {
			t.Fatal(err)
		}
		chips := min(2, m.System.Chips)
		p, err := plan.Build(m, g, plan.Mapping{TP: chips})
		if err != nil {
			t.Fatal(err)
		}
		o, err := analytic.Evaluate(p, analytic.Options{})
		if err != nil {
			t.Fatal(err)
		}
		m.Energy = arch.Energy{Matrix: map[string]units.JoulesPerOp{"bf16": 1}, Vector: 1, Special: 1, Memory: map[string]units.JoulesPerByte{}, Link: 1}
		for _, tier := range m.Chip.Memory {
			m.Energy.Memory[tier.Name] = 1
		}
		m.Power.Idle, m.Power.Active, m.Power.Leakage, m.Power.Links = 0, 0, 0, 0
		var want units.Joules
		for i, n := range o.Work {
			switch p.Counters[i].Unit {
			case "B", "op":
				want += units.Joules(n)
			}
		}
		if e := energyOf(m, p, o); !near(e.Total, units.Joules(chips)*want) || want == 0 {
			t.Errorf("%s: %v for counts of %v on %d chips", name, e.Total, want, chips)
		}
	}
}

// Memory in DRAM is charged by command. 7 B of reads and 8 B of writes, of which the first operator, attention, reads
// all 7 with a row for each 2 B, and the second writes all 8 with one for each 4 B: 5.5 rows. Everything is a power of
// two, so sums are exact.
func TestDRAM(t *testing.T) {
	m, p, o := tiny(), program(1), outcome()
	p.Ops[0].Kind, p.Ops[1].Kind = "attention", "gemm"
	m.Energy.DRAM = []arch.DRAM{{Name: "hbm", Activate: 64, Stream: 4, Cache: 2, Gather: 1, Read: 4, Write: 8, Refresh: 2, Interval: units.Second / 2, Background: 3}}
	m.Power.Links, m.Power.Leakage = 5, 6
	want := map[string]units.Joules{"hbm": 15 * hbmJ, "hbm.activate": 5.5 * 64, "hbm.read": 7 * 4, "hbm.write": 8 * 8, "hbm.refresh": 10 * 4, "hbm.background": 10 * 3,
		"link.idle": 10 * 5, "leakage": 10 * 6, "idle": 10 * idleW, "active": 7 * activeW}
	e := energyOf(m, p, o)
	for _, part := range e.Parts {
		if w, ok := want[part.Name]; ok && part.Joules != w {
			t.Errorf("%s: %v, want %v", part.Name, part.Joules, w)
		}
		delete(want, part.Name)
	}
	if len(want) > 0 {
		t.Errorf("nothing of %v", want)
	}
	p.Ops[0].Kind = "embedding" // a row for each byte
	if got := energyOf(m, p, o).Total - e.Total; got != (7-3.5)*64 {
		t.Errorf("look-ups cost %v more than attention, want %v", got, (7-3.5)*64)
	}
}

// At half the clock and half the voltage actions of the cores cost a quarter and active power is an eighth,
// leakage halves, and memory, links and idle power stay.
func TestPace(t *testing.T) {
	m, p, o := tiny(), program(1), outcome()
	m.Power.Links, m.Power.Leakage = 16, 32
	full := energyOf(m, p, o)
	half := account.NewMeter(m, p).Energy(account.Stretch{Pace: account.Pace{Clock: 0.5, Voltage: 0.5}, Outcome: o})
	share := map[string]units.Joules{"matrix": 0.25, "vector": 0.25, "special": 0.25, "l2": 0.25, "hbm": 1, "link": 1, "link.idle": 1, "idle": 1, "leakage": 0.5, "active": 0.125}
	for i, part := range half.Parts {
		if part.Joules != share[part.Name]*full.Parts[i].Joules || part.Joules == 0 {
			t.Errorf("%s: %v, at the full clock %v", part.Name, part.Joules, full.Parts[i].Joules)
		}
	}
	both := account.NewMeter(m, p).Energy(account.Stretch{Pace: account.Full, Outcome: o}, account.Stretch{Pace: account.Pace{Clock: 0.5, Voltage: 0.5}, Outcome: o})
	if both.Total != full.Total+half.Total || both.Peak != full.Peak {
		t.Errorf("two stretches: %+v", both)
	}
}
