package sweep

import (
	"context"
	"fmt"
	"time"

	"github.com/stratasim/strata/experiments/shard"
	"github.com/stratasim/strata/experiments/store"
)

// Plan is what a sweep would run.
type Plan struct {
	// Space is how many points the file has; Same are those of the ones looked at that differ from others only on axes which are off.
	Space, Looked, Same int64
	// Refused counts the points of those looked at that would not be run, by status and reason.
	Refused map[Refusal]int64
	// Runs is how many of those looked at would be run.
	Runs int64
	// First are the first points, at most as many as were asked for.
	First []Listed
	// Probed points took ProbeSeconds to run, one after the other.
	Probed       int64
	ProbeSeconds float64
}

// Refusal is why points are not run.
type Refusal struct{ Status, Reason string }

// Listed is a point of a plan.
type Listed struct {
	Index  int64
	Values []Value
	Status string // "" if it would be run
	Reason string
}

// PlanOptions of Plan.
type PlanOptions struct {
	Shard shard.Shard
	// First is how many points are listed; Look how many are checked, spread over the space, and Probe how many of these are run.
	First, Look, Probe int64
	Workers            int
}

// Plan looks at the points of a space, all of them or as many spread over it, and runs some to tell how long all will take.
func (s *Space) Plan(ctx context.Context, o PlanOptions) (*Plan, error) {
	if o.Shard.Count == 0 {
		o.Shard = shard.Shard{Count: 1}
	}
	n := o.Shard.Size(s.count)
	p := &Plan{Space: n, Refused: map[Refusal]int64{}}
	r := &runner{space: s, build: NewBuilder(s), guard: watch(0)}
	defer r.guard.stop()
	looks := min(n, max(o.Look, o.First))
	at := func(k int64) int64 { // the place of the k-th point that is looked at
		if k < o.First || looks == n {
			return o.Shard.Index + k*o.Shard.Count
		}
		return o.Shard.Index + (k*(n-1)/max(looks-1, 1))*o.Shard.Count
	}
	var runs []int64
	for k := range looks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		i := at(k)
		values, ok, err := s.Point(i)
		p.Looked++
		if err == nil && !ok {
			p.Same++
			continue
		}
		l := Listed{Index: i, Values: values}
		if err != nil {
			l.Status, l.Reason = Invalid, err.Error()
		} else {
			var point store.Point
			r.begun(&point, values)
			l.Status, l.Reason = point.Status, point.Reason
		}
		if l.Status == "" {
			p.Runs++
			runs = append(runs, i)
		} else {
			p.Refused[Refusal{l.Status, l.Reason}]++
		}
		if int64(len(p.First)) < o.First {
			p.First = append(p.First, l)
		}
	}
	start := time.Now()
	probes := min(o.Probe, int64(len(runs)))
	for k := range probes {
		out := r.point(ctx, runs[k*int64(len(runs)-1)/max(probes-1, 1)])
		if out == nil {
			return nil, ctx.Err()
		}
		if time.Since(start) > probeAtMost {
			p.Probed = k + 1
			break
		}
		p.Probed = k + 1
	}
	p.ProbeSeconds = time.Since(start).Seconds()
	return p, nil
}

// probeAtMost is how long a probe goes on.
const probeAtMost = 5 * time.Second

// Expected is how many points are run of the whole space, in proportion to those looked at, and how many seconds that takes on so many
// workers; 0 if nothing was probed.
func (p *Plan) Expected(workers int) (points int64, seconds float64) {
	if p.Looked == 0 {
		return 0, 0
	}
	points = int64(float64(p.Space) * float64(p.Runs) / float64(p.Looked))
	if p.Probed > 0 {
		seconds = float64(points) * p.ProbeSeconds / float64(p.Probed) / float64(max(workers, 1))
	}
	return points, seconds
}

// String is the value for people.
func (v Value) String() string {
	if v.Off {
		return "-"
	}
	if v.Text != "" {
		return v.Text
	}
	return fmt.Sprint(v.Any)
}
