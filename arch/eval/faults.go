package eval

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/stratasim/strata/arch/parallel"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/units"
)

// LinkFault is a link that is slow or gone: the NIC of a rank, with Node all NICs of its node, or with Inside its links to
// the other chips of its node.
type LinkFault struct {
	Rank int64 `json:"rank"`
	// Share of the bandwidth that is left; 0: the link is gone.
	Share  float64 `json:"share"`
	Node   bool    `json:"node,omitempty"`
	Inside bool    `json:"inside,omitempty"`
}

// cut is a network in which a rank has no way to some others.
type cut struct {
	parallel.Network
	cluster *interconnect.Cluster
	rank    int64
	inside  bool
}

// Collective refuses what needs the link that is gone.
func (c *cut) Collective(op interconnect.Op, g interconnect.Group, bytes units.Bytes) (interconnect.Cost, error) {
	refuse := func(what, hint string) (interconnect.Cost, error) {
		return interconnect.Cost{}, &parallel.FieldError{Field: "fail_link", Message: fmt.Sprintf("rank %d: %s, which %s over %d ranks, %d apart, needs", c.rank, what, op, g.Ranks, g.Stride), Hint: hint}
	}
	switch {
	case g.Ranks < 2 || bytes == 0:
	case c.inside && g.Stride < c.cluster.Chips:
		return refuse("its links inside the node are gone and there is no other way to its neighbours", "a share above 0")
	case !c.inside && !c.cluster.Inside(g):
		return refuse("its NIC is gone and its node has no other", "a share above 0")
	}
	return c.Network.Collective(op, g, bytes)
}

// faults are the slow chips and what links that fail come to, by rank.
func (k *trainer) faults(network parallel.Network) ([]parallel.Fault, error) {
	list := slices.Clone(k.t.Faults)
	if network == nil {
		return list, nil
	}
	at := func(rank int64) *parallel.Fault {
		i := slices.IndexFunc(list, func(f parallel.Fault) bool { return f.Rank == rank })
		if i < 0 {
			i = len(list)
			list = append(list, parallel.Fault{Rank: rank})
		}
		return &list[i]
	}
	m, d := k.r.Machine, k.t.Degrees.Or1()
	cluster := m.Cluster()
	chips := max(cluster.Chips, 1)
	leaves := !cluster.Inside(d.Group(parallel.Tensor)) // tensor groups need NICs
	// What is left of a rank's links inside its node and of its NIC, by rank: it may lose of both.
	type left struct{ inside, out float64 }
	shares := map[int64]left{}
	of := func(rank int64) left {
		if s, ok := shares[rank]; ok {
			return s
		}
		return left{1, 1}
	}
	for _, l := range k.t.Links {
		if l.Inside {
			if l.Share == 0 && d.TP > 1 { // which its units do
				return nil, tensorCut(l.Rank, d.TP, "its links inside the node are gone")
			}
			s := of(l.Rank)
			s.inside = min(s.inside, l.Share)
			shares[l.Rank] = s
			continue
		}
		first, nics := l.Rank/chips*chips, cluster.Out.NICs
		nic := func(rank int64) int64 { return (rank - first) * nics / chips } // its first one
		share := l.Share
		if l.Share == 0 && !l.Node { // the other NICs of the node take over
			share = float64(max(0, nics-max(nics/chips, 1))) / float64(nics)
		}
		if share == 0 && leaves {
			return nil, tensorCut(l.Rank, d.TP, "its NIC is gone and its node has no other")
		}
		for r := first; r < min(first+chips, d.Chips()); r++ {
			if l.Node || l.Share == 0 || nic(r) == nic(l.Rank) {
				s := of(r)
				s.out = min(s.out, share)
				shares[r] = s
			}
		}
	}
	for rank, s := range shares {
		c := *cluster
		f := at(rank)
		if s.inside > 0 && s.inside < 1 {
			up := *c.Up
			up.Bandwidth = units.BytesPerSecond(float64(up.Bandwidth) * s.inside)
			c.Up, f.Links = &up, max(f.Links, 1/s.inside)
		}
		if s.out > 0 && s.out < 1 {
			out := *c.Out
			out.Bandwidth = units.BytesPerSecond(float64(out.Bandwidth) * s.out)
			if c.Out = &out; leaves {
				f.Links = max(f.Links, 1/s.out)
			}
		}
		f.Network = &parallel.Links{Cluster: &c, Library: m.CollectiveLibrary(k.profile), Algorithm: k.t.Algorithm}
		if s.inside == 0 {
			f.Network = &cut{f.Network, cluster, rank, true}
		}
		if s.out == 0 {
			f.Network = &cut{f.Network, cluster, rank, false}
		}
	}
	slices.SortStableFunc(list, func(a, b parallel.Fault) int { return cmp.Compare(a.Rank, b.Rank) })
	return list, nil
}

// tensorCut says that a tensor group has lost a rank.
func tensorCut(rank, tp int64, why string) error {
	return &plan.Invalid{Field: "fail-link", Message: fmt.Sprintf("rank %d: %s, which its tensor group of %d ranks needs", rank, why, tp), Hint: "a share above 0"}
}

// FaultCost is what slow chips and links cost.
type FaultCost struct {
	// WithoutSeconds is what the step takes without them, ExtraSeconds what they add, ExtraShare that as a part of it.
	WithoutSeconds float64 `json:"without_seconds"`
	ExtraSeconds   float64 `json:"extra_seconds"`
	ExtraShare     float64 `json:"extra_share"`
	// Waits is the class of ranks whose waiting grows most; nil where none grows.
	Waits *Waiting `json:"waits,omitempty"`
}

// Waiting is how much longer chips of a stage wait for others.
type Waiting struct {
	Stage        int64   `json:"stage"`
	Chips        int64   `json:"chips"`
	ExtraSeconds float64 `json:"extra_seconds"`
}

// cost plays the step without its faults.
func (k *trainer) cost() (*FaultCost, error) {
	if len(k.step.Faults) == 0 {
		return nil, nil
	}
	s := *k.step
	s.Faults, s.Record = nil, false
	without, err := s.Play()
	if err != nil {
		return nil, invalidField(err)
	}
	before, extra := without.Time.Seconds(), (k.played.Time - without.Time).Seconds()
	f := &FaultCost{WithoutSeconds: before, ExtraSeconds: extra}
	if before > 0 {
		f.ExtraShare = extra / before
	}
	var most units.Time
	for i := range k.played.Classes {
		c := &k.played.Classes[i]
		for j := range without.Classes {
			if w := &without.Classes[j]; w.Stage == c.Stage && c.Bubble-w.Bubble > most {
				most = c.Bubble - w.Bubble
				f.Waits = &Waiting{c.Stage, c.Chips, most.Seconds()}
			}
		}
	}
	return f, nil
}
