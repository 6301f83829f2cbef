package interconnect

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/sim/units"
)

// OnChip is the network of one chip between its cores and what they share: memory on chip, or the
// ports of memory off chip.
//
// # Model
//
// Reads come to the cores on one network and writes leave them on another of the same kind, as
// reply and request networks do. Each core takes as much from every port of memory; without ports
// the memory is spread evenly over all nodes. Packets follow dimensions in order, x before y, the
// shorter way round where there are two, half of them each way where both are as long. Then the
// share of all traffic that the busiest link carries is a sum over ports, and
//
//	rate = width·planes / that share, at most what all ports and all nodes take in
//
// A load waits for its request to get there and the data to come back: twice the mean number of
// hops. Queueing beyond the bound by the busiest link is not modelled, and neither are flits that
// wait for buffers: efficiency is what they leave.
type OnChip struct {
	// Topology of the network.
	Topology string `yaml:"topology,omitempty" spec:"oneof=mesh|torus|ring|crossbar"`
	// Dimensions in nodes: x and y of a mesh or torus, the nodes of a ring or crossbar. A node has
	// cores, a port of memory or both.
	Dimensions []int64 `yaml:"dimensions,omitempty" spec:"max=2,gt=0"`
	// Width of a link, per direction, in bytes per cycle of the core clock.
	Width units.BytesPerCycle `yaml:"width,omitempty" spec:"gt=0 B/cycle"`
	// OneWay says that links of a torus or ring run towards greater x and y alone, and on the network of
	// writes the other way: a write goes back the way that a read of the same data came.
	OneWay bool `yaml:"one_way,omitempty"`
	// Planes is the number of such networks side by side; 1 when absent.
	Planes int64 `yaml:"planes,omitempty" spec:"min=0,max=64"`
	// Hop is the time through a router and the link after it.
	Hop units.Cycles `yaml:"hop,omitempty" spec:"min=0 cycles,max=1000000 cycles"`
	// Ports lists the nodes at which memory is, "x,y" or on a ring "x". Empty: the memory is
	// spread evenly over all nodes.
	Ports []string `yaml:"ports,omitempty" spec:"max=4096,unique"`
	// PortWidth is what a port moves per direction; Width times Planes when absent.
	PortWidth units.BytesPerCycle `yaml:"port_width,omitempty" spec:"min=0 B/cycle"`
	// Efficiency is the sustained share of the rate; 1 when absent.
	Efficiency *float64 `yaml:"efficiency,omitempty" spec:"gt=0,max=1"`
}

// maxNodes bounds a network on a chip.
const maxNodes = 1 << 20

// Validate reports dimensions that do not suit the topology and ports that are not on the chip.
func (o OnChip) Validate(report func(path, message, hint string)) {
	if o.Topology == "" {
		report("topology", "required", "mesh, torus, ring or crossbar")
	}
	if len(o.Dimensions) == 0 {
		report("dimensions", "required", `e.g. "[8, 8]" for a mesh, "[64]" for a ring`)
	}
	if o.Width == 0 {
		report("width", "required", `e.g. "width: 32 B/cycle"`)
	}
	want := 1
	if o.Topology == "mesh" || o.Topology == "torus" {
		want = 2
	}
	if n := len(o.Dimensions); n > 0 && n != want && o.Topology != "" {
		report("dimensions", fmt.Sprintf("%d for a %s: it has %d", n, o.Topology, want), `e.g. "[8, 8]" for a mesh, "[64]" for a ring`)
		return
	}
	nodes := int64(1)
	for _, d := range o.Dimensions {
		if d < 1 || d > maxNodes || nodes*d > maxNodes {
			report("dimensions", fmt.Sprintf("more than %d nodes", maxNodes), "")
			return
		}
		nodes *= d
	}
	if o.OneWay && (o.Topology == "mesh" || o.Topology == "crossbar") {
		report("one_way", "links of a "+o.Topology+" run both ways", "leave it out, or say topology: torus")
	}
	if len(o.Dimensions) == 0 {
		return
	}
	for _, p := range o.Ports {
		if _, _, err := o.port(p); err != nil {
			report("ports", err.Error(), "")
		}
	}
}

// port reads the place of a port.
func (o *OnChip) port(text string) (x, y int64, err error) {
	kx, ky := o.grid()
	xs, ys, two := strings.Cut(text, ",")
	x, err = strconv.ParseInt(xs, 10, 64)
	if err == nil && two {
		y, err = strconv.ParseInt(ys, 10, 64)
	}
	switch {
	case err != nil || two != (len(o.Dimensions) == 2) || text != strconv.FormatInt(x, 10) && text != fmt.Sprintf("%d,%d", x, y):
		return 0, 0, fmt.Errorf("%.40q is no node of %d dimensions", text, len(o.Dimensions))
	case x < 0 || x >= kx || y < 0 || y >= ky:
		return 0, 0, fmt.Errorf("node %s is not among the %d × %d nodes, which count from 0", text, kx, ky)
	}
	return x, y, nil
}

// grid returns the nodes along x and y.
func (o *OnChip) grid() (kx, ky int64) {
	if len(o.Dimensions) < 2 {
		return o.Dimensions[0], 1
	}
	return o.Dimensions[0], o.Dimensions[1]
}

