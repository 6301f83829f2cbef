package flow

import (
	"fmt"
	"math"
	"slices"
)

// Job is a collective of one group among others.
type Job struct {
	Name string
	Collective
}

// Span is when a job starts, its last rank having come to it, and when it ends.
type Span struct{ Start, End float64 }

// mostJobs bounds what is played at a time.
const mostJobs = 1000

// Play runs jobs that share the links. Each rank takes part in its jobs one after the other, in the order of the list unless orders
// says otherwise; a job starts when all ranks of its group have come to it. Errors are of type *Error: ranks that would wait for one
// another for ever are named with the groups that they are in.
func (n *Network) Play(jobs []Job, orders map[int][]int) ([]Span, error) {
	if len(jobs) == 0 || len(jobs) > mostJobs {
		return nil, wrong("jobs", "", "%d of them: must be 1 to %d", len(jobs), mostJobs)
	}
	if int64(len(jobs))*int64(len(n.links)) > mostLinks*8 {
		return nil, wrong("jobs", "fewer of them, or a smaller network", "%d jobs on %d links are more than are played", len(jobs), len(n.links))
	}
	queue, err := n.queues(jobs, orders)
	if err != nil {
		return nil, err
	}
	spans := make([]Span, len(jobs))
	var active []*running
	var now float64
	done := 0
	for {
		for i := range jobs {
			if !ready(jobs[i].Groups[0], queue, i) || slices.ContainsFunc(active, func(r *running) bool { return r.job == i }) {
				continue
			}
			r, err := n.begin(i, &jobs[i])
			if err != nil {
				return nil, err
			}
			spans[i].Start = now
			active = append(active, r)
		}
		if len(active) == 0 {
			if done == len(jobs) {
				return spans, nil
			}
			return nil, stuck(jobs, queue)
		}
		now += n.step(active)
		active = slices.DeleteFunc(active, func(r *running) bool {
			if !r.over() {
				return false
			}
			spans[r.job].End = now
			for _, rank := range jobs[r.job].Groups[0] {
				queue[rank] = queue[rank][1:]
			}
			done++
			return true
		})
	}
}

// Fold is Play in closed form: each job takes as long as it does alone, one starts when the longest path to it has ended, and
// all together take no less than the busiest link needs for the bytes of all. So it knows no two jobs that slow each other down
// while a third waits for one of them: Play is never faster, and as fast where no link is shared. seconds is the time of all.
// Errors are those of Play.
func (n *Network) Fold(jobs []Job, orders map[int][]int) (spans []Span, seconds float64, err error) {
	busy := make([]float64, len(n.links))
	spans, err = n.alone(jobs, orders, func(r *running) {
		for k := range r.stages {
			flows := r.stages[k].flows
			for f := range int32(flows.flows()) {
				for _, l := range flows.path(f) {
					busy[l] += flows.bytes[f] / n.links[l].Rate
				}
			}
		}
	})
	for _, s := range spans {
		seconds = max(seconds, s.End)
	}
	for _, t := range busy {
		seconds = max(seconds, t)
	}
	return spans, seconds, err
}

// Alone is Play of jobs that each have all links to themselves: one takes what Time says, and starts when its ranks have come to it.
// Errors are those of Play.
func (n *Network) Alone(jobs []Job, orders map[int][]int) ([]Span, error) {
	return n.alone(jobs, orders, func(*running) {})
}

// alone is Alone, and shows each job with what its links carry.
func (n *Network) alone(jobs []Job, orders map[int][]int, show func(*running)) ([]Span, error) {
	if len(jobs) == 0 || len(jobs) > mostJobs {
		return nil, wrong("jobs", "", "%d of them: must be 1 to %d", len(jobs), mostJobs)
	}
	queue, err := n.queues(jobs, orders)
	if err != nil {
		return nil, err
	}
	free, spans := make([]float64, n.ranks), make([]Span, len(jobs))
	for left := len(jobs); left > 0; {
		before := left
		for i := range jobs {
			j := &jobs[i]
			if !ready(j.Groups[0], queue, i) {
				continue
			}
			r, err := n.begin(i, j)
			if err != nil {
				return nil, err
			}
			show(r)
			alone, err := n.Time(&j.Collective)
			if err != nil {
				return nil, err
			}
			for _, rank := range j.Groups[0] {
				spans[i].Start = max(spans[i].Start, free[rank])
			}
			spans[i].End = spans[i].Start + alone.Seconds
			for _, rank := range j.Groups[0] {
				free[rank], queue[rank] = spans[i].End, queue[rank][1:]
			}
			left--
		}
		if left == before {
			return nil, stuck(jobs, queue)
		}
	}
	return spans, nil
}

