package parallel

import (
	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/units"
)

// byBlock reports whether a slot is played block by block, because collectives of its data-parallel group go with its blocks.
func (p *play) byBlock(st *stage, sl Slot) bool {
	if !p.divided {
		return false
	}
	switch p.Sharding.Stage {
	case 3:
		return true
	case 2:
		return sl.Pass == p.last || p.gathers(st, sl)
	}
	return p.Sharding.Overlap && p.reduces(st, sl) || p.gathers(st, sl)
}

// gathers reports whether a slot is the first of its chunk, beside which weights are gathered that the update left divided.
func (p *play) gathers(st *stage, sl Slot) bool {
	return p.Sharding.OverlapGather && (p.Sharding.Stage == 1 || p.Sharding.Stage == 2) && p.o.kind != Forward &&
		sl.Pass == ForwardPass && st.lanes[0].slots[ForwardPass][sl.Chunk] == 0
}

// reduces reports whether a slot is the last to add to its chunk's gradients.
func (p *play) reduces(st *stage, sl Slot) bool {
	return sl.Pass == p.last && st.lanes[0].slots[sl.Pass][sl.Chunk] == p.o.m-1
}

// blocksOf plays a slot block by block. All classes of the stage go along: their collectives start when the last is there.
func (p *play) blocksOf(s int64, sl Slot) error {
	st := &p.stages[s]
	ch := &st.chunks[sl.Chunk]
	weights := p.Sharding.Stage == 3 && sl.Pass != WeightPass
	gradients := sl.Pass == p.last
	reduces := p.reduces(st, sl)
	first := p.gathers(st, sl)
	finish := units.Time(0) // of the block before, on the last of the classes
	for r := range st.lanes {
		finish = max(finish, st.lanes[r].now)
		st.lanes[r].now = p.begin[r]
	}
	for i := range ch.blocks {
		pos := i
		if sl.Pass != ForwardPass {
			pos = ch.blocks - 1 - i
		}
		b := ch.block(pos)
		gathered := units.Time(0)
		if weights && b.gather.Time > 0 {
			gathered = p.gathered(s, finish)
		} else if first {
			if i == 0 && sl.Chunk == 0 { // all are asked for at the start
				for c := range st.chunks {
					for k := range st.chunks[c].blocks {
						b := st.chunks[c].block(k)
						st.gathers = append(st.gathers, p.enqueue(s, 0, &b.gather, b.gload, "all-gather"))
					}
				}
			}
			gathered = st.gathers[0]
			st.gathers = st.gathers[1:]
		}
		finish = 0
		for r := range st.lanes {
			l := &st.lanes[r]
			if wait := gathered - l.now; wait > 0 {
				l.exposed[Data] += wait
				l.now = gathered
			}
			l.now = p.run(st, l, l.now, b.passes[sl.Pass][r].time, b.mixes[sl.Pass][r])
			finish = max(finish, l.now)
		}
		st.flights = landed(st.flights, st.first())
		switch {
		case gradients && p.Sharding.Stage >= 2:
			p.enqueue(s, finish, &b.scatter, b.sload, "reduce-scatter")
		case reduces:
			st.pending.weights += b.weights
			st.pending.experts += b.experts
			if full := st.pending.weights + st.pending.experts; full > 0 && (full >= p.Sharding.Bucket || i == ch.blocks-1) {
				c, err := p.reduction(st, st.pending.weights, st.pending.experts)
				if err != nil {
					return err
				}
				st.pending.weights, st.pending.experts = 0, 0
				p.enqueue(s, finish, &c, p.Chip.load(Data, c.Local+c.Remote, c.Time, reduceTraffic), "reduction")
			}
		}
	}
	return nil
}

// first is the time that all kernels of a stage have got to.
func (st *stage) first() units.Time {
	t := units.MaxTime + 1
	for r := range st.lanes {
		t = min(t, st.lanes[r].now)
	}
	return t
}

// enqueue puts a collective behind others of the stage and returns its end.
func (p *play) enqueue(s int64, ready units.Time, c *interconnect.Cost, l load, name string) units.Time {
	if c.Time == 0 {
		return 0
	}
	st := &p.stages[s]
	start := max(st.queue, ready)
	st.queue = start + c.Time
	if l != (load{}) {
		st.flights = append(st.flights, flight{start, st.queue, l, Data})
	}
	if p.record {
		p.result.Spans = append(p.result.Spans, Span{Class: int(s) * len(p.classes), Name: name, Comm: true, Kind: Data, Start: start, End: st.queue})
	}
	return st.queue
}

// gathered returns when the weights of the next block to run are there. Those of as many blocks ahead as may be gathered at a
// time are asked for too, as the block before has finished and freed its own.
func (p *play) gathered(s int64, finish units.Time) units.Time {
	st := &p.stages[s]
	for int64(len(st.gathers)) < p.Sharding.blocks() {
		b, needs, ok := p.ask(s)
		if !ok {
			break
		}
		end := units.Time(0)
		if needs {
			end = p.enqueue(s, finish, &b.gather, b.gload, "all-gather")
		}
		st.gathers = append(st.gathers, end)
	}
	end := st.gathers[0]
	st.gathers = st.gathers[1:]
	return end
}

// ask moves to the next block whose weights are asked for, and reports whether they have to be gathered: a backward pass finds
// those of its first block as the forward pass left them, and all of them if they are kept, and needs none of a block that has
// no backward pass, as a frozen embedding. Blocks without weights are passed over.
func (p *play) ask(s int64) (b *blockCost, needs, ok bool) {
	st := &p.stages[s]
	for at := &st.ahead; at.slot < p.o.len(s); at.slot, at.index = at.slot+1, 0 {
		sl := p.o.at(s, at.slot)
		if sl.Pass == WeightPass {
			continue
		}
		for ch := &st.chunks[sl.Chunk]; at.index < ch.blocks; {
			pos := at.index
			if sl.Pass == BackwardPass {
				pos = ch.blocks - 1 - at.index
			}
			at.index++
			if b = ch.block(pos); b.gather.Time == 0 {
				continue
			}
			needs = sl.Pass == ForwardPass || b.passes[BackwardPass][0].time > 0 && !p.Sharding.KeepGathered && !(at.forwarded && at.chunk == sl.Chunk && at.block == pos)
			at.chunk, at.block, at.forwarded = sl.Chunk, pos, sl.Pass == ForwardPass
			return b, needs, true
		}
	}
	return nil, false, false
}
