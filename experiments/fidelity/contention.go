package fidelity

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/sim"
)

// Classes of contention.
const (
	Fetches     = "experts and layers that are fetched beside others"
	Collectives = "collectives beside others and beside kernels"
	Refresh     = "refresh of DRAM"
	PowerCap    = "the power limit"
)

// Case is a request in which things meet, and how large its gap has to be.
type Case struct {
	Class, Name string
	// Request is one of strata estimate, to which the fidelity is added.
	Request string
	// Without changes the request into one in which nothing meets: members that are added to it or take the place of its own, as a JSON merge
	// patch has them (RFC 7396).
	Without string
	// Least and Most bound the size of the gap; Most 0 is no bound.
	Least, Most float64
	// Spared says that what could meet does not by events, so that it costs them nothing, and that the closed form charges it all the same.
	Spared bool
	// Why says what meets, and what the closed form knows of it.
	Why string
}

// Ways to leave out what meets. A step of training keeps what streams of a kernel cost one another: that is no collective's.
const (
	alone     = `{"ideal":["contention"]}`
	beside    = `{"ideal":["collectives"]}`
	noRefresh = `{"dram":{"refresh":"none"}}`
	noLimit   = `{"ideal":["power"]}`
)

// Shows reports whether the gap of the case is one that contention has to show.
func (c *Case) Shows() bool { return c.Least > 0 }

// least is the gap that contention has to show.
const least = 0.10

// same is the gap that stays where both fidelities know what meets.
const same = 0.01

// LeastCost is what has to meet in a case, as a share of the time by events without it; MostSpared what may where events are spared it.
const (
	LeastCost  = 0.10
	MostSpared = 0.01
)

