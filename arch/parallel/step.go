package parallel

import (
	"fmt"
	"math"
	"sync"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/portable"
	"github.com/stratasim/strata/sim/units"
)

// Unit is what a chip runs without a break: a pass of a layer, an update of weights.
type Unit struct {
	Name string
	// Time that it takes alone. Communication of its tensor group that nothing hides may be within, as stalls of Link.
	Time   units.Time
	Stalls sim.Stalls // sum to Time
	// Comms are communications apart from Time, in series with the unit's kernels or beside them.
	Comms []Comm
}

// Comm is a communication within a unit, apart from its Time.
type Comm struct {
	Kind Kind
	Time units.Time // of all its pieces
	// Beside is the part of the unit's time, at most Unit.Time, that it may hide behind; 0 leaves it exposed.
	Beside units.Time
	// Pieces that it and what hides it are cut into, as the passes of ring attention are; 0 is one. Kernels of a piece wait
	// for the communication before it, and the kernels of the first for none.
	Pieces int64
	// Cores and Memory are the shares of the chip's cores and memory bandwidth that it takes while it runs.
	Cores, Memory float64
}

// Block is what stages are cut from: the embedding, a layer, the head with the loss.
type Block struct {
	Forward Unit
	// Recompute is what is run again before the backward pass.
	Recompute Unit
	// Backward is the gradient of the input, and that of the weights unless Weight has it.
	Backward Unit
	// Weight is the gradient of the weights where it can wait, as zero-bubble schedules need.
	Weight Unit
	// Accumulate adds gradients of a micro-batch to those before; it follows the gradient of the weights.
	Accumulate Unit
	// Parameters of a rank of the tensor group, experts apart; ExpertParameters those of its experts, which have fewer copies.
	Parameters, ExpertParameters int64
	// FrozenBytes are those of its weights that are not trained, experts apart, and FrozenExpertBytes those of its experts.
	FrozenBytes, FrozenExpertBytes units.Bytes
}

// numUnits is how many a block has: forward, recompute, backward, weight, accumulate.
const numUnits = 5

// units lists those of a block in the order in which they are run.
func (b *Block) units() [numUnits]*Unit {
	return [numUnits]*Unit{&b.Forward, &b.Recompute, &b.Backward, &b.Weight, &b.Accumulate}
}

// Run is equal blocks in a row.
type Run struct {
	Block
	Times int64
}

// Boundary is what stages hand on.
type Boundary struct {
	// Bytes of activations of one micro-batch, as one rank of a tensor group sends them; gradients are as large.
	Bytes units.Bytes
	// Gather is the activations that a tensor group gathers after a send divided among its ranks (Megatron's
	// scatter-gather, Bytes being a rank's part then); 0 where what is sent is what is needed.
	Gather units.Bytes
	// Blocking keeps both chips from running kernels while they send or receive.
	Blocking bool
}

// Sharding says how gradients are reduced over data-parallel ranks, and what of the state each holds.
type Sharding struct {
	// Stage of ZeRO: 0 copies all state, 1 divides that of the optimizer, 2 also gradients, 3 also weights.
	Stage int64
	// KeepGathered leaves weights of stage 3 gathered from the forward to the backward pass (FSDP's SHARD_GRAD_OP).
	KeepGathered bool
	// Ranks that a copy of the state is divided over, a divisor of CP·DP; 0 is all. Copies are kept equal by all-reduces.
	Ranks int64
	// GradientBytes and WeightBytes are the size of a gradient and of a weight on the wire.
	GradientBytes, WeightBytes int64
	// Overlap reduces gradients beside the last backward pass, in buckets of at least Bucket (0: each block alone). Stages 2
	// and 3 always do.
	Overlap bool
	Bucket  units.Bytes
	// OverlapGather gathers the weights of stages 1 and 2 beside the first forward pass, block by block, not after the update.
	OverlapGather bool
	// Gathered is how many blocks stage 3 has gathered at most, the one that runs among them; 0 is two.
	Gathered int64
}

