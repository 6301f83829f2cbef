package experiments

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments/costs"
)

// CostOptions say how costs of operators were given.
type CostOptions struct {
	File    string `json:"file,omitempty"`    // a table
	Command string `json:"command,omitempty"` // another program
	// Interpolate is "log" for costs between the rows of a table, "" for those of its rows alone.
	Interpolate string `json:"interpolate,omitempty"`
	// Missing is "error" if every operator must have a cost; else the model has the others.
	Missing string `json:"missing,omitempty"`
}

// Costs are costs of operators in place of the model's: a table, or what another program answers.
type Costs struct {
	// Coster is what answers.
	plan.Coster
	options CostOptions
	file    []byte // of the table
	key     string // of what is answered, "" for a command that has still to be asked
}

// NewCosts reads the table or gets the command ready. arch is the member "arch" of the questions to a command, as JSON,
// nil for the name of the machine.
func NewCosts(o CostOptions, shell bool, arch []byte) (*Costs, error) {
	if o.Command != "" {
		c, err := costs.NewCommand(o.Command, shell, arch)
		if err != nil {
			return nil, &Invalid{Field: "cost-command", Message: err.Error()}
		}
		return &Costs{Coster: c, options: o}, nil
	}
	data, err := readFile(o.File, MaxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Invalid{Field: "cost", Message: fmt.Sprintf("there is no file %s", o.File)}
	}
	if err != nil {
		return nil, &Invalid{Field: "cost", Message: err.Error()}
	}
	return tableOf(o, data)
}

func tableOf(o CostOptions, data []byte) (*Costs, error) {
	t, err := costs.ReadTable(o.File, data)
	if err != nil {
		return nil, err
	}
	t.Interpolate = o.Interpolate != ""
	return &Costs{t, o, data, t.Key()}, nil
}

// restoreCosts makes costs of what Store kept.
func restoreCosts(o *CostOptions, data []byte) (*Costs, error) {
	if o == nil {
		return nil, errors.New("stored request: it has costs, but does not say how they were given")
	}
	if o.Command == "" {
		return tableOf(*o, data)
	}
	r, err := costs.ReadRecord(o.Command, data)
	if err != nil {
		return nil, err
	}
	return &Costs{r, *o, nil, r.Key()}, nil
}

// content is what has to be kept to answer the same again.
func (c *Costs) content() []byte {
	switch x := c.Coster.(type) {
	case *costs.Command:
		return x.Record().Content()
	case *costs.Record:
		return x.Content()
	}
	return c.file
}

// addCosts puts the costs of the point into a request for it.
func (p *Point) addCosts(r *eval.Request) {
	if p.Costs == nil {
		return
	}
	r.Costs, r.OwnCostsOnly = p.Costs.Coster, p.Cost != nil && p.Cost.Missing == "error"
	r.CostKey = p.Costs.key
}

// AskCosts asks a command for the costs of all operators that the point runs, and ends it: from then on its answers are
// known, and with them the key of r, which is the point's request. It does nothing for other costs. The note says that the
// program did not end well.
func (p *Point) AskCosts(ctx context.Context, r *eval.Request) (note string, err error) {
	if p.Costs == nil {
		return "", nil
	}
	c, ok := p.Costs.Coster.(*costs.Command)
	if !ok {
		return "", nil
	}
	err = p.each(r, func(one eval.Request) error {
		one.Mapping.Overfull, one.OwnCostsOnly = true, false // the run says what it says to these
		_, err := one.PlanContext(ctx)
		if err == nil && one.Plain != nil {
			one.Graph, one.Plain = one.Plain, nil
			_, err = one.PlanContext(ctx)
		}
		return err
	})
	if end := c.Close(); end != nil {
		note = end.Error()
	}
	if err != nil {
		return note, err
	}
	p.Costs.Coster, p.Costs.key = c.Record(), c.Record().Key()
	p.addCosts(r)
	return note, nil
}

// each calls f for the request of a point, or for those of all lengths of its workload.
func (p *Point) each(r *eval.Request, f func(eval.Request) error) error {
	if p.Workload == nil {
		return f(*r)
	}
	for _, down := range []bool{false, true} {
		if down && p.Workload.Round < 2 {
			break
		}
		for _, e := range p.Workload.For(p.generates(), down) {
			one, err := p.at(e.Lengths).Request()
			if err == nil {
				err = f(one)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
