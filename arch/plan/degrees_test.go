package plan_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/traces/llm"
)

// TestDegrees fills in what is left out, as docs/many-chips.md says.
func TestDegrees(t *testing.T) {
	for _, c := range []struct {
		p    plan.Mapping
		want plan.Degrees
	}{
		{plan.Mapping{}, plan.Degrees{TP: 1, AttnDP: 1, EP: 1, MoETP: 1}},
		{plan.Mapping{TP: 8}, plan.Degrees{TP: 8, AttnDP: 1, EP: 1, MoETP: 8}},
		{plan.Mapping{TP: 8, EP: 8}, plan.Degrees{TP: 8, AttnDP: 1, EP: 8, MoETP: 1}},
		{plan.Mapping{TP: 8, EP: 4}, plan.Degrees{TP: 8, AttnDP: 1, EP: 4, MoETP: 2}},
		{plan.Mapping{EP: 8}, plan.Degrees{TP: 1, AttnDP: 8, EP: 8, MoETP: 1}},
		{plan.Mapping{TP: 2, EP: 8}, plan.Degrees{TP: 2, AttnDP: 4, EP: 8, MoETP: 1}},
		{plan.Mapping{TP: 2, AttnDP: 4}, plan.Degrees{TP: 2, AttnDP: 4, EP: 1, MoETP: 8}},
		{plan.Mapping{TP: 2, AttnDP: 4, MoETP: 2}, plan.Degrees{TP: 2, AttnDP: 4, EP: 4, MoETP: 2}},
		{plan.Mapping{MoETP: 2, EP: 4}, plan.Degrees{TP: 1, AttnDP: 8, EP: 4, MoETP: 2}},
	} {
		if got := c.p.Degrees(); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.p, got, c.want)
		}
	}
}

// TestNormalize writes the same mapping in one way, and means the same by it.
func TestNormalize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int64{0, 1, 2, 4, 8})
		p := plan.Mapping{TP: n.Draw(t, "tp"), EP: n.Draw(t, "ep"), MoETP: n.Draw(t, "moe tp"), AttnDP: n.Draw(t, "attn dp")}
		d := p.Degrees()
		if d.Chips() != d.Experts() {
			t.Skip("does not go together")
		}
		full, short := plan.Mapping{TP: d.TP, EP: d.EP, MoETP: d.MoETP, AttnDP: d.AttnDP}, p
		short.Normalize()
		full.Normalize()
		same := func(a, b plan.Mapping) bool {
			return a.TP == b.TP && a.PP == b.PP && a.EP == b.EP && a.MoETP == b.MoETP && a.AttnDP == b.AttnDP
		}
		if !same(full, short) || short.Degrees() != d {
			t.Errorf("%+v: %+v and %+v, %+v", p, short, full, d)
		}
	})
}

// TestExpertWeights: what a chip has of the experts is their part, however they are divided; what is dense goes with TP.
func TestExpertWeights(t *testing.T) {
	m, err := presets.Machine("h100-sxm")
	if err != nil {
		t.Fatal(err)
	}
	weights := func(p plan.Mapping) int64 {
		g := model(t, "mixtral-8x7b", llm.Workload{Phase: "decode", Batch: 8, Prompt: 64, Groups: p.Degrees().AttnDP})
		fp, err := plan.Footprint(m, g, p)
		if err != nil {
			t.Fatal(err)
		}
		return int64(fp.Weights)
	}
	// Mixtral: 32 layers of 8 experts, three matrices of 4096x14336 each, 2 B.
	const experts = 32 * 8 * 3 * 4096 * 14336 * 2
	one := weights(plan.Mapping{TP: 1})
	rest := one - experts
	for _, p := range []plan.Mapping{{TP: 8}, {TP: 8, EP: 8}, {TP: 8, EP: 2}} {
		if got := weights(p); got < experts/8+rest/8 || got > experts/8+rest/8+rest/50 { // routers and norms are whole
			t.Errorf("%+v: %d B, all experts %d, the rest %d", p, got, int64(experts), rest)
		}
	}
	for _, p := range []plan.Mapping{{EP: 8}, {AttnDP: 8}, {EP: 4, AttnDP: 8}} {
		if got := weights(p); got != experts/8+rest {
			t.Errorf("%+v: %d B, all experts %d, the rest %d", p, got, int64(experts), rest)
		}
	}
	if got := weights(plan.Mapping{TP: 2, EP: 8}); got < experts/8+rest/2 || got > experts/8+rest/2+rest/50 {
		t.Errorf("tp 2, ep 8: %d B", got)
	}
}

// TestExchangedBytes counts what a chip sends around the experts, by hand, for Mixtral's 4096 elements a token and 32 layers.
func TestExchangedBytes(t *testing.T) {
	m, err := presets.Machine("h100-sxm")
	if err != nil {
		t.Fatal(err)
	}
	const layers, token = 32, 4096 * 2
	sent := func(p plan.Mapping, batch int64) map[string]int64 {
		g := model(t, "mixtral-8x7b", llm.Workload{Phase: "decode", Batch: batch, Prompt: 64, Groups: p.Degrees().AttnDP})
		prog, err := plan.Build(m, g, p)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]int64{"link": prog.Counted("link.sent"), "nic": prog.Counted("nic.sent")}
	}
	// All tokens of 8 groups come to each chip: it sends 7/8 of what arrives, and of what goes back.
	if got := sent(plan.Mapping{EP: 8}, 64)["link"]; got != layers*2*64*token*7/8 {
		t.Errorf("gathered: %d B", got)
	}
	// Each token goes to 2 of 8 ranks: 16 tokens arrive of 64, or a quarter of the bytes.
	if got := sent(plan.Mapping{EP: 8, Exchange: plan.Dispatch}, 64)["link"]; got != layers*2*16*token*7/8 {
		t.Errorf("dispatched: %d B", got)
	}
	// Two ranks of four experts: both get a token unless its two experts are of one rank.
	if got := sent(plan.Mapping{EP: 2, Exchange: plan.Dispatch}, 64)["link"]; got <= layers*2*32*token/2 || got >= layers*2*64*token/2 {
		t.Errorf("dispatched to two: %d B", got)
	}
	// On one group, nothing but all-reduces: attention and experts of 64 tokens each, and the ends.
	all := sent(plan.Mapping{TP: 8}, 64)["link"]
	if got := sent(plan.Mapping{TP: 8, EP: 8}, 64)["link"]; got != all {
		t.Errorf("experts shared out within a group: %d B, divided ones %d", got, all)
	}
	// Two nodes: bytes leave them.
	if got := sent(plan.Mapping{EP: 8, AttnDP: 16, MoETP: 2}, 64); got["nic"] == 0 {
		t.Errorf("two nodes: %v", got)
	}
}

