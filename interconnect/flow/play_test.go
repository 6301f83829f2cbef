package flow

import (
	"strings"
	"testing"

	"github.com/stratasim/strata/interconnect"
	"pgregory.net/rapid"
)

func job(name string, bytes float64, group ...int) Job {
	return Job{name, Collective{Op: interconnect.AllReduce, Algorithm: RingAlgorithm, Bytes: bytes, Groups: [][]int{group}}}
}

// By hand: two rings of four that meet at rank 0 share its links of 1 GB/s while both run. Each moves 1.5 times its buffer.
func TestPlay(t *testing.T) {
	n := build(t, Dimension{Topology: Switch, Ranks: 8, Rate: 1e9})
	spans, err := n.Play([]Job{job("a", 4e9, 0, 1, 2, 3), job("b", 2e9, 4, 5, 6, 7), job("c", 2e9, 4, 5, 6, 7)}, nil)
	if err != nil || !near(spans[0].End, 6) || !near(spans[1].End, 3) || !near(spans[2].Start, 3) || !near(spans[2].End, 6) {
		t.Fatal(spans, err)
	}
	// Half of the links between two leaves for both, until the smaller one is done.
	tree := build(t, Dimension{Topology: FatTree, Ranks: 4, Rate: 2e9, Group: 2, Oversubscription: 4})
	spans, err = tree.Play([]Job{job("a", 4e9, 0, 2), job("b", 2e9, 1, 3)}, nil)
	if err != nil || !near(spans[1].End, 4) || !near(spans[0].End, 6) {
		t.Fatal(spans, err)
	}
}

// One job by itself takes what Time says.
func TestPlayAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dims := []Dimension{drawDimension(t, 5), drawDimension(t, 3)}
		n := build(t, dims[:rapid.IntRange(1, 2).Draw(t, "dimensions")]...)
		j := Job{"a", Collective{Op: rapid.SampledFrom(ops).Draw(t, "op"), Algorithm: rapid.SampledFrom(Algorithms).Draw(t, "algorithm"), Bytes: 1e9, Groups: everyone(n.Ranks())}}
		if why := does(j.Op, j.Algorithm, n.Ranks()); why != "" {
			t.Skip(why)
		}
		spans, err := n.Play([]Job{j}, nil)
		want, refused := n.Time(&j.Collective)
		if refused != nil {
			if err == nil || j.Algorithm != InSwitch {
				t.Fatalf("%v: %v, played %v, %v", j, refused, spans, err)
			}
			t.Skip(refused)
		}
		if err != nil || !near(spans[0].End, want.Seconds) {
			t.Fatalf("%v, %v; want %g s", spans, err, want.Seconds)
		}
	})
}

// In closed form jobs take no longer than played: as long where they share no link, or one for all of their time; less where a job
// waits for one that another slows down. By hand: across the leaves of a tree a and b have half a gigabyte a second together,
// c follows b within a leaf.
func TestFold(t *testing.T) {
	tree := build(t, Dimension{Topology: FatTree, Ranks: 6, Rate: 2e9, Group: 3, Oversubscription: 12})
	jobs := []Job{job("a", 1e9, 0, 3), job("b", 1e9, 1, 4), job("c", 4e9, 4, 5)}
	spans, seconds, err := tree.Fold(jobs, nil)
	if err != nil || !near(spans[0].End, 2) || !near(spans[1].End, 2) || !near(spans[2].Start, 2) || !near(seconds, 4) {
		t.Fatal(spans, seconds, err)
	}
	played, err := tree.Play(jobs, nil)
	if err != nil || !near(played[1].End, 4) || !near(played[2].End, 6) {
		t.Fatal(played, err)
	}
	if alone, err := tree.Alone(jobs, nil); err != nil || !near(alone[0].End, 2) || !near(alone[1].End, 2) || !near(alone[2].Start, 2) || !near(alone[2].End, 4) {
		t.Fatal(alone, err)
	}
	if _, seconds, err = tree.Fold(jobs[:2], nil); err != nil || !near(seconds, 4) {
		t.Fatal(seconds, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		n := build(t, drawDimension(t, 8))
		var jobs []Job
		for range rapid.IntRange(1, 4).Draw(t, "jobs") {
			group := rapid.Permutation(everyone(n.Ranks())[0]).Draw(t, "order")
			jobs = append(jobs, job("", rapid.Float64Range(1, 1e9).Draw(t, "bytes"), group[:rapid.IntRange(1, n.Ranks()).Draw(t, "ranks")]...))
		}
		spans, seconds, err := n.Fold(jobs, nil)
		played, refused := n.Play(jobs, nil)
		if err != nil || refused != nil {
			t.Fatal(err, refused)
		}
		var last float64
		for i := range spans {
			if last = max(last, played[i].End); spans[i].End > played[i].End*(1+1e-9) {
				t.Errorf("job %d: closed form %g s, played %g s", i, spans[i].End, played[i].End)
			}
		}
		if seconds > last*(1+1e-9) || len(jobs) == 1 && !near(seconds, last) {
			t.Errorf("%d jobs: closed form %g s, played %g s", len(jobs), seconds, last)
		}
	})
}

// Ranks that come to groups in other orders, or not at all, are named.
func TestDeadlock(t *testing.T) {
	n := build(t, Dimension{Topology: Switch, Ranks: 4, Rate: 1e9})
	line := build(t, Dimension{Topology: Line, Ranks: 4, Rate: 1e9})
	cut, err := line.Break([]Fault{{1, 2, 0}})
	if err != nil {
		t.Fatal(err)
	}
	two := []Job{job("a", 1, 0, 1), job("b", 1, 0, 1)}
	three := []Job{job("a", 1, 0, 1), job("b", 1, 1, 2), job("c", 1, 2, 0)}
	for _, c := range []struct {
		n      *Network
		jobs   []Job
		orders map[int][]int
		want   string
	}{
		{n, two, nil, ""},
		{n, two, map[int][]int{0: {1, 0}, 1: {1, 0}}, ""},
		{n, two, map[int][]int{1: {1, 0}}, "order: the groups deadlock: rank 0 waits in a of group [0 1] for rank 1, rank 1 waits in b of group [0 1] for rank 0"},
		{n, three, nil, ""},
		{n, three, map[int][]int{0: {2, 0}}, "order: the groups deadlock: rank 0 waits in c of group [2 0] for rank 2, rank 2 waits in b of group [1 2] for rank 1, rank 1 waits in a of group [0 1] for rank 0"},
		{n, two, map[int][]int{1: {0}}, "order/1: rank 1 takes part in b 0 times, and group [0 1] waits for it"},
		{n, two, map[int][]int{1: {0, 1, 1}}, "order/1: rank 1 takes part in b 2 times"},
		{n, two, map[int][]int{2: {0}}, "order/2: rank 2 is in no group of job 0"},
		{n, two, map[int][]int{9: {}}, "order: there is no rank 9 among 4"},
		{n, nil, nil, "jobs: 0 of them"},
		{n, []Job{job("a", 1, 0, 0)}, nil, "jobs/0: a: group [0 0]: rank 0 is in it twice"},
		{cut, []Job{job("a", 1, 0, 1, 2)}, nil, "links: a of group [0 1 2]: rank 0 cannot reach rank 2"},
	} {
		_, err := c.n.Play(c.jobs, c.orders)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}
