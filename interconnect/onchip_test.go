package interconnect

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stratasim/strata/sim/units"
	"pgregory.net/rapid"
)

// flits plays a network of one plane, a flit a cycle and link, cycle by cycle: every pair of a port and
// a node exchanges one flit in each of so many rounds. Queues are long enough for everything. It
// returns the flits delivered in a cycle on the mean, and the hops of a flit.
func flits(o *OnChip, writes bool, rounds int) (rate, hops float64) {
	kx, ky := o.grid()
	id := func(p place) int64 { return p.y*kx + p.x }
	type flit struct {
		at, to place
		turn   bool // which way round where both are as long
	}
	toward := func(at, to, n int64, ring, turn bool) int64 {
		switch {
		case at == to:
			return 0
		case o.OneWay && writes:
			return -1
		case o.OneWay:
			return 1
		}
		d := (to - at + n) % n
		switch {
		case !ring && to > at, ring && (2*d < n || 2*d == n && turn):
			return 1
		}
		return -1
	}
	ring := o.Topology != "mesh"
	ports := o.places()
	if len(o.Ports) == 0 {
		for i := range kx * ky {
			ports = append(ports, place{i % kx, i / kx})
		}
	}
	sources := map[int64][]flit{} // by node where they enter, in turn
	total := 0
	for r := range rounds {
		for n := range kx * ky {
			for k, p := range ports {
				node := place{(n + int64(k)) % (kx * ky) % kx, (n + int64(k)) % (kx * ky) / kx} // not all to the same at once
				f := flit{at: p, to: node, turn: (r+int(node.x)+int(node.y))%2 == 0}
				if writes {
					f.at, f.to = node, p
				}
				sources[id(f.at)] = append(sources[id(f.at)], f)
				total++
			}
		}
	}
	type link struct {
		node int64
		way  int // 0…3
	}
	queues := map[link][]flit{} // waiting for a link; way 4 is out of the network
	queue := func(f flit) {
		way := 4
		if d := toward(f.at.y, f.to.y, ky, ring, f.turn); d != 0 && o.OneWay && writes { // back the way of a read
			way = 2 + int(d+1)/2
		} else if d := toward(f.at.x, f.to.x, kx, ring, f.turn); d != 0 {
			way = int(d+1) / 2
		} else if d := toward(f.at.y, f.to.y, ky, ring, f.turn); d != 0 {
			way = 2 + int(d+1)/2
		}
		l := link{id(f.at), way}
		queues[l] = append(queues[l], f)
	}
	done, moved, cycle := 0, 0, 0
	for ; done < total; cycle++ {
		var arrived []flit
		for n := range kx * ky {
			if s := sources[n]; len(s) > 0 { // a flit a cycle enters at a node
				arrived = append(arrived, s[0])
				sources[n] = s[1:]
			}
			for way := range 5 {
				l := link{n, way}
				q := queues[l]
				if len(q) == 0 {
					continue
				}
				f := q[0]
				queues[l] = q[1:]
				if way == 4 {
					done++
					continue
				}
				moved++
				switch step := int64(way%2*2 - 1); way / 2 {
				case 0:
					f.at.x = (f.at.x + step + kx) % kx
				default:
					f.at.y = (f.at.y + step + ky) % ky
				}
				arrived = append(arrived, f)
			}
		}
		for _, f := range arrived {
			queue(f)
		}
	}
	return float64(total) / float64(cycle), float64(moved) / float64(total)
}

