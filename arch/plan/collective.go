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
	s, err := b.m.System.ScaleUp.Schedule(b.m.CollectiveLibrary(b.profile), interconnect.Op(kind.String()), b.mapping.TP, bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrTooLarge)
	}
	key := kernelKey{op: b.op(phase, name, kind.String()), kind: kind.String(), read: bytes}
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
