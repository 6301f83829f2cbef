package eval

import "github.com/stratasim/strata/traces"

// Serving is what a server in steady state does.
type Serving struct {
	Arrivals          string  `json:"arrivals"`
	Concurrency       int64   `json:"concurrency"`   // requests in work
	CycleSeconds      float64 `json:"cycle_seconds"` // in which each of them is answered once
	RequestsPerSecond float64 `json:"requests_per_second"`
	PrefillShare      float64 `json:"prefill_share"`       // of the cycle: steps that prefill, whatever they decode beside it
	DecodeSeconds     float64 `json:"decode_step_seconds"` // of a step that only decodes; 0 if there is none
}

// serving derives the figures of one cycle of a server (see llm.Workload): every request in work is prefilled once and
// decoded to its end. A request sees the whole cycle pass, T = TTFT + (tokens - 1)·TPOT. In the steady state it waits for
// its own prefill before its first token, in a burst for half of those of the others too. Where a cycle has more passes than
// a request has tokens, one that decodes is given a token by each pass, and waits for its prefill until then. It returns the
// tokens of the cycle.
func (r *Request) serving(res *Result) float64 {
	a, g := &res.Answer, r.Graph
	s := &Serving{Arrivals: g.Arrivals, Concurrency: g.Batch * res.Program.InFlight(), CycleSeconds: a.Seconds}
	var prefill, own float64
	var passes int64
	for _, mark := range res.Outcome.Marks {
		section := res.section(&mark)
		t := (mark.End - mark.Start).Seconds()
		passes += section.Steps
		if section.Phase != traces.Prefill.String() {
			s.DecodeSeconds = t / float64(section.Steps)
			continue
		}
		prefill += t
		if own == 0 {
			own = t / float64(section.Steps)
		}
	}
	after := float64(g.Generate - 1) // tokens after the first
	a.TTFTSeconds, a.TPOTSeconds = own, 0
	switch {
	case g.Arrivals == traces.Burst:
		a.TTFTSeconds = (prefill + own) / 2
	case g.Generate > 0 && passes > g.Generate:
		a.TTFTSeconds = a.Seconds * (1 - after/float64(passes))
	}
	if g.Generate > 1 {
		a.TPOTSeconds = (a.Seconds - a.TTFTSeconds) / after
	}
	if a.Seconds > 0 {
		s.RequestsPerSecond, s.PrefillShare = float64(s.Concurrency)/a.Seconds, prefill/a.Seconds
	}
	a.Serving = s
	return float64(g.Batch) * float64(g.Generate)
}
