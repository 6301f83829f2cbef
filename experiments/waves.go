package experiments

import (
	"errors"
	"sort"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// InWaves returns the graph of a workload on a machine: g, or if memory has no room for the caches of all sequences,
// the graph in which as many as there is room for are in work at a time, as servers do. Where not even one has room, or
// sequences cannot take turns, it is g, which the planner refuses with the reason.
func InWaves(machine *arch.Machine, model *llm.Model, w llm.Workload, g *traces.Graph, p plan.Mapping) (*traces.Graph, error) {
	if w.Phase != "generate" || p.InFlight > 1 || w.Batch < 2 || w.Generate < 2 || model.Kind == llm.EncoderDecoder || w.Speculation != nil || fits(machine, g, p) {
		return g, nil
	}
	failed := error(nil)
	// The caches grow with the batch, so there is a largest one that fits.
	most := sort.Search(int(w.Batch-1), func(i int) bool {
		part := w
		part.Batch = int64(i) + 1
		g, err := model.Graph(part)
		if err != nil {
			failed = err
			return true
		}
		return !fits(machine, g, p)
	})
	if failed != nil || most == 0 {
		return g, failed
	}
	w.Wave = int64(most)
	return model.Graph(w)
}

// fits reports whether the machine's memories have room for a graph. Other errors are for the planner to tell.
func fits(m *arch.Machine, g *traces.Graph, p plan.Mapping) bool {
	_, err := plan.Place(m, g, p)
	return !errors.As(err, new(*plan.DoesNotFit))
}
