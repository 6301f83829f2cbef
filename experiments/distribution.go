package experiments

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments/workload"
)

// WorkloadOf reads a workload file.
func WorkloadOf(name string) (*workload.Workload, error) {
	open := func(name string) ([]byte, error) { return readFile(name, workload.MaxFile) }
	data, err := open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Invalid{Field: "workload", Message: fmt.Sprintf("there is no file %s", name)}
	}
	if err != nil {
		return nil, &Invalid{Field: "workload", Message: err.Error()}
	}
	return workload.Read(name, data, open)
}

// generates reports whether the phase of the point generates tokens.
func (p *Point) generates() bool { return p.Phase == "generate" }

// at is the point with the lengths of one request in the place of its workload.
func (p *Point) at(l workload.Lengths) *Point {
	q := *p
	q.Workload, q.Prompt, q.Generate = nil, l.Prompt, 0
	if p.generates() {
		q.Generate = l.Generate
	}
	return &q
}

// workloadRequest is the request for one length of the point's workload, as part of it.
func (p *Point) workloadRequest(l workload.Lengths) (eval.Request, error) {
	r, err := p.at(l).Request()
	r.Workload, r.Seed = p.Workload.Key(), p.Workload.Seed
	return r, err
}

// longest is the request of the workload that takes the most memory. Lengths that no run may have are told as those of
// the workload.
func (p *Point) longest() (workload.Lengths, error) {
	var longest workload.Lengths
	for _, e := range p.Workload.For(p.generates(), false) {
		switch {
		case e.Prompt < 1 && p.Phase != "decode":
			return longest, &Invalid{Field: "workload", Message: fmt.Sprintf("%s: a prompt of no tokens", p.Workload.Name), Hint: "only phase decode starts from nothing"}
		case p.generates() && (e.Generate < 1 || e.Generate > MaxGenerate):
			return longest, &Invalid{Field: "workload", Message: fmt.Sprintf("%s: a request with a prompt of %d generates %d tokens: must be from 1 to %d", p.Workload.Name, e.Prompt, e.Generate, MaxGenerate),
				Hint: "or ask for --phase prefill or decode"}
		}
		if e.Prompt+e.Generate > longest.Prompt+longest.Generate {
			longest = e.Lengths
		}
	}
	return longest, nil
}

// Distribute times all lengths of the point's workload and makes r the request of median latency. It returns nil for a point
// without a workload. Progress, if not nil, is told how many of how many lengths are done.
func (p *Point) Distribute(ctx context.Context, r *eval.Request, progress func(done, of int)) (*eval.Distribution, error) {
	if p.Workload == nil {
		return nil, nil
	}
	hash := p.Machine.Hash()
	run := func(ctx context.Context, l workload.Lengths) (workload.Figures, error) {
		one, err := p.at(l).Request()
		if err != nil {
			return workload.Figures{}, err
		}
		one.ArchHash, one.Plain = hash, nil // the request of median length compares
		res, err := eval.Run(ctx, one)
		if err != nil {
			return workload.Figures{}, err
		}
		return workload.FiguresOf(&res.Answer), nil
	}
	d, median, err := p.Workload.Evaluate(ctx, p.generates(), max(p.Batch, 1), run, progress)
	if err != nil {
		return nil, err
	}
	chosen, err := p.workloadRequest(median)
	if err != nil {
		return nil, err
	}
	chosen.Advise, chosen.Observer, chosen.Progress = r.Advise, r.Observer, r.Progress
	*r = chosen
	return d, nil
}
