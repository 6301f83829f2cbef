package plan_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces/llm"
)

// hosted draws a host, and returns it with what plans a graph on a machine whose only profile has such a host.
func hosted(t *rapid.T) (*arch.Host, func(host arch.Host) *plan.Program) {
	m, g := machine(t), graph(t)
	profile := rapid.SampledFrom(m.Runtime.Profiles).Draw(t, "profile")
	mp := plan.Mapping{TP: rapid.SampledFrom([]int64{1, 2}).Draw(t, "tp"), Profile: profile.Name}
	some := func(what string, most units.Time) units.Time {
		return units.Time(rapid.Int64Range(0, int64(most)).Draw(t, what))
	}
	host := &arch.Host{Operator: some("operator", 40*units.Microsecond), Step: some("step", units.Millisecond),
		Sequence: some("sequence", units.Millisecond), Request: some("request", units.Millisecond)}
	if rapid.Bool().Draw(t, "graph") {
		host.Graph = []string{"decode"}
	}
	return host, func(host arch.Host) *plan.Program {
		for i := range m.Runtime.Profiles {
			if p := &m.Runtime.Profiles[i]; p.Name == mp.Profile {
				p.Host = &host
			}
		}
		return build(t, m, g, mp)
	}
}

// TestHostAndDevice: a run takes at least as long as the device and as the host by itself, and at most as
// long as both one after the other; the host changes nothing of the work but its own; and no term of it
// makes a run shorter by growing.
func TestHostAndDevice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		host, build := hosted(t)
		p := build(*host)
		both, event := evaluate(t, p, false)
		if _, exact := evaluate(t, p, true); exact.Makespan != event.Makespan || exact.Stalls != event.Stalls {
			t.Errorf("event %v %v, exact %v %v", event.Makespan, event.Stalls, exact.Makespan, exact.Stalls)
		}
		device, eventDevice := evaluate(t, build(arch.Host{}), false)
		own := p.HostAmount(p.Entry)
		for _, c := range []struct{ both, device units.Time }{{both.Makespan, device.Makespan}, {event.Makespan, eventDevice.Makespan}} {
			if c.both < c.device || c.both < own || c.both > c.device+own {
				t.Errorf("device %v, host %v, both %v", c.device, own, c.both)
			}
		}
		for what, grow := range map[string]func(h *arch.Host){
			"operator": func(h *arch.Host) { h.Operator += h.Operator/3 + 1 },
			"step":     func(h *arch.Host) { h.Step += h.Step/3 + 1 },
			"sequence": func(h *arch.Host) { h.Sequence += h.Sequence/3 + 1 },
			"request":  func(h *arch.Host) { h.Request += h.Request/3 + 1 },
			"graph":    func(h *arch.Host) { h.Graph = nil },
		} {
			more := *host
			grow(&more)
			if slow, slowEvent := evaluate(t, build(more), false); slow.Makespan < both.Makespan || slowEvent.Makespan < event.Makespan {
				t.Errorf("%s: %v and %v instead of %v and %v", what, slow.Makespan, slowEvent.Makespan, both.Makespan, event.Makespan)
			}
		}
	})
}

// oneByOne times what overlaps as if it did not.
type oneByOne struct{ p *plan.Program }

func (o oneByOne) Serve(s *plan.Step) (units.Time, sim.Cause) { return s.Serve(o.p.Resources) }

func (o oneByOne) Pipeline(b *plan.Body, times int64, f *plan.Folder) (*plan.Result, error) {
	sum := &plan.Result{Work: make(sim.Counts, len(o.p.Counters))}
	for i := range b.Nodes {
		r, err := f.Node(&b.Nodes[i])
		if err != nil {
			return nil, err
		}
		sum.Time += r.Time * units.Time(times)
		sum.Stalls.Add(&r.Stalls, times)
		sum.Work.Add(r.Work, times)
	}
	return sum, nil
}

// TestLaunched: the launches that a visitor sees are the chain that the model says: launch after launch,
// kernel after kernel, and no kernel before its launch.
func TestLaunched(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		host, build := hosted(t)
		host.Operator, host.Graph = host.Operator+1, nil
		p := build(*host)
		f := plan.NewFolder(p, oneByOne{p})
		for i := range p.Entry.Nodes {
			section := p.Entry.Nodes[i].Body
			if section.Op >= 0 {
				continue // what the requests cost
			}
			var last plan.Launch
			n := int64(0)
			r, err := f.Launched(section, 1, func(l *plan.Launch) {
				if l.HostStart < last.HostEnd && l.HostEnd > l.HostStart || l.DeviceStart != last.End || l.Release != max(l.DeviceStart, l.HostEnd) && l.HostEnd > l.HostStart {
					t.Errorf("%s: %+v after %+v", l.Kernel.Name, *l, last)
				}
				last = *l
				n++
			})
			if err != nil {
				t.Fatal(err)
			}
			whole, err := f.Body(section, 1)
			if err != nil {
				t.Fatal(err)
			}
			if r.Time != last.End || whole.Time != r.Time || whole.Stalls != r.Stalls || n == 0 {
				t.Errorf("section %s of %d launches: ends %v, every kernel %v, skipped %v", section.Name, n, last.End, r.Time, whole.Time)
			}
		}
	})
}

// TestHostCountsSequencesOnce: the host works on each sequence of a step once, also where the layers look at another
// sequence beside their own.
func TestHostCountsSequencesOnce(t *testing.T) {
	for _, name := range []string{"llama2-7b", "t5-large"} {
		const batch = 3
		m := preset(t, "a100-sxm-80gb")
		m.Runtime.Profiles[0].Host = &arch.Host{Sequence: units.Millisecond}
		p, err := plan.Build(m, model(t, name, llm.Workload{Phase: "decode", Batch: batch, Prompt: 64}), plan.Mapping{})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.HostAmount(p.Entry); got != batch*units.Millisecond {
			t.Errorf("%s: the host takes %v for %d sequences of a millisecond each", name, got, batch)
		}
	}
}