// TestRateOfAGroup: an all-reduce over two chips takes the links that lead to the other one, whatever else the eight chips of the mapping
// do; through a switch all links lead everywhere.
func TestRateOfAGroup(t *testing.T) {
	for _, name := range []string{"mi300x", "h100-sxm", "tpu-v6e"} {
		m := preset(t, name)
		rates := func(p plan.Mapping, batch int64) (slowest, fastest float64) {
			g := model(t, "mixtral-8x7b", llm.Workload{Phase: "decode", Batch: batch, Prompt: 64, Groups: p.Degrees().AttnDP})
			p.Overfull = true
			prog, err := plan.Build(m, g, p)
			if err != nil {
				t.Fatal(err)
			}
			slowest = math.Inf(1)
			var walk func(*plan.Body)
			walk = func(b *plan.Body) {
				for i := range b.Nodes {
					n := &b.Nodes[i]
					if n.Body != nil {
						walk(n.Body)
						continue
					}
					if k := b.Kernel(); k < 0 || prog.Ops[k].Kind != "all-reduce" {
						continue
					}
					for _, u := range n.Step.Uses {
						if r := &prog.Resources[u.Resource]; r.Name == plan.LinkResource {
							rate := float64(u.Amount) * float64(r.Rate) / float64(u.Occupied())
							slowest, fastest = min(slowest, rate), max(fastest, rate)
						}
					}
				}
			}
			walk(prog.Entry)
			return slowest, fastest
		}
		least, most := rates(plan.Mapping{TP: 2}, 8)
		a, b := rates(plan.Mapping{TP: 2, EP: 8}, 32) // as many tokens for each two chips
		if most == 0 || math.Abs(a/least-1) > 1e-3 || math.Abs(b/most-1) > 1e-3 {
			t.Errorf("%s: %.4g to %.4g B/s over two chips, of eight %.4g to %.4g", name, least, most, a, b)
		}
	}
}

// TestDivisionsThatDoNotSuit names field, reason and hint.
func TestDivisionsThatDoNotSuit(t *testing.T) {
	m, err := presets.Machine("h100-sxm")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		model             string
		p                 plan.Mapping
		field, want, hint string
	}{
		{"llama2-7b", plan.Mapping{TP: 8, EP: 8}, "ep", "no experts", "leave it out"},
		{"llama2-7b", plan.Mapping{TP: 1, MoETP: 2}, "moe-tp", "no experts", "leave it out"},
		{"mixtral-8x7b", plan.Mapping{TP: 1, EP: 3, AttnDP: 3}, "ep", "3 ranks do not share out 8 experts", "try 2 or 4"},
		{"mixtral-8x7b", plan.Mapping{TP: 4, EP: 6}, "ep", "no whole number of groups", "multiple of 4"},
		{"mixtral-8x7b", plan.Mapping{TP: 8, EP: 3}, "ep", "must be as many", "try 2 or 4"},
		{"mixtral-8x7b", plan.Mapping{TP: 2, AttnDP: 2, EP: 8, MoETP: 1}, "ep", "must be as many", "try --ep 4"},
		{"mixtral-8x7b", plan.Mapping{TP: 1, AttnDP: 3}, "attn-dp", "3 chips do not divide the 14336 inner elements", "ep shares out"},
		{"mixtral-8x7b", plan.Mapping{TP: 3}, "tp", "3 chips do not divide the 14336 inner elements", "try 2 or 4"},
		{"mixtral-8x7b", plan.Mapping{TP: 1, EP: -1}, "ep", "must be from 1", ""},
		{"mixtral-8x7b", plan.Mapping{TP: 1 << 40}, "tp", "must be from 1", ""},
		{"mixtral-8x7b", plan.Mapping{TP: 2, Exchange: "ring"}, "exchange", `"ring" is unknown`, "gather or all-to-all"},
		{"mixtral-8x7b", plan.Mapping{TP: 1, AttnDP: 2}, "attn-dp", "that of one of 1", "trace"},
	} {
		groups := c.p.Degrees().AttnDP
		if c.want == "that of one of 1" || groups > 64 || groups < 1 {
			groups = 0
		}
		if c.model != "mixtral-8x7b" {
			groups = 0
		}
		g := model(t, c.model, llm.Workload{Phase: "decode", Batch: 64, Prompt: 64, Groups: groups})
		_, err := plan.Build(m, g, c.p)
		var invalid *plan.Invalid
		if !errors.As(err, &invalid) || invalid.Field != c.field || !strings.Contains(invalid.Message, c.want) || !strings.Contains(invalid.Hint, c.hint) {
			t.Errorf("%+v: %v", c.p, err)
		}
	}
}
