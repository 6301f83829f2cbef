package experiments

import (
	"errors"
	"strings"

	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/sim/kernel"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// Problems are several errors of one request, so that whoever wrote it can mend them all at once.
type Problems []error

// Add notes an error; nil is nothing to note. Problems of problems are taken apart.
func (p *Problems) Add(err error) {
	switch e := err.(type) {
	case nil:
	case Problems:
		*p = append(*p, e...)
	default:
		*p = append(*p, err)
	}
}

// Err returns the problems as an error: nil for none, and a single one by itself.
func (p Problems) Err() error {
	switch len(p) {
	case 0:
		return nil
	case 1:
		return p[0]
	}
	return p
}

// Error gives one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, e := range p {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems.
func (p Problems) Unwrap() []error { return p }

// IsInput reports whether an error is about what was given: a machine, a model, a trace, a mapping or their sizes.
func IsInput(err error) bool {
	var (
		machine  *spec.Error
		mapping  *plan.Invalid
		graph    *traces.Invalid
		trace    *traces.ReadError
		model    *llm.Error
		workload *llm.Invalid
		noModel  *llm.Unknown
		noPreset *presets.Unknown
		dtype    *compute.UnsupportedType
		limit    *kernel.LimitError
	)
	for _, target := range []any{&machine, &mapping, &graph, &trace, &model, &workload, &noModel, &noPreset, &dtype, &limit} {
		if errors.As(err, target) {
			return true
		}
	}
	return errors.Is(err, plan.ErrUnsupported) || errors.Is(err, plan.ErrTooLarge) || errors.Is(err, llm.ErrUnsupported)
}