// defaultGathered is the block that runs and the next one, whose weights come beside it, as FSDP has them (Zhao et al., VLDB 2023).
const defaultGathered = 2

// blocks is how many stage 3 has gathered at most.
func (z *Sharding) blocks() int64 {
	if z.Gathered == 0 {
		return defaultGathered
	}
	return z.Gathered
}

// Chip is what communication beside kernels takes from.
type Chip struct {
	Cores     int64                // 0: communication takes none
	Bandwidth units.BytesPerSecond // of memory off chip; 0: communication takes none
	// Channels is the cores that a communication of each kind holds while it runs.
	Channels [NumKinds]int64
}

// PerElement is a unit whose time grows with what it works on: Time is that of Elements.
type PerElement struct {
	Unit
	Elements int64
}

// Fault is one rank that is slower than others. All ranks that it works with wait for it, so that a faster one changes nothing.
type Fault struct {
	Rank int64
	// Slow is how many times longer its kernels take; 0 is 1.
	Slow float64
	// Links is how many times longer communication within units takes in its groups (Link stalls and Comms); 0 is 1.
	Links float64
	// Network has the costs of collectives and sends of groups with the rank in them; nil is that of the step.
	Network Network
}

// Network says what communication costs. Links is one.
type Network interface {
	Collective(op interconnect.Op, g interconnect.Group, bytes units.Bytes) (interconnect.Cost, error)
}

// maxKnown bounds the costs that Links remembers: those of a search are some thousands, a wild caller's may be any number.
const maxKnown = 1 << 16

// Links is the network of a cluster, under one library and algorithm ("": the library chooses). It remembers costs.
type Links struct {
	Cluster   *interconnect.Cluster
	Library   *interconnect.Library
	Algorithm string

	mu    sync.Mutex
	known map[linkKey]interconnect.Cost
}

type linkKey struct {
	op    interconnect.Op
	g     interconnect.Group
	bytes units.Bytes
}

// Collective returns what the cluster says.
func (l *Links) Collective(op interconnect.Op, g interconnect.Group, bytes units.Bytes) (interconnect.Cost, error) {
	k := linkKey{op, g, bytes}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.known[k]; ok {
		return c, nil
	}
	c, err := l.Cluster.Collective(l.Library, op, g, bytes, l.Algorithm)
	if err != nil {
		return c, err
	}
	if l.known == nil {
		l.known = map[linkKey]interconnect.Cost{}
	}
	if len(l.known) < maxKnown {
		l.known[k] = c
	}
	return c, nil
}

// Step is one optimizer step, or one pass of inference through the stages.
type Step struct {
	Degrees Degrees
	Network Network
	Chip    Chip

	// Embedding, Layers and Head are the model in order. Embedding and Head may be empty.
	Embedding Block
	Layers    []Run
	Head      Block
	// Split is the layers of each chunk in the order of the model: chunk c of stage s is entry c·PP+s; nil divides evenly.
	Split []int64
	// CountEnds counts the embedding and the head as a layer each when layers are divided.
	CountEnds bool

	Microbatches int64
	Schedule     Schedule // "" is 1F1B, or Interleaved with more than one chunk
	// Orders takes the place of a schedule: the slots of each stage.
	Orders   [][]Slot
	Boundary Boundary
	Sharding Sharding
	// Update is the optimizer's step; its Elements are parameters of a rank.
	Update PerElement
	// Tied is the parameters of a table that the embedding and the head have in common, and TiedFrozen the bytes of one that is
	// not trained. Embedding counts them, and Head does not; a last stage that is not the first has a copy, and both add up
	// their gradients.
	Tied       int64
	TiedFrozen units.Bytes
	// Norm takes the norm of all gradients before the update, for which all ranks wait.
	Norm bool

	// Spread is the standard deviation of chips' speed as a part of it. Synchronous ranks run at the slowest of all.
	Spread float64
	Faults []Fault

	// Exact plays every slot; otherwise what repeats is skipped, with the same result.
	Exact bool
	// Apart plays all ranks' classes apart even if they do the same.
	Apart bool
	// Record keeps spans for a timeline; every slot is played then.
	Record bool
}

