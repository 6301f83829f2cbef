package flow

import (
	"fmt"
	"slices"
)

// Link is a directed link.
type Link struct {
	From, To int32
	Rate     float64 // bytes per second
	Latency  float64 // seconds
}

// Topologies of a dimension.
const (
	Ring           = "ring"
	Line           = "line" // a ring that is not closed: a mesh is dimensions that are lines
	FullyConnected = "fully-connected"
	Switch         = "switch"
	FatTree        = "fat-tree"  // leaves of Group ranks below switches that all leaves reach
	Dragonfly      = "dragonfly" // groups of Group ranks, joined each to each
)

// Topologies lists them.
var Topologies = []string{Ring, Line, FullyConnected, Switch, FatTree, Dragonfly}

// Dimension joins the ranks that differ in one coordinate.
type Dimension struct {
	Topology string
	Ranks    int
	Rate     float64 // of a rank's link, per direction, in bytes per second
	Latency  float64 // of a link, in seconds
	// Reduces says that the switch adds up what ranks send and passes the sum on.
	Reduces bool
	// Group is the ranks of a leaf of a fat tree or a group of a dragonfly, 0 for all; Oversubscription, at least 1, how many
	// times more they have to their switch than that has to others.
	Group            int
	Oversubscription float64
}

// Fault is a link or a rank that is slow or broken.
type Fault struct {
	From, To int     // ranks that a link joins, or that come before and after a switch; in both directions
	Share    float64 // of its rate that is left; 0: it is broken
}

// An Error says what of a network or a request is wrong.
type Error struct {
	Field, Message, Hint string

	from *int // the rank that cannot reach another one
}

func (e *Error) Error() string { return e.Field + ": " + e.Message }

func wrong(field, hint, format string, a ...any) error {
	return &Error{field, fmt.Sprintf(format, a...), hint, nil}
}

// MostRanks and mostLinks bound a network.
const (
	MostRanks = 1 << 17
	mostLinks = 1 << 20
)

// Network is ranks and switches joined by links.
type Network struct {
	ranks, nodes int
	links        []Link
	dims         []Dimension // none for an explicit graph
	strides      []int
	// out holds for each dimension and rank the link from the rank, and in the one to it: up and down of a switch, forward and back of
	// a ring or line. groups are the links between leaves or groups.
	out, in [][]int32
	// up and down are for each dimension and rank the links between the rank's leaf and what joins leaves; among groups, up is the first
	// link of the rank's group to others, in order.
	up, down [][]int32
	from     [][]int32 // links from each node, for searches
	reduces  bool
	broken   bool // a link is
	known    *memo
}

// Ranks is how many there are.
func (n *Network) Ranks() int { return n.ranks }

// Links lists the links.
func (n *Network) Links() []Link { return n.links }