// OnChipRates is what follows from a network for uniform traffic.
type OnChipRates struct {
	// ReadShare and WriteShare are the share of all bytes that come to the cores, or leave them, which
	// the busiest link carries; 0 if there are no links between nodes.
	ReadShare, WriteShare float64
	// Read and Write are bytes per cycle that all cores together get and give.
	Read, Write float64
	// Hops is the mean number from a port to a core.
	Hops float64
	// Limit of reads: "links", "ports" or "nodes".
	Limit string
}

// line adds to load what the links of one line of nodes carry if one node, at p, sends to all of
// them alike: load[i] to the node after i, load[n+i] to the node before i. If the line is closed to
// a ring each goes the shorter way, or the only one.
func (o *OnChip) line(load []float64, n, p int64, weight float64) {
	per := weight / float64(n)
	if o.OneWay {
		for j := range n - 1 {
			load[(p+j)%n] += float64(per * float64(n-1-j))
		}
		return
	}
	if o.Topology == "mesh" {
		for i := p; i < n-1; i++ {
			load[i] += float64(per * float64(n-1-i))
		}
		for i := p; i > 0; i-- {
			load[n+i] += float64(per * float64(i))
		}
		return
	}
	h := (n - 1) / 2
	for j := int64(0); 2*j < n; j++ { // the j-th link of each way
		beyond := float64(max(0, h-j))
		if n%2 == 0 {
			beyond += 0.5
		}
		load[(p+j)%n] += float64(per * beyond)
		load[n+(p-j+n)%n] += float64(per * beyond)
	}
}

// Rates works out what uniform traffic between cores and ports gets.
func (o *OnChip) Rates() OnChipRates {
	kx, ky := o.grid()
	planes := float64(max(1, o.Planes))
	link := float64(o.Width) * planes
	port := float64(o.PortWidth)
	if port == 0 {
		port = link
	}
	r := OnChipRates{Hops: 1}
	if o.Topology != "crossbar" {
		r.ReadShare, r.WriteShare, r.Hops = o.shares(o.places())
	}
	count := float64(len(o.Ports))
	if count == 0 {
		count = float64(kx * ky)
	}
	atPorts, atNodes := count*port, float64(kx*ky)*link
	bound := func(share float64) (rate float64, limit string) {
		rate, limit = atNodes, "nodes"
		if atPorts < rate {
			rate, limit = atPorts, "ports"
		}
		if share > 0 && link/share < rate {
			rate, limit = link/share, "links"
		}
		return rate, limit
	}
	r.Read, r.Limit = bound(r.ReadShare)
	r.Write, _ = bound(r.WriteShare)
	if o.Efficiency != nil {
		r.Read *= *o.Efficiency
		r.Write *= *o.Efficiency
	}
	return r
}

// place is a node.
type place struct{ x, y int64 }

// places lists the ports.
func (o *OnChip) places() []place {
	var list []place
	for _, p := range o.Ports {
		x, y, err := o.port(p)
		if err == nil { // Validate has refused others
			list = append(list, place{x, y})
		}
	}
	return list
}

// shares returns the share of the traffic on the busiest link, for reads and for writes, and the mean
// hops. Reads go along the port's row and then along the column of each core; writes along the
// core's row and then along the port's column.
func (o *OnChip) shares(ports []place) (read, write, hops float64) {
	kx, ky := o.grid()
	if len(o.Ports) == 0 {
		// Every node sends to every node: rows are alike, and so are columns.
		row, column := make([]float64, 2*kx), make([]float64, 2*ky)
		for x := range kx {
			o.line(row, kx, x, 1/float64(kx))
		}
		for y := range ky {
			o.line(column, ky, y, 1/float64(ky))
		}
		read = max(slices.Max(row)/float64(ky), slices.Max(column)/float64(kx))
		return read, read, sum(row) + sum(column)
	}
	each := 1 / float64(len(ports))
	rows, columns := map[int64][]float64{}, map[int64][]float64{}
	at := func(lines map[int64][]float64, i, n int64) []float64 {
		if lines[i] == nil {
			lines[i] = make([]float64, 2*n)
		}
		return lines[i]
	}
	allX, allY := make([]float64, 2*kx), make([]float64, 2*ky)
	for _, p := range ports {
		o.line(at(rows, p.y, kx), kx, p.x, each)
		o.line(at(columns, p.x, ky), ky, p.y, each)
		o.line(allX, kx, p.x, each)
		o.line(allY, ky, p.y, each)
	}
	// The columns of all cores carry an even share of reads each, the rows of all cores of writes.
	read, write = slices.Max(allY)/float64(kx), slices.Max(allX)/float64(ky)
	for _, loads := range rows {
		read = max(read, slices.Max(loads))
	}
	for _, loads := range columns {
		write = max(write, slices.Max(loads))
	}
	if o.OneWay {
		write = read
	}
	return read, write, sum(allX) + sum(allY)
}

func sum(list []float64) (s float64) {
	for _, v := range list {
		s += v
	}
	return s
}

// Latency returns the cycles that a load waits for the network: there and back.
func (o *OnChip) Latency() units.Cycles {
	return units.Cycles(float64(2*o.Rates().Hops*float64(o.Hop)) + 0.5)
}
