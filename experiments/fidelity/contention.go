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
	// Least and Most bound the size of the gap; Most 0 is no bound.
	Least, Most float64
	// Why says what meets, and what the closed form knows of it.
	Why string
}

// Shows reports whether the gap of the case is one that contention has to show.
func (c *Case) Shows() bool { return c.Least > 0 }

// least is the gap that contention has to show.
const least = 0.10

// same is the gap that stays where both fidelities know what meets.
const same = 0.01

// Cases returns the cases, class by class.
func Cases() []Case {
	return []Case{
		{Class: Fetches, Name: "Mixtral on SN40L, decode, half of the cold experts guessed", Least: least,
			Request: `{"arch":"sn40l","model":"mixtral-8x7b","phase":"decode","batch":8,"past_len":4096,"lookahead":0.5}`,
			Why:     "what the router has chosen comes from DDR while the guess for the next layer does. The closed form knows that the DDR has to carry both; that a layer waits for the first, which takes twice as long, only events see"},
		{Class: Fetches, Name: "Qwen3 30B-A3B on SN40L, decode, half of the cold experts guessed", Least: least,
			Request: `{"arch":"sn40l","model":"qwen3-30b-a3b","phase":"decode","batch":32,"past_len":4096,"lookahead":0.5}`, Why: "as above, with layers and copies of about the same length"},
		{Class: Fetches, Name: "Mixtral on SN40L, prefill, half of the cold experts guessed", Least: least,
			Request: `{"arch":"sn40l","model":"mixtral-8x7b","phase":"prefill","batch":8,"prompt":512,"lookahead":0.5}`, Why: "as above beside layers that the cores limit"},
		{Class: Fetches, Name: "Llama 3 70B on GH200, decode, 15 GiB of it in the host's memory", Least: least,
			Request: `{"arch":"gh200-144","model":"llama3-70b","phase":"decode","batch":44,"past_len":2048,"offload":"host"}`,
			Why:     "copies write into the HBM that the layers beside them read. In closed form a layer takes as long as alone, as long as HBM could carry both"},
		{Class: Collectives, Name: "two collectives through the top of a fat tree, a third after one of them", Least: least,
			Request: `{"network":{"topology":"fat-tree","dims":8,"leaf":4,"oversubscription":4,"link_gigabytes_per_second":50,"latency_ns":500,"jobs":[{"name":"gradients","ranks":[0,4],"bytes":1e9},{"name":"boundary","ranks":[1,5],"bytes":1e9},{"name":"next","ranks":[5,6],"bytes":1e9}]}}`,
			Why:     "the first two halve each other's rate; the third waits for the second. The closed form knows what the links have to carry, and the path of times alone"},
		{Class: Collectives, Name: "two collectives on a mesh that meet on two links, a third after one of them", Least: least,
			Request: `{"network":{"topology":"mesh","dims":8,"link_gigabytes_per_second":50,"latency_ns":500,"jobs":[{"name":"a","ranks":[1,5],"bytes":1e8},{"name":"b","ranks":[3,6],"bytes":1e8},{"name":"c","ranks":[6,7],"bytes":1e8}]}}`, Why: "as above"},
		{Class: Collectives, Name: "Llama 2 7B under ZeRO 3 on eight H100, a step of training", Most: same,
			Request: `{"arch":"mosaic-h100","model":"llama2-7b","phase":"train","seq_len":2048,"global_batch":8,"micro_batch":1,"parallel":{"dp":8},"zero":3}`,
			Why:     "gathers and reductions beside kernels hold cores and HBM, which makes the step 13 % longer. Ranks are played in both fidelities (decision 0012), so both know"},
		{Class: Refresh, Name: "random reads of GDDR6, banks refreshed one by one", Least: least,
			Request: `{"dram":{"standard":"GDDR6-14000","kind":"random","refresh":"pb"}}`,
			Why:     "reads queue for the bank that is refreshed while others idle. The closed form takes the share of the time off; without refresh the two agree to 0.1 %"},
		{Class: Refresh, Name: "random reads of HBM2E, banks refreshed one by one", Least: least, Request: `{"dram":{"standard":"HBM2E-3200","kind":"random","refresh":"pb"}}`, Why: "as above; without refresh they are 2 % apart"},
		{Class: Refresh, Name: "3000 lines of HBM3 that end before the next refresh", Least: least, Request: `{"dram":{"standard":"HBM3-6400","kind":"seq","requests":3000}}`,
			Why: "a burst that falls between two refreshes has none. The closed form knows no phase, and is slower here"},
		{Class: PowerCap, Name: "Mixtral on H100 at 700 W, prefill, experts in the host's memory", Least: least,
			Request: `{"arch":"h100-sxm","model":"mixtral-8x7b","phase":"prefill","batch":8,"prompt":2048,"offload":"host","lookahead":0.5}`,
			Why:     "copies that wait for one another draw less power: events stay below the limit at the full clock, the closed form is at it and lowers its clock. Without a limit it is 13.9 % off"},
		{Class: PowerCap, Name: "the same at 300 W", Most: same,
			Request: `{"arch":"h100-sxm","model":"mixtral-8x7b","phase":"prefill","batch":8,"prompt":2048,"offload":"host","lookahead":0.5,"power_limit":300}`,
			Why:     "where the limit binds in both, time is the energy of the work over the limit, and energy is planned. The clock is 12 % higher in events, which hides all waiting"},
		{Class: PowerCap, Name: "Llama 2 13B on A100 at 200 W, prefill and decode", Most: same,
			Request: `{"arch":"a100-sxm-80gb","model":"llama2-13b","phase":"generate","batch":8,"prompt":4096,"generate":32,"power_limit":200}`,
			Why:     "phases and steps have each a clock of their own in both fidelities, so that the closed form averages no more than events do"},
	}
}

// Shown is what a case came to.
type Shown struct {
	Case
	Analytic, Event float64 // seconds
	// Stall is the cause that events charge most more to, or what an answer without stalls is bound by.
	Stall string
}

// Gap is analytic/event − 1.
func (s *Shown) Gap() float64 { return s.Analytic/s.Event - 1 }

// Within reports whether the gap is as large, or as small, as it has to be.
func (s *Shown) Within() bool {
	g := math.Abs(s.Gap())
	return g >= s.Least && (s.Most == 0 || g <= s.Most)
}

// Contention answers the cases in both fidelities, on all cores.
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
	var both [2]figures
	for i, fidelity := range []string{eval.Analytic, eval.Event} {
		got, err := o.Answer(ctx, []byte(c.WithFidelity(fidelity)))
		if err == nil {
			err = json.Unmarshal(got, &both[i])
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", c.Name, err)
		}
		if both[i].Status != string(oracle.OK) || !(both[i].Seconds > 0) {
			return s, fmt.Errorf("%s: %s is %s: %s", c.Name, c.Request, both[i].Status, both[i].Error)
		}
	}
	s.Analytic, s.Event = both[0].Seconds, both[1].Seconds
	if s.Stall = both[1].BoundBy; s.Stall == "" {
		s.Stall = "dram"
	}
	var most float64
	for _, c := range sim.Causes() {
		if more := both[1].Stalls[c.String()] - both[0].Stalls[c.String()]; more > most {
			most, s.Stall = more, c.String()
		}
	}
	return s, nil
}

// WithFidelity is the request with a fidelity.
func (c *Case) WithFidelity(fidelity string) string {
	return fmt.Sprintf(`%s,"fidelity":%q}`, strings.TrimSuffix(c.Request, "}"), fidelity)
}
