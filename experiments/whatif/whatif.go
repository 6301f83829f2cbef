package whatif

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/stratasim/strata/arch/eval"
)

// Progress is told how many of the questions have been answered. It is called from several goroutines.
type Progress func(done, of int)

// Each calls f with 0 to n−1, on as many goroutines as there are processors. The error is that of the least number that
// has one, whatever the order in which they ran.
func Each(ctx context.Context, n int, progress Progress, f func(i int) error) error {
	errs := make([]error, n)
	var next, done atomic.Int64
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wait.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return
				}
				errs[i] = f(i)
				if k := done.Add(1); progress != nil {
					progress(int(k), n)
				}
			}
		})
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// plain is a request for the figures alone, without what an answer compares itself with.
func plain(r *eval.Request) eval.Request {
	q := *r
	q.Advise, q.Observer, q.Progress, q.Plain = false, nil, nil, nil
	return q
}

// percent is the change from before to after in percent of before.
func percent(before, after float64) float64 {
	if before == after || before == 0 {
		return 0
	}
	return 100 * ((after - before) / before)
}

// picoseconds is a time as the simulator counts it.
func picoseconds(seconds float64) int64 { return int64(math.Round(seconds * 1e12)) }
