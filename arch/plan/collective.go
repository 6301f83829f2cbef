package plan

import (
	"fmt"
	"slices"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// collective plans a collective over the chips of the tensor-parallel group. Its payload passes
// through memory on the way: what a chip sends is read there, what arrives is written.
func (b *builder) collective(name string, phase traces.Phase, kind traces.Kind, bytes units.Bytes) (*Body, error) {
	return b.transfer(name, phase, kind, b.mapping.TP, 2, bytes)
}

// transfer plans what so many chips send one another; passes is how often a byte that is sent passes through the memory of
// each of them: read and written where all send and receive, one of both where one sends to another.
func (b *builder) transfer(name string, phase traces.Phase, kind traces.Kind, chips, passes int64, bytes units.Bytes) (*Body, error) {
	protocol, pin := b.protocol(name, phase, kind, bytes)
	s, err := b.m.System.ScaleUp.ScheduleBy(b.m.CollectiveLibrary(b.profile), protocol, interconnect.Op(kind.String()), chips, bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrTooLarge)
	}
	key := kernelKey{op: b.op(phase, name, kind.String()), kind: kind.String(), read: bytes, pin: pin.choice()}
	if k := b.known(&key); k != nil {
		return k, nil
	}
	k := b.kernel(name, phase, kind.String())
	sent := int64(s.Sent)
	k.then(Node{Name: "transfer, " + s.Protocol, Step: &Step{Kind: "collective", Latency: s.Latency, Charge: sim.Link,
		Uses: []Use{b.useAt("link", sent, float64(s.Sent)/float64(max(s.Occupied, 1))), b.use(b.off.Name, passes*b.off.Sectors(sent))},
		Counts: []Count{b.count("link.sent", "B", sent),
			b.count(b.off.Name+".read", "B", b.off.Sectors(sent)), b.count(b.off.Name+".write", "B", b.off.Sectors(sent))}}})
	if b.decisions != nil {
		b.decidedCollective(b.matchCollective(name, phase, kind), k, bytes, &s, pin)
	}
	b.kernels[key] = k
	return k, nil
}

// protocol returns what of a collective is pinned, and the protocol among it, "" if that is free.
func (b *builder) protocol(name string, phase traces.Phase, kind traces.Kind, bytes units.Bytes) (string, *pinned) {
	if b.pins == nil {
		return "", nil
	}
	k := b.matchCollective(name, phase, kind)
	pin := b.pins.of(k)
	if pin == nil || !b.only(pin, &k, "a collective", "narrow the match", pinProtocol) {
		return "", pin
	}
	lib := b.m.CollectiveLibrary(b.profile)
	var names []string
	for i := range lib.Protocols {
		names = append(names, lib.Protocols[i].Name)
	}
	s, err := b.m.System.ScaleUp.ScheduleBy(lib, pin.Protocol, interconnect.Op(k.Kind), b.ranksOf(k.Kind), bytes)
	switch {
	case !slices.Contains(names, pin.Protocol):
		b.refuse(pin, pinProtocol, name, suggestion(pin.Protocol, names), "the collective library has no such protocol")
	case err == nil && s.Protocol == "" && bytes > 0:
		b.refuse(pin, pinProtocol, name, "leave it out", "the protocol does not do %s of %s", kind, Human(bytes))
	default:
		return pin.Protocol, pin
	}
	return "", pin
}

// ranksOf is how many chips take part in a collective: two in what one stage of a pipeline sends to another.
func (b *builder) ranksOf(kind string) int64 {
	if b.mapping.PP > 1 && kind == traces.SendRecv.String() {
		return 2
	}
	return b.mapping.TP
}

func (b *builder) matchCollective(name string, phase traces.Phase, kind traces.Kind) Match {
	return Match{Op: name, Kind: kind.String(), Phase: phase.String(), Block: b.blockName}
}
