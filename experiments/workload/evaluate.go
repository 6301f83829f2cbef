package workload

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/stratasim/strata/arch/eval"
)

// Figures are those of one request, or of the batch of alike requests that it is in.
type Figures struct {
	Seconds, TTFT, TPOT float64 // 0 where there is none
	Joules              float64 // of the batch
	TokensPerSecond     float64 // of the batch
}

// FiguresOf takes the figures out of an answer.
func FiguresOf(a *eval.Answer) Figures {
	return Figures{a.Seconds, a.TTFTSeconds, a.TPOTSeconds, a.Energy.Joules, a.TokensPerSecond}
}

// Evaluate times each distinct length of the workload once, several at a time, and returns what they come to over all
// requests, and the length whose latency is the median. run times one length; it must be safe for several goroutines.
// The result does not depend on how many there are; of several errors it is that of the first length. Progress, if not nil, is
// told how many of how many lengths are done.
func (w *Workload) Evaluate(ctx context.Context, generates bool, batch int64, run func(context.Context, Lengths) (Figures, error),
	progress func(done, of int)) (*eval.Distribution, Lengths, error) {
	entries := w.For(generates, false)
	list := make([]Lengths, len(entries))
	at := make(map[Lengths]int, len(entries))
	for i, e := range entries {
		list[i], at[e.Lengths] = e.Lengths, i
	}
	// Lengths rounded down are mostly lengths that other requests are rounded up to.
	var down []Entry
	if w.Round > 1 {
		down = w.For(generates, true)
		for _, e := range down {
			if _, ok := at[e.Lengths]; !ok {
				at[e.Lengths] = len(list)
				list = append(list, e.Lengths)
			}
		}
	}
	figures, err := all(ctx, list, run, progress)
	if err != nil {
		return nil, Lengths{}, err
	}
	d := &eval.Distribution{Workload: w.Name, Requests: w.Requests, Distinct: int64(len(entries)), Seed: w.Seed, Quantiles: eval.NearestRank}
	spread := func(of func(i int) (float64, bool)) []Value {
		var values []Value
		for i, e := range entries {
			if x, has := of(i); has {
				values = append(values, Value{x, e.Weight})
			}
		}
		return values
	}
	optional := func(of func(f *Figures) float64) *eval.Spread {
		values := spread(func(i int) (float64, bool) { x := of(&figures[i]); return x, x > 0 })
		if len(values) == 0 {
			return nil
		}
		s := SpreadOf(values)
		return &s
	}
	d.PromptTokens = SpreadOf(spread(func(i int) (float64, bool) { return float64(list[i].Prompt), true }))
	d.GenerateTokens = SpreadOf(spread(func(i int) (float64, bool) { return float64(list[i].Generate), true }))
	d.TTFT = optional(func(f *Figures) float64 { return f.TTFT })
	d.TPOT = optional(func(f *Figures) float64 { return f.TPOT })
	latency := spread(func(i int) (float64, bool) { return figures[i].Seconds, true })
	median := list[Median(latency)]
	d.Latency = SpreadOf(latency)
	d.JoulesPerRequest = SpreadOf(spread(func(i int) (float64, bool) { return figures[i].Joules / float64(batch), true }))
	d.TokensPerSecond = SpreadOf(spread(func(i int) (float64, bool) { return figures[i].TokensPerSecond, true }))
	var tokens, seconds float64
	for i, e := range entries {
		t := float64(e.Weight) * figures[i].Seconds
		seconds += t
		tokens += float64(t * figures[i].TokensPerSecond)
	}
	if seconds > 0 {
		d.TotalTokensPerSecond = tokens / seconds
	}
	if len(entries) == 1 {
		d.TotalTokensPerSecond = figures[0].TokensPerSecond
	}
	if w.Round > 1 {
		d.Round = w.Round
		var low []Value
		for _, e := range down {
			low = append(low, Value{figures[at[e.Lengths]].Seconds, e.Weight})
		}
		if mean := SpreadOf(low).Mean; mean > 0 {
			d.RoundError = max(0, d.Latency.Mean/mean-1)
		}
	}
	return d, median, nil
}

// all times all lengths.
func all(ctx context.Context, list []Lengths, run func(context.Context, Lengths) (Figures, error), progress func(done, of int)) ([]Figures, error) {
	figures := make([]Figures, len(list))
	var next, done atomic.Int64
	var mu sync.Mutex
	failed, failure := len(list), error(nil) // the first length that failed
	var team sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(list)) {
		team.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(list); i = int(next.Add(1)) - 1 {
				mu.Lock()
				stop := failed < i // those before the first that failed are under way
				mu.Unlock()
				if stop {
					return
				}
				f, err := run(ctx, list[i])
				if err != nil {
					mu.Lock()
					if i < failed {
						failed, failure = i, err
					}
					mu.Unlock()
					return
				}
				figures[i] = f
				if n := int(done.Add(1)); progress != nil {
					progress(n, len(list))
				}
			}
		})
	}
	team.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return figures, failure
}