// queues lists the jobs of each rank in its order.
func (n *Network) queues(jobs []Job, orders map[int][]int) ([][]int, error) {
	queue := make([][]int, n.ranks)
	for i := range jobs {
		j := &jobs[i]
		if len(j.Groups) != 1 {
			return nil, wrong(fmt.Sprintf("jobs/%d", i), "", "%s has %d groups, one is played", j.Name, len(j.Groups))
		}
		if err := n.check(&j.Collective); err != nil {
			e := err.(*Error)
			return nil, wrong(fmt.Sprintf("jobs/%d", i), e.Hint, "%s: %s", j.Name, e.Message)
		}
		for _, rank := range j.Groups[0] {
			queue[rank] = append(queue[rank], i)
		}
	}
	for rank := range n.ranks { // in order, so that errors are the same each time
		order, ok := orders[rank]
		if !ok {
			continue
		}
		for _, i := range order {
			if i < 0 || i >= len(jobs) || !slices.Contains(queue[rank], i) {
				return nil, wrong(fmt.Sprintf("order/%d", rank), "", "rank %d is in no group of job %d", rank, i)
			}
		}
		for _, i := range queue[rank] {
			if count := len(slices.DeleteFunc(slices.Clone(order), func(k int) bool { return k != i })); count != 1 {
				return nil, wrong(fmt.Sprintf("order/%d", rank), "every rank of a group takes part once", "rank %d takes part in %s %d times, and group %s waits for it", rank, jobs[i].Name, count, name(jobs[i].Groups[0]))
			}
		}
		queue[rank] = order
	}
	for rank := range orders {
		if rank < 0 || rank >= n.ranks {
			return nil, wrong("order", "", "there is no rank %d among %d", rank, n.ranks)
		}
	}
	return queue, nil
}

// ready reports whether all ranks of a group have come to a job.
func ready(group []int, queue [][]int, job int) bool {
	for _, rank := range group {
		if len(queue[rank]) == 0 || queue[rank][0] != job {
			return false
		}
	}
	return true
}

// stuck names ranks that wait for one another.
func stuck(jobs []Job, queue [][]int) error {
	rank := slices.IndexFunc(queue, func(q []int) bool { return len(q) > 0 })
	seen := map[int]bool{}
	next := func(rank int) int { // one that it waits for
		job := queue[rank][0]
		for _, other := range jobs[job].Groups[0] {
			if len(queue[other]) > 0 && queue[other][0] != job {
				return other
			}
		}
		return rank
	}
	for !seen[rank] { // until it is in the circle
		seen[rank] = true
		rank = next(rank)
	}
	text := ""
	for at, first := rank, true; first || at != rank; first = false {
		job, other := &jobs[queue[at][0]], next(at)
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("rank %d waits in %s of group %s for rank %d", at, job.Name, name(job.Groups[0]), other)
		at = other
	}
	return wrong("order", "all ranks of two groups come to them in the same order", "the groups deadlock: %s", text)
}

// running is a job under way: its stages, of which the first has a latency to wait for and then flows with bytes left.
type running struct {
	job    int
	stages []pending
}

// pending is a stage with its repetitions drawn together.
type pending struct {
	wait  float64
	flows *routes
}

func (r *running) over() bool { return len(r.stages) == 0 }

func (n *Network) begin(i int, j *Job) (*running, error) {
	r := &running{job: i}
	list, err := n.stages(&j.Collective)
	if err != nil {
		e := err.(*Error)
		return nil, wrong(fmt.Sprintf("jobs/%d", i), e.Hint, "%s: %s", j.Name, e.Message)
	}
	var slowest float64
	for k := range list {
		s := &list[k]
		one := pending{flows: &routes{at: []int32{0}}}
		for f := range s.from {
			if err := n.route(one.flows, s.from[f], s.to[f], s.bytes[f]*s.times); err != nil {
				e := err.(*Error)
				return nil, wrong(e.Field, e.Hint, "%s of group %s: %s", j.Name, name(j.Groups[0]), e.Message)
			}
		}
		var latency float64
		for f := range int32(one.flows.flows()) {
			var sum float64
			for _, l := range one.flows.path(f) {
				sum += n.links[l].Latency
			}
			latency = max(latency, sum)
		}
		slowest = max(slowest, latency)
		one.wait = s.times * latency
		r.stages = append(r.stages, one)
	}
	if len(r.stages) > 0 {
		r.stages[0].wait += steps(j.Op, j.Algorithm, len(j.Groups[0])) * slowest
	}
	return r, nil
}

// step plays until the next wait or flow of a job is over, and returns how long that took.
func (n *Network) step(active []*running) float64 {
	all := &routes{at: []int32{0}}
	capacity := make([]float64, len(n.links))
	for l := range n.links {
		capacity[l] = n.links[l].Rate
	}
	next := math.Inf(1)
	for _, r := range active {
		if r.over() {
			next = 0
			continue
		}
		s := &r.stages[0]
		if s.wait > 0 {
			next = min(next, s.wait)
			continue
		}
		for f := range int32(s.flows.flows()) {
			all.links = append(all.links, s.flows.path(f)...)
			all.end(s.flows.bytes[f])
		}
	}
	rates := incidenceOf(all, capacity).fill(all.bytes)
	for f, x := range rates {
		if all.bytes[f] > 0 {
			next = min(next, all.bytes[f]/x)
		}
	}
	if math.IsInf(next, 1) { // stages without anything to send
		next = 0
	}
	f := 0
	for _, r := range active {
		if r.over() {
			continue
		}
		s := &r.stages[0]
		if s.wait > 0 {
			if s.wait -= next; s.wait <= next*1e-12 {
				s.wait = 0
			}
		} else {
			for i := range s.flows.bytes {
				if b := s.flows.bytes[i]; b > 0 && b/rates[f] <= next*(1+1e-12) {
					s.flows.bytes[i] = 0
				} else if b > 0 {
					s.flows.bytes[i] -= float64(next * rates[f])
				}
				f++
			}
		}
		for !r.over() && r.stages[0].wait == 0 && slices.Max(append([]float64{0}, r.stages[0].flows.bytes...)) == 0 {
			r.stages = r.stages[1:]
		}
	}
	return next
}
