package account

import (
	"slices"
	"strings"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// withoutOwn takes the calls whose energy was given out of the work of a program: it returns the rest of the work, the
// energy that was given, and the time that it covers.
func withoutOwn(p *plan.Program, work sim.Counts) (rest sim.Counts, given units.Joules, t units.Time) {
	pico := p.Count(work, plan.OwnEnergy)
	if pico == 0 {
		return work, 0, 0
	}
	rest = slices.Clone(work)
	for i := range p.Counters {
		if name, own := strings.CutSuffix(p.Counters[i].Name, plan.OwnSuffix); own {
			for k := range p.Counters {
				if p.Counters[k].Name == name {
					rest[k] -= work[i]
				}
			}
		}
	}
	return rest, units.Joules(float64(pico) / 1e12), units.Time(p.Count(work, plan.OwnEnergyTime))
}
