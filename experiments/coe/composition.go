package coe

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces/llm"
)

// Kinds of popularity: how requests pick experts.
const (
	Uniform  = "uniform"  // each as often
	Zipf     = "zipf"     // number k of a kind as often as (k+1) to the power of −exponent
	InTurn   = "in-turn"  // one after the other, from the first again after the last
	Recorded = "recorded" // as listed, from the start again after the end
)

// Policies of the cache.
const (
	LRU    = "lru"
	Pinned = "pinned"
	Belady = "belady"
)

// Kind is experts of one model. Experts are numbered from 0, in the order of kinds.
type Kind struct {
	Model *llm.Model
	Count int64
	// Weight is how often requests pick an expert of this kind, against those of other kinds.
	Weight float64
}

// Composition is a composition of experts and its requests.
type Composition struct {
	Name  string // of its file
	Kinds []Kind
	// Router reads the prompts of each batch; nil for RouterTime, which is 0 without a router.
	Router       *llm.Model
	RouterTime   units.Time
	RouterSource string // of RouterTime

	Requests int64 // that count
	Warmup   int64 // before them, which do not count
	Seed     int64
	Batch    int64 // requests at a time, 0 if the file does not say it
	Prompt   int64 // tokens
	Generate int64

	Popularity string
	Exponent   float64
	Recorded   []int64

	Policy string
	// Resident is how many experts may be in fast memory; 0 for as many as fit.
	Resident int64
	// From names the memory that experts live in, "" for the one below the fast memory. Rate is that of a copy, over all chips of the
	// mapping together, in place of the machine's; 0 for the machine's.
	From       string
	Rate       units.BytesPerSecond
	RateSource string
	Prefetch   bool

	List string // file of recorded requests that the composition names; not part of the content
}

// Experts returns how many experts there are.
func (c *Composition) Experts() int64 {
	var n int64
	for i := range c.Kinds {
		n += c.Kinds[i].Count
	}
	return n
}

// KindOf returns the index of the kind that an expert is of.
func (c *Composition) KindOf(expert int64) int {
	for i := range c.Kinds {
		if expert < c.Kinds[i].Count {
			return i
		}
		expert -= c.Kinds[i].Count
	}
	return len(c.Kinds) - 1
}

// Models names the models of the experts, each once.
func (c *Composition) Models() string {
	text, seen := "", map[string]bool{}
	for i := range c.Kinds {
		if name := c.Kinds[i].Model.Name; !seen[name] {
			seen[name] = true
			if text != "" {
				text += "+"
			}
			text += name
		}
	}
	return text
}

// stored is a composition as it is kept. The batch is not among it: a point says it itself.
type stored struct {
	Composition string // schema
	Composed    Composition
}

const storedSchema = "strata.composition/1"

// Content is all that figures of the composition depend on, as JSON.
func (c *Composition) Content() []byte {
	s := stored{storedSchema, *c}
	s.Composed.Batch, s.Composed.List = 0, ""
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // plain data always encodes
	}
	return text
}

// Restore reads what Content wrote.
func Restore(content []byte) (*Composition, error) {
	var s stored
	if err := json.Unmarshal(content, &s); err != nil {
		return nil, fmt.Errorf("stored composition: %w", err)
	}
	c := &s.Composed
	switch n := c.Experts(); {
	case s.Composition != storedSchema:
		return nil, fmt.Errorf("stored composition has schema %q, this version reads %q", s.Composition, storedSchema)
	case n < 1 || n > maxExperts || c.Requests < 1 || c.Warmup < 0 || c.Requests > maxRequests || c.Warmup > maxRequests:
		return nil, errors.New("stored composition: its numbers are out of range")
	case c.Popularity == Recorded && len(c.Recorded) == 0:
		return nil, errors.New("stored composition: nothing is recorded")
	}
	for i := range c.Kinds {
		if k := &c.Kinds[i]; k.Model == nil || k.Count < 1 || !(k.Weight > 0) || math.IsInf(k.Weight, 0) {
			return nil, fmt.Errorf("stored composition: experts %d are not whole", i)
		}
	}
	for _, e := range c.Recorded {
		if e < 0 || e >= c.Experts() {
			return nil, fmt.Errorf("stored composition: there is no expert %d", e)
		}
	}
	return c, nil
}

// Key identifies the composition by its content.
func (c *Composition) Key() string {
	sum := sha256.Sum256(c.Content())
	return hex.EncodeToString(sum[:])
}