// Cases returns the cases, class by class.
func Cases() []Case {
	return []Case{
		{Class: Fetches, Without: alone, Name: "Mixtral on SN40L, decode, half of the cold experts guessed", Least: least,
			Request: `{"arch":"sn40l","model":"mixtral-8x7b","phase":"decode","batch":8,"past_len":4096,"lookahead":0.5}`,
			Why:     "what the router has chosen comes from DDR while the guess for the next layer does. The closed form knows that the DDR has to carry both; that a layer waits for the first, which takes twice as long, only events see"},
		{Class: Fetches, Without: alone, Name: "Qwen3 30B-A3B on SN40L, decode, half of the cold experts guessed", Least: least,
			Request: `{"arch":"sn40l","model":"qwen3-30b-a3b","phase":"decode","batch":32,"past_len":4096,"lookahead":0.5}`, Why: "as above, with layers and copies of about the same length"},
		{Class: Fetches, Without: alone, Name: "Mixtral on SN40L, prefill, half of the cold experts guessed", Least: least,
			Request: `{"arch":"sn40l","model":"mixtral-8x7b","phase":"prefill","batch":8,"prompt":512,"lookahead":0.5}`, Why: "as above beside layers that the cores limit"},
		{Class: Fetches, Without: alone, Name: "Llama 3 70B on GH200, decode, 15 GiB of it in the host's memory", Least: least,
			Request: `{"arch":"gh200-144","model":"llama3-70b","phase":"decode","batch":44,"past_len":2048,"offload":"host"}`,
			Why:     "copies write into the HBM that the layers beside them read. In closed form a layer takes as long as alone, as long as HBM could carry both"},
		{Class: Collectives, Without: alone, Name: "two collectives through the top of a fat tree, a third after one of them", Least: least,
			Request: `{"network":{"topology":"fat-tree","dims":8,"leaf":4,"oversubscription":4,"link_gigabytes_per_second":50,"latency_ns":500,"jobs":[{"name":"gradients","ranks":[0,4],"bytes":1e9},{"name":"boundary","ranks":[1,5],"bytes":1e9},{"name":"next","ranks":[5,6],"bytes":1e9}]}}`,
			Why:     "the first two halve each other's rate; the third waits for the second. The closed form knows what the links have to carry, and the path of times alone"},
		{Class: Collectives, Without: alone, Name: "two collectives on a mesh that meet on two links, a third after one of them", Least: least,
			Request: `{"network":{"topology":"mesh","dims":8,"link_gigabytes_per_second":50,"latency_ns":500,"jobs":[{"name":"a","ranks":[1,5],"bytes":1e8},{"name":"b","ranks":[3,6],"bytes":1e8},{"name":"c","ranks":[6,7],"bytes":1e8}]}}`, Why: "as above"},
		{Class: Collectives, Without: alone, Name: "four all-reduces of gradients through the top of a fat tree, two of activations after them", Least: least,
			Request: `{"network":{"topology":"fat-tree","dims":8,"leaf":4,"oversubscription":4,"link_gigabytes_per_second":50,"latency_ns":500,"jobs":[{"name":"gradients 0","ranks":[0,4],"bytes":2.5e8},{"name":"gradients 1","ranks":[1,5],"bytes":2.5e8},{"name":"gradients 2","ranks":[2,6],"bytes":2.5e8},{"name":"gradients 3","ranks":[3,7],"bytes":2.5e8},{"name":"activations 0","ranks":[0,1,2,3],"bytes":5e8},{"name":"activations 1","ranks":[4,5,6,7],"bytes":5e8}]}}`,
			Why:     "data-parallel groups, one for each rank of a leaf, share its way to the other, and the tensor-parallel groups within the leaves wait for all of them. The closed form adds the time of an all-reduce alone to what follows"},
		{Class: Collectives, Without: beside, Name: "GPT-3 2.7B on sixteen A100 in two nodes, a step of training, gradients summed beside the backward pass", Most: same,
			Request: `{"arch":"a100-sxm-80gb","model":"gpt3-2.7b","phase":"train","seq_len":512,"global_batch":16,"micro_batch":1,"parallel":{"dp":16},"framework":"fsdp"}`,
			Why:     "all-reduces beside kernels hold cores and HBM. Ranks are played in both fidelities (decision 0012), so both know"},
		{Class: Collectives, Without: beside, Name: "GPT-2 XL, the same", Most: same,
			Request: `{"arch":"a100-sxm-80gb","model":"gpt2-xl","phase":"train","seq_len":512,"global_batch":16,"micro_batch":1,"parallel":{"dp":16},"framework":"fsdp"}`, Why: "as above"},
		{Class: Collectives, Without: beside, Name: "Llama 2 7B under ZeRO 3 on sixteen H100 in two nodes, a step of training", Most: same,
			Request: `{"arch":"aws-p5","model":"llama2-7b","phase":"train","seq_len":2048,"global_batch":16,"micro_batch":1,"parallel":{"dp":16},"zero":3,"framework":"fsdp"}`, Why: "as above, of weights that are gathered and gradients that are reduced and scattered"},
		{Class: Collectives, Without: beside, Name: "OPT 13B under ZeRO 3 on 64 H100 in eight nodes, a step of training", Most: same,
			Request: `{"arch":"aws-p5","model":"opt-13b","phase":"train","seq_len":2048,"global_batch":64,"micro_batch":1,"parallel":{"dp":64},"zero":3,"framework":"fsdp"}`, Why: "as above"},
		{Class: Refresh, Without: noRefresh, Name: "random reads of GDDR6, banks refreshed one by one", Least: least,
			Request: `{"dram":{"standard":"GDDR6-14000","kind":"random","refresh":"pb"}}`,
			Why:     "reads queue for the bank that is refreshed while others idle. The closed form takes the share of the time off; without refresh the two agree to 0.1 %"},
		{Class: Refresh, Without: noRefresh, Name: "random reads of HBM2E, banks refreshed one by one", Least: least, Request: `{"dram":{"standard":"HBM2E-3200","kind":"random","refresh":"pb"}}`, Why: "as above; without refresh they are 2 % apart"},
		{Class: Refresh, Without: noRefresh, Name: "3000 lines of HBM3 that end before the next refresh", Least: least, Spared: true, Request: `{"dram":{"standard":"HBM3-6400","kind":"seq","requests":3000}}`,
			Why: "a burst that falls between two refreshes has none. The closed form knows no phase, and is slower here"},
		{Class: PowerCap, Without: noLimit, Name: "Mixtral on H100 at 700 W, prefill, experts in the host's memory", Least: least, Spared: true,
			Request: `{"arch":"h100-sxm","model":"mixtral-8x7b","phase":"prefill","batch":8,"prompt":2048,"offload":"host","lookahead":0.5}`,
			Why:     "copies that wait for one another draw less power: events stay below the limit at the full clock, the closed form is at it and lowers its clock. Without a limit it is 13.9 % off"},
		{Class: PowerCap, Without: noLimit, Name: "the same with half the batch at 400 W", Least: least,
			Request: `{"arch":"h100-sxm","model":"mixtral-8x7b","phase":"prefill","batch":4,"prompt":2048,"offload":"host","lookahead":0.5,"power_limit":400}`,
			Why:     "both lower the clock, the closed form by more as it sees less waiting. Without a limit it is 19.8 % off: what events show is the waiting for copies, and the limit hides half of it"},
		{Class: PowerCap, Without: noLimit, Name: "the same with the whole batch at 300 W", Most: same,
			Request: `{"arch":"h100-sxm","model":"mixtral-8x7b","phase":"prefill","batch":8,"prompt":2048,"offload":"host","lookahead":0.5,"power_limit":300}`,
			Why:     "where the limit binds in both, time is the energy of the work over the limit, and energy is planned. The clock is 12 % higher in events, which hides all waiting"},
		{Class: PowerCap, Without: noLimit, Name: "Llama 2 13B on A100 at 200 W, prefill and decode", Most: same,
			Request: `{"arch":"a100-sxm-80gb","model":"llama2-13b","phase":"generate","batch":8,"prompt":4096,"generate":32,"power_limit":200}`,
			Why:     "phases and steps have each a clock of their own in both fidelities, so that the closed form averages no more than events do"},
		{Class: PowerCap, Without: noLimit, Name: "Qwen3 30B-A3B on B200 at 700 W, prefill", Most: same,
			Request: `{"arch":"b200-sxm","model":"qwen3-30b-a3b","phase":"prefill","batch":8,"prompt":2048,"power_limit":700}`,
			Why:     "the limit by itself, with the largest gap among 72 such requests that a limit makes a tenth slower"},
		{Class: PowerCap, Without: noLimit, Name: "Llama 2 13B on H100 at 350 W, prefill", Most: same,
			Request: `{"arch":"h100-sxm","model":"llama2-13b","phase":"prefill","batch":8,"prompt":2048,"power_limit":350}`,
			Why:     "the limit by itself, with the largest cost among them"},
	}
}