// blom is α in the plotting position (i − α)/(n + 1 − 2α) of the i-th of n normal variables (Blom, 1958).
const blom = 0.375

// Straggler is the expected ratio of the slowest of n chips to the mean one: 1 + spread·Φ⁻¹((n − 0.375)/(n + 0.25)), Blom's
// estimate of the largest of n normal variables. One chip is no slower than itself.
func Straggler(spread float64, n int64) float64 {
	if n <= 1 || spread == 0 {
		return 1
	}
	x := (float64(n) - blom) / (float64(n) + (1 - 2*blom))
	return 1 + float64(spread*portable.NormalQuantile(x))
}

// Bounds that keep sums within 63 bits.
const (
	maxMicrobatches = 1 << 20
	maxLayers       = 1 << 16
	maxParameters   = 1 << 40 // of a block on one rank
	maxBytes        = 1 << 50 // of a message, or of a block's frozen weights on one rank
	maxElementBytes = 16      // of a gradient or a weight on the wire, more than any format has
)

// Bounds of what chips may differ by. Beyond them a value is more likely a mistake, as a speed given for a time.
const (
	maxSpread          = 0.5 // standard deviation of speed; clusters have some hundredths
	minTimes, maxTimes = 0.01, 1e4
)

// check returns what of a step cannot be.
func (s *Step) check() error {
	if err := s.Degrees.Validate(); err != nil {
		return err
	}
	if s.Network == nil && s.Degrees.Chips() > 1 {
		return illegal("network", "", "%d chips need one", s.Degrees.Chips())
	}
	if s.Microbatches < 1 || s.Microbatches > maxMicrobatches {
		return illegal("micro_batch", "global_batch is a multiple of micro_batch·dp", "%d micro-batches: there must be between 1 and %d", s.Microbatches, maxMicrobatches)
	}
	if s.Boundary.Bytes < 0 || s.Boundary.Gather < 0 || s.Boundary.Bytes > maxBytes || s.Boundary.Gather > maxBytes {
		return illegal("micro_batch", "", "stages hand on %d bytes, of which %d are gathered: must be between 0 and %d", s.Boundary.Bytes, s.Boundary.Gather, maxBytes)
	}
	d := s.Degrees.Or1()
	if r := s.Sharding.Ranks; r < 0 || r > 0 && (d.CP*d.DP)%r != 0 {
		return illegal("shard", fmt.Sprintf("a divisor of cp·dp %d", d.CP*d.DP), "%d ranks hold a copy of the state", r)
	}
	if st := s.Sharding.Stage; st < 0 || st > 3 {
		return illegal("zero", "0, 1, 2 or 3", "%d: no such stage", st)
	}
	if s.Sharding.GradientBytes < 0 || s.Sharding.GradientBytes > maxElementBytes || s.Sharding.WeightBytes < 0 || s.Sharding.WeightBytes > maxElementBytes {
		return illegal("zero", "", "%d bytes a gradient, %d a weight: must be between 0 and %d", s.Sharding.GradientBytes, s.Sharding.WeightBytes, maxElementBytes)
	}
	if s.Sharding.Bucket < 0 || s.Sharding.Gathered < 0 || s.Sharding.Gathered > maxLayers {
		return illegal("zero", "", "buckets of %d bytes, %d blocks gathered: must not be negative", s.Sharding.Bucket, s.Sharding.Gathered)
	}
	if !(s.Spread >= 0 && s.Spread <= maxSpread) {
		return illegal("stragglers", "e.g. 0.02", "a spread of %g: must be between 0 and %g", s.Spread, maxSpread)
	}
	for _, f := range s.Faults {
		if f.Rank < 0 || f.Rank >= d.Chips() {
			return illegal("stragglers", fmt.Sprintf("ranks are 0 to %d", d.Chips()-1), "rank %d does not exist", f.Rank)
		}
		if !(f.Slow == 0 || f.Slow >= minTimes && f.Slow <= maxTimes) || !(f.Links == 0 || f.Links >= minTimes && f.Links <= maxTimes) {
			return illegal("stragglers", "a factor of time, e.g. 1.2", "rank %d takes %g times as long, its links %g times: must be between %g and %g", f.Rank, f.Slow, f.Links, minTimes, maxTimes)
		}
	}
	for _, b := range s.blocks() {
		for _, u := range b.units() {
			if err := u.check(); err != nil {
				return err
			}
		}
		if b.Parameters < 0 || b.ExpertParameters < 0 || b.Parameters > maxParameters || b.ExpertParameters > maxParameters {
			return fmt.Errorf("%s: %d parameters, %d of experts: must be between 0 and %d", b.Forward.Name, b.Parameters, b.ExpertParameters, maxParameters)
		}
		if b.FrozenBytes < 0 || b.FrozenExpertBytes < 0 || b.FrozenBytes > maxBytes || b.FrozenExpertBytes > maxBytes {
			return fmt.Errorf("%s: %d bytes of frozen weights, %d of experts: must be between 0 and %d", b.Forward.Name, b.FrozenBytes, b.FrozenExpertBytes, maxBytes)
		}
	}
	if s.Tied < 0 || s.Tied > s.Embedding.Parameters || s.TiedFrozen < 0 || s.TiedFrozen > s.Embedding.FrozenBytes {
		return fmt.Errorf("the head has %d parameters and %d frozen bytes of the embedding's %d and %d", s.Tied, s.TiedFrozen, s.Embedding.Parameters, s.Embedding.FrozenBytes)
	}
	if s.Update.Elements < 0 {
		return fmt.Errorf("unit %s: is that of %d parameters", s.Update.Name, s.Update.Elements)
	}
	return s.Update.check()
}