// The bound by the busiest link is what a network played cycle by cycle comes to, for reads and writes, with
// ports and without, and the mean hops are the same.
func TestOnChipAgainstCycles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := OnChip{Topology: rapid.SampledFrom([]string{"mesh", "torus", "ring"}).Draw(t, "topology"), Width: 1, Hop: 1}
		kx := int64(rapid.IntRange(1, 6).Draw(t, "x"))
		o.Dimensions = []int64{kx}
		ky := int64(1)
		if o.Topology != "ring" {
			ky = int64(rapid.IntRange(1, 5).Draw(t, "y"))
			o.Dimensions = append(o.Dimensions, ky)
		}
		o.OneWay = o.Topology != "mesh" && rapid.Bool().Draw(t, "one way")
		for _, n := range rapid.SliceOfNDistinct(rapid.Int64Range(0, kx*ky-1), 0, 4, rapid.ID[int64]).Draw(t, "ports") {
			p := fmt.Sprint(n % kx)
			if ky > 1 || o.Topology != "ring" {
				p += fmt.Sprintf(",%d", n/kx)
			}
			o.Ports = append(o.Ports, p)
		}
		o.Validate(func(path, message, _ string) { t.Fatalf("%s: %s", path, message) })
		want := o.Rates()
		for _, way := range []struct {
			writes bool
			rate   float64
		}{{false, want.Read}, {true, want.Write}} {
			got, hops := flits(&o, way.writes, 60)
			if math.Abs(hops-want.Hops) > 1e-9 {
				t.Fatalf("%+v: %v hops, played %v", o, want.Hops, hops)
			}
			// Filling and draining, and flits that meet, take some of what the links allow.
			if got > way.rate*(1+1e-9) || got < 0.93*way.rate {
				t.Fatalf("%+v, writes %v: %v B/cycle, played %v", o, way.writes, way.rate, got)
			}
		}
	})
}

// wormhole are the nodes of memory of a Tenstorrent Wormhole.
var wormhole = []string{"0,0", "0,1", "0,5", "0,6", "0,7", "0,11", "5,0", "5,1", "5,2", "5,3", "5,4", "5,5", "5,6", "5,7", "5,8", "5,9", "5,10", "5,11"}

func TestOnChipRates(t *testing.T) {
	for _, c := range []struct {
		name        string
		o           OnChip
		read, write float64
		hops        float64
		limit       string
	}{
		// Dally and Towles, Principles and Practices of Interconnection Networks (2004): uniform traffic on a k×k mesh is
		// bound by its bisection, 4/k flits a node and cycle; mean hops are 2(k − 1/k)/3.
		{"mesh by its bisection", OnChip{Topology: "mesh", Dimensions: []int64{8, 8}, Width: 32}, 64 * 32 / 2.0, 64 * 32 / 2.0, 2 * (8 - 1/8.0) / 3, "links"},
		// The same of a torus: 8/k, and k/4 hops in each dimension.
		{"torus by its bisection", OnChip{Topology: "torus", Dimensions: []int64{16, 16}, Width: 32}, 256 * 32 / 2.0, 256 * 32 / 2.0, 8, "links"},
		{"small torus by what nodes take in", OnChip{Topology: "torus", Dimensions: []int64{4, 4}, Width: 32}, 16 * 32, 16 * 32, 2, "nodes"},
		{"ring of 16 by its bisection", OnChip{Topology: "ring", Dimensions: []int64{16}, Width: 10}, 16 * 10 / 2.0, 16 * 10 / 2.0, 4, "links"},
		{"crossbar by its ports", OnChip{Topology: "crossbar", Dimensions: []int64{100}, Width: 64, Ports: []string{"0", "1"}, PortWidth: 500}, 1000, 1000, 1, "ports"},
		{"crossbar by its nodes", OnChip{Topology: "crossbar", Dimensions: []int64{10}, Width: 64, Ports: []string{"0"}, PortWidth: 5000}, 640, 640, 1, "nodes"},
		// A port in the corner: reads to 7 of 8 columns leave along its row, writes to 3 of 4 rows come along its column.
		{"one port in a corner", OnChip{Topology: "mesh", Dimensions: []int64{8, 4}, Width: 16, Ports: []string{"0,0"}, PortWidth: 1000}, 16 / 0.875, 16 / 0.75, 3.5 + 1.5, "links"},
		{"two planes", OnChip{Topology: "mesh", Dimensions: []int64{8, 4}, Width: 16, Planes: 2, Ports: []string{"0,0"}, PortWidth: 1000}, 32 / 0.875, 32 / 0.75, 5, "links"},
		// Wormhole, 18 tiles of memory in two columns: links out of x = 5 carry 9/10 of that port's data and 4/10 of x = 0's.
		{"two columns of ports on a torus of one way", OnChip{Topology: "torus", Dimensions: []int64{10, 12}, OneWay: true, Width: 32, Ports: wormhole}, 32 * 18 / 1.3, 32 * 18 / 1.3, 4.5 + 5.5, "links"},
	} {
		r := c.o.Rates()
		if math.Abs(r.Read/c.read-1) > 1e-12 || math.Abs(r.Write/c.write-1) > 1e-12 || math.Abs(r.Hops/c.hops-1) > 1e-12 || r.Limit != c.limit {
			t.Errorf("%s: %+v, want %v and %v B/cycle, %v hops, by %s", c.name, r, c.read, c.write, c.hops, c.limit)
		}
	}
	half := 0.5
	o := OnChip{Topology: "mesh", Dimensions: []int64{8, 8}, Width: 32, Hop: 3, Efficiency: &half}
	if got := o.Rates().Read; got != 512 {
		t.Errorf("half of the rate is %v", got)
	}
	if got := o.Latency(); got != units.Cycles(32) { // 2 · 5.25 · 3
		t.Errorf("latency %v", got)
	}
}