// Shown is what a case came to.
type Shown struct {
	Case
	Analytic, Event float64 // seconds
	// Free is by events without what meets, in seconds.
	Free float64
	// Stall is the cause that events charge most more to, or what an answer without stalls is bound by.
	Stall string
}

// Gap is analytic/event − 1.
func (s *Shown) Gap() float64 { return s.Analytic/s.Event - 1 }

// Cost is what meets costs in events: event/free − 1.
func (s *Shown) Cost() float64 { return s.Event/s.Free - 1 }

// Within reports whether the gap is as large, or as small, as it has to be.
func (s *Shown) Within() bool {
	g := math.Abs(s.Gap())
	return g >= s.Least && (s.Most == 0 || g <= s.Most)
}

// Met reports whether what meets costs events a tenth, or nothing where they are spared it.
func (s *Shown) Met() bool {
	if s.Spared {
		return math.Abs(s.Cost()) <= MostSpared
	}
	return s.Cost() >= LeastCost
}

// Contention answers the cases in both fidelities and by events without what meets, on all cores.
func Contention(ctx context.Context) ([]Shown, error) {
	o := oracle.New(oracle.Options{})
	cases := Cases()
	all, failures := make([]Shown, len(cases)), make([]error, len(cases))
	var team sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range cases {
		team.Go(func() {
			slots <- struct{}{}
			all[i], failures[i] = show(ctx, o, &cases[i])
			<-slots
		})
	}
	team.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// figures are those of an answer that are compared.
type figures struct {
	Status  string             `json:"status"`
	Error   json.RawMessage    `json:"error"`
	Seconds float64            `json:"seconds"`
	BoundBy string             `json:"bound_by"`
	Stalls  map[string]float64 `json:"stalls"`
}

func show(ctx context.Context, o *oracle.Oracle, c *Case) (Shown, error) {
	s := Shown{Case: *c}
	without, err := c.Alone()
	if err != nil {
		return s, fmt.Errorf("%s: %w", c.Name, err)
	}
	var got [3]figures
	for i, request := range []string{withFidelity(c.Request, eval.Analytic), withFidelity(c.Request, eval.Event), withFidelity(without, eval.Event)} {
		text, err := o.Answer(ctx, []byte(request))
		if err == nil {
			err = json.Unmarshal(text, &got[i])
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", c.Name, err)
		}
		if got[i].Status != string(oracle.OK) || !(got[i].Seconds > 0) {
			return s, fmt.Errorf("%s: %s is %s: %s", c.Name, request, got[i].Status, got[i].Error)
		}
	}
	s.Analytic, s.Event, s.Free = got[0].Seconds, got[1].Seconds, got[2].Seconds
	if s.Stall = got[1].BoundBy; s.Stall == "" {
		s.Stall = "dram"
	}
	var most float64
	for _, c := range sim.Causes() {
		if more := got[1].Stalls[c.String()] - got[0].Stalls[c.String()]; more > most {
			most, s.Stall = more, c.String()
		}
	}
	return s, nil
}

// Alone is the request without what meets. Its error is that it or the patch is no JSON.
func (c *Case) Alone() (string, error) {
	var request, patch map[string]any
	for _, of := range []struct {
		text string
		into *map[string]any
	}{{c.Request, &request}, {c.Without, &patch}} {
		d := json.NewDecoder(strings.NewReader(of.text))
		d.UseNumber() // digits stay as they are written
		if err := d.Decode(of.into); err != nil {
			return "", fmt.Errorf("%.60q: %w", of.text, err)
		}
	}
	merge(request, patch)
	text, err := json.Marshal(request)
	return string(text), err
}

// merge changes an object as a patch of it says.
func merge(object, patch map[string]any) {
	for name, v := range patch {
		of, nested := v.(map[string]any)
		if was, ok := object[name].(map[string]any); nested && ok {
			merge(was, of)
			continue
		}
		object[name] = v
	}
}

// withFidelity is a request with a fidelity.
func withFidelity(request, fidelity string) string {
	return fmt.Sprintf(`%s,"fidelity":%q}`, strings.TrimSuffix(request, "}"), fidelity)
}
