package plan

import (
	"fmt"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// collective plans a collective over the chips of the tensor-parallel group. Its payload passes
// through memory on the way: what a chip sends is read there, what arrives is written.
func (b *builder) collective(name string, phase traces.Phase, kind traces.Kind, bytes units.Bytes) (*Body, error) {
	lib := b.m.CollectiveLibrary(b.profile)
	var pin *pinned
	if b.pins != nil {
		k := b.matchCollective(name, phase, kind)
		if pin = b.pins.of(k); pin != nil {
			lib = b.narrowProtocols(lib, &k, bytes, pin)
		}
	}
	s, err := b.m.System.ScaleUp.Schedule(lib, interconnect.Op(kind.String()), b.mapping.TP, bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrTooLarge)
	}
	key := kernelKey{op: b.op(phase, name, kind.String()), kind: kind.String(), read: bytes, pin: pin}
	if k, ok := b.kernels[key]; ok {
		return k, nil
	}
	k := b.kernel(name, phase, kind.String())
	sent := int64(s.Sent)
	k.then(Node{Name: "transfer, " + s.Protocol, Step: &Step{Kind: "collective", Latency: s.Latency, Charge: sim.Link,
		Uses: []Use{b.useAt("link", sent, float64(s.Sent)/float64(s.Occupied)), b.use(b.off.Name, 2*b.off.Sectors(sent))},
		Counts: []Count{b.count("link.sent", "B", sent),
			b.count(b.off.Name+".read", "B", b.off.Sectors(sent)), b.count(b.off.Name+".write", "B", b.off.Sectors(sent))}}})
	b.kernels[key] = k
	return k, nil
}

func (b *builder) matchCollective(name string, phase traces.Phase, kind traces.Kind) Match {
	return Match{Op: name, Kind: kind.String(), Phase: phase.String(), Block: b.blockName}
}

// narrowProtocols leaves of a library the protocol that is pinned, unless that cannot be.
func (b *builder) narrowProtocols(lib *interconnect.Library, k *Match, bytes units.Bytes, pin *pinned) *interconnect.Library {
	if !b.only(pin, k, "a collective", "narrow the match", pinProtocol) || pin.Protocol == "" {
		return lib
	}
	var names []string
	for i := range lib.Protocols {
		one := *lib
		one.Protocols = lib.Protocols[i : i+1]
		names = append(names, lib.Protocols[i].Name)
		if lib.Protocols[i].Name != pin.Protocol {
			continue
		}
		if _, err := b.m.System.ScaleUp.Schedule(&one, interconnect.Op(k.Kind), b.mapping.TP, bytes); err != nil {
			b.refuse(pin, pinProtocol, k.Op, "leave it out", "the protocol does not do that")
			return lib
		}
		return &one
	}
	b.refuse(pin, pinProtocol, k.Op, suggestion(pin.Protocol, names), "the collective library has no such protocol")
	return lib
}