// More width, planes or ports' width is never less, and the rate is never more than the nodes take in.
func TestOnChipLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := OnChip{Topology: rapid.SampledFrom([]string{"mesh", "torus"}).Draw(t, "topology"), Width: 8,
			Dimensions: []int64{rapid.Int64Range(1, 40).Draw(t, "x"), rapid.Int64Range(1, 40).Draw(t, "y")}}
		r := o.Rates()
		nodes := float64(o.Dimensions[0] * o.Dimensions[1])
		if r.Read > 8*nodes*(1+1e-12) || r.Read != r.Write || !(r.Read > 0) {
			t.Fatalf("%+v: %+v", o, r)
		}
		wide := o
		wide.Width = 16
		if w := wide.Rates(); math.Abs(w.Read/r.Read-2) > 1e-12 {
			t.Fatalf("twice the width: %v to %v", r.Read, w.Read)
		}
		closed := o
		closed.Topology = "torus"
		if c := closed.Rates(); c.Read < r.Read*(1-1e-12) || c.Hops > r.Hops+1e-12 {
			t.Fatalf("links that close the lines make it worse: %+v to %+v", r, c)
		}
	})
}

func TestOnChipValidate(t *testing.T) {
	for _, c := range []struct {
		name string
		o    OnChip
		want string
	}{
		{"nothing", OnChip{}, "topology: required; dimensions: required; width: required"},
		{"a mesh of one dimension", OnChip{Topology: "mesh", Dimensions: []int64{8}, Width: 1}, "dimensions: 1 for a mesh: it has 2"},
		{"a ring of two", OnChip{Topology: "ring", Dimensions: []int64{8, 8}, Width: 1}, "dimensions: 2 for a ring: it has 1"},
		{"too large", OnChip{Topology: "mesh", Dimensions: []int64{1 << 11, 1 << 11}, Width: 1}, "dimensions: more than 1048576 nodes"},
		{"a port outside", OnChip{Topology: "mesh", Dimensions: []int64{8, 4}, Width: 1, Ports: []string{"8,0", "7,3"}}, "ports: node 8,0 is not among the 8 × 4 nodes, which count from 0"},
		{"no place", OnChip{Topology: "mesh", Dimensions: []int64{8, 4}, Width: 1, Ports: []string{"east"}}, `ports: "east" is no node of 2 dimensions`},
		{"a place in one dimension", OnChip{Topology: "mesh", Dimensions: []int64{8, 4}, Width: 1, Ports: []string{"3"}}, `ports: "3" is no node of 2 dimensions`},
		{"a mesh one way", OnChip{Topology: "mesh", Dimensions: []int64{8, 4}, Width: 1, OneWay: true}, "one_way: links of a mesh run both ways"},
		{"another spelling of 3,1", OnChip{Topology: "mesh", Dimensions: []int64{8, 4}, Width: 1, Ports: []string{"03,1"}}, `ports: "03,1" is no node of 2 dimensions`},
	} {
		var got []string
		c.o.Validate(func(path, message, _ string) { got = append(got, path+": "+message) })
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, text, c.want)
		}
	}
}