// blocks lists the distinct blocks.
func (s *Step) blocks() []*Block {
	all := []*Block{&s.Embedding}
	for i := range s.Layers {
		all = append(all, &s.Layers[i].Block)
	}
	return append(all, &s.Head)
}

func (u *Unit) check() error {
	if u.Time < 0 {
		return fmt.Errorf("unit %s: a negative time of %v", u.Name, u.Time)
	}
	if u.Time > units.MaxTime {
		return fmt.Errorf("unit %s: takes longer than %v: %w", u.Name, units.MaxTime, units.ErrTooLarge)
	}
	if t := u.Stalls.Total(); t != u.Time {
		return fmt.Errorf("unit %s: stalls sum to %v, its time is %v", u.Name, t, u.Time)
	}
	for _, c := range u.Comms {
		if c.Time < 0 || c.Time > units.MaxTime || c.Beside < 0 || c.Beside > u.Time || c.Pieces < 0 || c.Kind >= NumKinds {
			return fmt.Errorf("unit %s: %s communication of %v beside %v of %v, in %d pieces", u.Name, c.Kind, c.Time, c.Beside, u.Time, c.Pieces)
		}
		if !(c.Cores >= 0 && c.Cores < 1) || !(c.Memory >= 0 && c.Memory < 1) {
			return fmt.Errorf("unit %s: %s communication takes %g of the cores and %g of the memory: must be at least 0 and below 1", u.Name, c.Kind, c.Cores, c.Memory)
		}
	}
	return nil
}

// scaled returns t·f, rounded; above MaxTime it is MaxTime+1.
func scaled(t units.Time, f float64) units.Time {
	if f == 1 {
		return t
	}
	return units.Time(math.Round(min(float64(t)*f, float64(units.MaxTime)+1)))
}
