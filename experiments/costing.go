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
}

// NewCosts reads the table or gets the command ready. arch is the member "arch" of the questions to a command, as JSON,
// nil for the name of the machine.
func NewCosts(o CostOptions, shell bool, arch []byte) (*Costs, error) {
	if o.Command != "" {
		c, err := costs.NewCommand(o.Command, shell, arch)
		if err != nil {
			return nil, &Invalid{Field: "cost-command", Message: err.Error()}
		}
		return &Costs{c, o, nil}, nil
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
	return &Costs{t, o, data}, nil
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
	return &Costs{r, *o, nil}, nil
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
	if k, ok := p.Costs.Coster.(interface{ Key() string }); ok {
		r.CostKey = k.Key()
	}
}

// AskCosts asks a command for the costs of all operators of the requests, which are those of the point, and ends it: from
// then on its answers are known, and with them the keys. It does nothing for other costs. The note says that the program
// did not end well.
func (p *Point) AskCosts(ctx context.Context, requests ...*eval.Request) (note string, err error) {
	if p.Costs == nil {
		return "", nil
	}
	c, ok := p.Costs.Coster.(*costs.Command)
	if !ok {
		return "", nil
	}
	for _, r := range requests {
		ask := *r
		ask.Mapping.Overfull, ask.OwnCostsOnly = true, false // the run says what it says to these
		if _, err = ask.PlanContext(ctx); err != nil {
			break
		}
	}
	if end := c.Close(); end != nil {
		note = end.Error()
	}
	if err != nil {
		return note, err
	}
	p.Costs.Coster = c.Record()
	for _, r := range requests {
		p.addCosts(r)
	}
	return note, nil
}