// New builds a network of dimensions. Errors are of type *Error.
func New(dims []Dimension) (*Network, error) {
	n := &Network{ranks: 1, dims: dims, known: &memo{}}
	if len(dims) == 0 {
		return nil, wrong("dims", "", "a network has a dimension")
	}
	for i, d := range dims {
		at := func(name string) string { return fmt.Sprintf("%s/%d", name, i) }
		switch {
		case !slices.Contains(Topologies, d.Topology):
			return nil, wrong(at("topology"), "ring, line, fully-connected, switch, fat-tree or dragonfly", "%.40q is not known", d.Topology)
		case d.Ranks < 1 || d.Ranks > MostRanks || n.ranks > MostRanks/d.Ranks:
			return nil, wrong(at("dims"), "", "must be 1 to %d ranks, all dimensions together", MostRanks)
		case !(d.Rate > 0) || d.Rate > 1e18:
			return nil, wrong(at("link_gigabytes_per_second"), "", "a link of %g B/s leaves rank %d of dimension %d out of reach of the others", d.Rate, 0, i)
		case !(d.Latency >= 0) || d.Latency > 1:
			return nil, wrong(at("latency_ns"), "", "must be 0 to 1e9")
		case d.Group < 0 || d.Group > 0 && d.Ranks%d.Group != 0:
			return nil, wrong(at("group"), "", "%d ranks are not groups of %d", d.Ranks, d.Group)
		case d.Group > 0 && d.Topology != FatTree && d.Topology != Dragonfly:
			return nil, wrong(at("group"), "", "belongs to a fat tree or a dragonfly")
		case d.Oversubscription != 0 && !(d.Oversubscription >= 1 && d.Oversubscription <= 1e6):
			return nil, wrong(at("oversubscription"), "", "must be at least 1")
		case d.Reduces && d.Topology != Switch:
			return nil, wrong(at("reduces"), "", "a %s does not reduce", d.Topology)
		}
		n.strides = append(n.strides, n.ranks)
		n.ranks *= d.Ranks
		n.reduces = n.reduces || d.Reduces
	}
	n.nodes = n.ranks
	for i := range dims {
		if err := n.add(i); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// add builds the links of a dimension.
func (n *Network) add(i int) error {
	d, stride := &n.dims[i], n.strides[i]
	out, in := make([]int32, n.ranks), make([]int32, n.ranks)
	up, down := []int32(nil), []int32(nil)
	if d.Topology == FatTree || d.Topology == Dragonfly {
		up, down = make([]int32, n.ranks), make([]int32, n.ranks)
	}
	n.out, n.in, n.up, n.down = append(n.out, out), append(n.in, in), append(n.up, up), append(n.down, down)
	link := func(from, to int, rate, latency float64) int32 {
		n.links = append(n.links, Link{int32(from), int32(to), rate, latency})
		return int32(len(n.links) - 1)
	}
	if d.Ranks == 1 {
		return nil
	}
	if d.Topology == FullyConnected && int64(n.ranks)*int64(d.Ranks) > mostLinks {
		return wrong(fmt.Sprintf("dims/%d", i), "a switch", "more than %d links", mostLinks)
	}
	size := d.Group
	if size == 0 {
		size = d.Ranks
	}
	over := max(1, d.Oversubscription)
	for first := range n.ranks {
		c := first / stride % d.Ranks
		if c != 0 {
			continue
		}
		rank := func(c int) int { return first + c*stride }
		switch d.Topology {
		case Ring, Line:
			for c := range d.Ranks {
				next := (c + 1) % d.Ranks
				if next == 0 && (d.Topology == Line || d.Ranks == 2) {
					continue
				}
				out[rank(c)] = link(rank(c), rank(next), d.Rate, d.Latency)
				in[rank(next)] = link(rank(next), rank(c), d.Rate, d.Latency) // back
			}
		case FullyConnected:
			for a := range d.Ranks {
				out[rank(a)] = int32(len(n.links)) // to the others in order
				for b := range d.Ranks {
					if a != b {
						link(rank(a), rank(b), d.Rate, d.Latency)
					}
				}
			}
		default:
			leaves := d.Ranks / size
			for g := range leaves {
				leaf := n.nodes
				n.nodes++
				for c := g * size; c < (g+1)*size; c++ {
					out[rank(c)] = link(rank(c), leaf, d.Rate, d.Latency)
					in[rank(c)] = link(leaf, rank(c), d.Rate, d.Latency)
				}
			}
			if leaves == 1 {
				continue
			}
			between := d.Rate * float64(size) / over
			if d.Topology == FatTree {
				spine := n.nodes
				n.nodes++
				for g := range leaves {
					leaf := n.nodes - 1 - leaves + g
					a, b := link(leaf, spine, between, d.Latency), link(spine, leaf, between, d.Latency)
					for c := g * size; c < (g+1)*size; c++ {
						up[rank(c)], down[rank(c)] = a, b
					}
				}
				continue
			}
			if int64(leaves)*int64(leaves)*int64(n.ranks/d.Ranks) > mostLinks {
				return wrong(fmt.Sprintf("group/%d", i), "larger groups", "more than %d links", mostLinks)
			}
			for a := range leaves {
				for c := a * size; c < (a+1)*size; c++ {
					up[rank(c)] = int32(len(n.links))
				}
				for b := range leaves {
					if a != b {
						link(n.nodes-leaves+a, n.nodes-leaves+b, between/float64(leaves-1), d.Latency)
					}
				}
			}
		}
	}
	if len(n.links) > mostLinks {
		return wrong(fmt.Sprintf("dims/%d", i), "fewer ranks", "more than %d links", mostLinks)
	}
	return nil
}

// Explicit builds a network of nodes of which the first are ranks, and links, each in one direction. Errors are of type *Error.
func Explicit(ranks, nodes int, links []Link) (*Network, error) {
	if ranks < 1 || nodes < ranks || nodes > MostRanks {
		return nil, wrong("nodes", "", "%d nodes with %d ranks among them: must be 1 to %d, and no fewer nodes", nodes, ranks, MostRanks)
	}
	if len(links) > mostLinks {
		return nil, wrong("links", "", "more than %d", mostLinks)
	}
	for i, l := range links {
		switch {
		case l.From < 0 || l.To < 0 || int(l.From) >= nodes || int(l.To) >= nodes || l.From == l.To:
			return nil, wrong(fmt.Sprintf("links/%d", i), "", "%d to %d: must join two of %d nodes, which count from 0", l.From, l.To, nodes)
		case !(l.Rate > 0) || l.Rate > 1e18:
			return nil, wrong(fmt.Sprintf("links/%d", i), "leave it out, if it carries nothing", "%d to %d carries %g B/s", l.From, l.To, l.Rate)
		case !(l.Latency >= 0) || l.Latency > 1:
			return nil, wrong(fmt.Sprintf("links/%d", i), "", "%d to %d: a latency must be 0 to 1 s", l.From, l.To)
		}
	}
	return &Network{ranks: ranks, nodes: nodes, links: slices.Clone(links), known: &memo{}}, nil
}

// Break returns the network with faults. Routes over links that are slow stay, those over broken ones are searched anew. Errors are
// of type *Error.
func (n *Network) Break(faults []Fault) (*Network, error) {
	if len(faults) == 0 {
		return n, nil
	}
	c := *n
	c.links, c.from, c.known = slices.Clone(n.links), nil, &memo{}
	for i, f := range faults {
		at := fmt.Sprintf("faults/%d", i)
		if f.From < 0 || f.To < 0 || f.From >= n.nodes || f.To >= n.nodes || f.From == f.To {
			return nil, wrong(at, "", "%d to %d: must be two of %d nodes, which count from 0", f.From, f.To, n.nodes)
		}
		if !(f.Share >= 0) || f.Share > 1 {
			return nil, wrong(at, "", "a share of the rate must be 0 to 1")
		}
		found := false
		for l := range c.links {
			k := &c.links[l]
			if int(k.From) == f.From && int(k.To) == f.To || int(k.From) == f.To && int(k.To) == f.From {
				k.Rate *= f.Share
				found, c.broken = true, c.broken || f.Share == 0
			}
		}
		if !found {
			return nil, wrong(at, c.neighbours(f.From), "there is no link between %d and %d", f.From, f.To)
		}
	}
	return &c, nil
}

// neighbours is a hint with the nodes that a node has links to.
func (n *Network) neighbours(node int) string {
	var list []int32
	for _, l := range n.links {
		if int(l.From) == node && !slices.Contains(list, l.To) {
			list = append(list, l.To)
		}
	}
	slices.Sort(list)
	if len(list) > 8 {
		return fmt.Sprintf("node %d has links to %d others, %d first", node, len(list), list[0])
	}
	return fmt.Sprintf("node %d has links to %v", node, list)
}

// route appends the flow of so many bytes from a rank to another: its path, or two of them with half each.
func (n *Network) route(r *routes, from, to int, bytes float64) error {
	if n.dims == nil {
		return n.search(r, from, to, bytes)
	}
	start := len(r.links)
	tied := n.walk(r, from, to, false)
	end := len(r.links)
	if tied {
		n.walk(r, from, to, true)
	}
	if n.broken {
		for _, l := range r.links[start:] {
			if n.links[l].Rate == 0 {
				r.links = r.links[:start]
				return n.search(r, from, to, bytes)
			}
		}
	}
	if !tied {
		r.end(bytes)
		return nil
	}
	second := len(r.links)
	r.links = r.links[:end]
	r.end(bytes / 2)
	r.links = r.links[:second]
	r.end(bytes / 2)
	return nil
}

// walk appends the path through the dimensions in order, the shorter way round each ring; where both are as long, forward or else
// back, and it reports that there is such a one.
func (n *Network) walk(r *routes, from, to int, back bool) (tied bool) {
	at := from
	for i := range n.dims {
		d, stride := &n.dims[i], n.strides[i]
		a, b := at/stride%d.Ranks, to/stride%d.Ranks
		if a == b {
			continue
		}
		base := at - a*stride
		next := at + (b-a)*stride
		switch d.Topology {
		case Ring, Line:
			ahead := (b - a + d.Ranks) % d.Ranks
			forward := 2*ahead <= d.Ranks
			switch {
			case d.Topology == Line || d.Ranks == 2:
				forward = b > a
			case 2*ahead == d.Ranks:
				forward, tied = !back, true
			}
			for c := a; c != b; {
				if forward {
					r.links = append(r.links, n.out[i][base+c*stride])
					c = (c + 1) % d.Ranks
				} else {
					r.links = append(r.links, n.in[i][base+c*stride])
					c = (c - 1 + d.Ranks) % d.Ranks
				}
			}
		case FullyConnected:
			k := b
			if b > a {
				k--
			}
			r.links = append(r.links, n.out[i][at]+int32(k))
		default:
			r.links = append(r.links, n.out[i][at])
			if d.Group > 0 && a/d.Group != b/d.Group {
				if d.Topology == FatTree {
					r.links = append(r.links, n.up[i][at], n.down[i][next])
				} else {
					k := b / d.Group
					if k > a/d.Group {
						k--
					}
					r.links = append(r.links, n.up[i][at]+int32(k))
				}
			}
			r.links = append(r.links, n.in[i][next])
		}
		at = next
	}
	return tied
}

// search finds the path with the fewest links that are not broken, the first of several by the order of the links.
func (n *Network) search(r *routes, from, to int, bytes float64) error {
	n.known.Lock()
	if n.from == nil {
		n.from = make([][]int32, n.nodes)
		for i, l := range n.links {
			if l.Rate > 0 {
				n.from[l.From] = append(n.from[l.From], int32(i))
			}
		}
	}
	n.known.Unlock()
	by := make([]int32, n.nodes) // the link by which a node was reached, plus one
	queue := []int32{int32(from)}
	by[from] = -1
	for len(queue) > 0 && by[to] == 0 {
		at := queue[0]
		queue = queue[1:]
		for _, l := range n.from[at] {
			if next := n.links[l].To; by[next] == 0 {
				by[next] = l + 1
				queue = append(queue, next)
			}
		}
	}
	if by[to] == 0 {
		return &Error{"links", fmt.Sprintf("rank %d cannot reach rank %d: no links that work lead there", from, to), "every rank of a group must reach every other", &from}
	}
	start := len(r.links)
	for at := to; at != from; {
		l := by[at] - 1
		r.links = append(r.links, l)
		at = int(n.links[l].From)
	}
	slices.Reverse(r.links[start:])
	r.end(bytes)
	return nil
}
