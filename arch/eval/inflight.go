package eval

import (
	"fmt"

	"github.com/stratasim/strata/arch/account"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Several batches in flight through the stages of a pipeline are played on the times of one batch: what each stage, and the
// host, takes in a step is a section of the program. A stage takes the batches in turn; a batch begins a step when its
// tokens of the step before are back. So a stage is always at work where there are as many batches as stages that take as long; the
// longest one sets the pace, and nothing of it is a ratio that is typed in.

// round is a step of a batch: what it takes where, one after the other.
type round struct {
	section plan.Section // the step as a whole
	marks   []int        // of its sections in the program's outcome
	at      []int64      // stages; plan.HostStage is the host
	takes   []units.Time // for one of the steps that it stands for
}

// rounds puts the sections of a program's outcome together to steps.
func rounds(p *plan.Program, o *sim.Outcome) []round {
	var all []round
	for i, mark := range o.Marks {
		s := p.Sections[mark.Section]
		k := len(all) - 1
		if k < 0 || all[k].section.Phase != s.Phase || all[k].section.Step != s.Step || all[k].section.Steps != s.Steps || i > 0 && s.Stage <= p.Sections[o.Marks[i-1].Section].Stage {
			all = append(all, round{section: s})
			k++
			all[k].section.Stage = 0
		}
		r := &all[k]
		r.marks = append(r.marks, i)
		r.at, r.takes = append(r.at, s.Stage), append(r.takes, (mark.End-mark.Start)/units.Time(max(s.Steps, 1)))
	}
	return all
}

// flight is the state of the play: when each batch has its tokens back, and when each stage is free.
type flight struct {
	batch, stage []units.Time // the host is stage 0
}

// play lets the batches through the steps of a round, and returns when the last one is through.
func (f *flight) play(r *round) units.Time {
	before := flight{make([]units.Time, len(f.batch)), make([]units.Time, len(f.stage))}
	for n := max(r.section.Steps, 1); n > 0; n-- {
		copy(before.batch, f.batch)
		copy(before.stage, f.stage)
		for i := range f.batch {
			t := f.batch[i]
			for k, at := range r.at {
				t = max(t, f.stage[at+1]) + r.takes[k]
				f.stage[at+1] = t
			}
			f.batch[i] = t
		}
		// Once all moves on by the same, it goes on like that.
		if by := f.batch[0] - before.batch[0]; f.moved(&before, r, by) {
			for i := range f.batch {
				f.batch[i] += by * units.Time(n-1)
			}
			for _, at := range r.at {
				f.stage[at+1] += by * units.Time(n-1)
			}
			break
		}
	}
	return f.batch[len(f.batch)-1]
}

// moved reports whether all batches and the stages of a round are later by the same time.
func (f *flight) moved(before *flight, r *round, by units.Time) bool {
	for i := range f.batch {
		if f.batch[i]-before.batch[i] != by {
			return false
		}
	}
	for _, at := range r.at {
		if f.stage[at+1]-before.stage[at+1] != by {
			return false
		}
	}
	return true
}

// fly returns the outcome of the batches in flight: that of one of them with the time in which it waits for others as idle, and a mark
// for each step of the last batch, in place of its section the index of its round. Where it is one of many alike, it is the second of two.
func fly(p *plan.Program, o *sim.Outcome, cycle bool) (*sim.Outcome, []round, error) {
	all := rounds(p, o)
	f := &flight{make([]units.Time, p.InFlight()), make([]units.Time, p.Stages+1)}
	var from units.Time
	if cycle {
		for i := range all {
			from = f.play(&all[i])
		}
	}
	done := *o
	done.Marks = nil
	start := from
	for i := range all {
		end := f.play(&all[i])
		done.Marks = append(done.Marks, sim.Mark{Section: i, Start: start - from, End: end - from})
		start = end
	}
	if start-from > units.MaxTime {
		return nil, nil, fmt.Errorf("batches in flight: longer than the simulator counts: %w", plan.ErrTooLarge)
	}
	done.Makespan = start - from
	done.Stalls[sim.Idle] += done.Makespan - o.Makespan
	if cycle && done.Makespan < o.Makespan {
		return nil, nil, fmt.Errorf("internal: a cycle of several batches takes %v, of one alone %v", done.Makespan, o.Makespan)
	}
	return &done, all, nil
}

// steady reports whether what is asked for is one of many alike that follow one another: a server's cycle, or a step.
func (r *Request) steady() bool {
	return r.Graph.Phase == "serve" || r.Graph.Phase == traces.Decode.String()
}

// flying is the makespan of a program whose outcome is known, with all batches in flight.
func (r *Request) flying(p *plan.Program, o *sim.Outcome) (units.Time, error) {
	if p.InFlight() == 1 {
		return o.Makespan, nil
	}
	done, _, err := fly(p, o, r.steady())
	if err != nil {
		return 0, err
	}
	return done.Makespan, nil
}

// fly puts the batches in flight into a result of one of them.
func (r *Request) fly(res *Result) error {
	if res.Program.InFlight() == 1 {
		return nil
	}
	done, all, err := fly(res.Program, res.Outcome, r.steady())
	if err == nil {
		res.Outcome, res.rounds = done, all
	}
	return err
}

// section is the step of a mark of the result.
func (res *Result) section(m *sim.Mark) *plan.Section {
	if res.rounds == nil {
		return &res.Program.Sections[m.Section]
	}
	return &res.rounds[m.Section].section
}

// marksOf is which marks of the program that was timed make up the i-th mark of the result.
func (res *Result) marksOf(i int) []int {
	if res.rounds == nil {
		return []int{i}
	}
	return res.rounds[i].marks
}

// levelOf is the mean power of a chip at work in the i-th mark of the result.
func (res *Result) levelOf(i int) units.Watts {
	var joules units.Joules
	var time units.Time
	levels := res.timed.levels()
	for _, k := range res.marksOf(i) {
		if k >= len(levels) {
			return 0
		}
		joules += levels[k].Watts.During(levels[k].Time)
		time += levels[k].Time
	}
	if time == 0 {
		return 0
	}
	return joules.Per(time)
}

// clockOf is the mean clock of the chips at work in the i-th mark of the result, and whether the power limit lowers it in any part.
func (r *Request) clockOf(res *Result, i int) (hertz float64, lowered bool) {
	steps := res.timed.steps
	if res.rounds == nil {
		return float64(r.clock(steps[i])), steps[i] > 0
	}
	one := &res.rounds[i]
	var cycles, seconds float64
	for j, k := range one.marks {
		if one.at[j] == plan.HostStage {
			continue
		}
		lowered = lowered || steps[k] > 0
		cycles += float64(float64(r.clock(steps[k])) * one.takes[j].Seconds())
		seconds += one.takes[j].Seconds()
	}
	if seconds == 0 {
		return float64(r.clock(0)), lowered
	}
	return cycles / seconds, lowered
}

// resting adds to the energy of a run what the chips draw while no batch is at any of them, which the runs of
// single batches do not have.
func (res *Result) resting(meter *account.Meter, e *account.Energy) {
	var alone units.Time
	for _, s := range res.timed.stretches {
		alone += s.Outcome.Makespan
	}
	more := res.Outcome.Makespan - alone
	if res.Program.InFlight() == 1 || more <= 0 {
		return
	}
	chips := units.Joules(res.Program.Chips())
	for i, j := range meter.At(nil, more, 0, account.Full) {
		e.Parts[i].Joules += j * chips
		e.Total += j * chips
	}
	e.Average = e.Total.Per(res.Outcome.Makespan)
}
