package plan

import (
	"sync"
)

// Memo remembers how products are best computed on one machine, for plans of it that are made one after the other, or beside each
// other. What is remembered is what would be chosen again, so that a plan is the same with a memo as without. The zero value is
// empty.
type Memo struct {
	mu      sync.RWMutex
	choices map[memoKey]gemmChoice
}

// mostRemembered bounds a memo: some 700 B each with their place in the map.
const mostRemembered = 1 << 13

// memoKey is everything that the choice for a product depends on besides the machine.
type memoKey struct {
	product gemm // without its name, its phase and its library, which follows from the profile and the format
	profile string
	alone   bool
	// What is left out: with other rates another tile may be the best.
	freeLaunch, freeRefresh bool
}

func (b *builder) memoKey(g *gemm) memoKey {
	k := memoKey{product: *g, profile: b.profile.Name, alone: b.alone, freeLaunch: b.mapping.IdealLaunch, freeRefresh: b.mapping.IdealRefresh}
	k.product.name, k.product.phase, k.product.lib = "", 0, nil
	return k
}

// recall returns the choice for a product that is remembered. Nothing is where choices are pinned or asked about.
func (b *builder) recall(g *gemm, pin *pinned) (c gemmChoice, ok bool) {
	m := b.mapping.Memo
	if m == nil || pin != nil || b.decisions != nil {
		return c, false
	}
	k := b.memoKey(g)
	m.mu.RLock()
	c, ok = m.choices[k]
	m.mu.RUnlock()
	return c, ok
}

func (b *builder) remember(g *gemm, pin *pinned, c *gemmChoice) {
	m := b.mapping.Memo
	if m == nil || pin != nil || b.decisions != nil {
		return
	}
	k := b.memoKey(g)
	m.mu.Lock()
	if m.choices == nil || len(m.choices) >= mostRemembered {
		m.choices = map[memoKey]gemmChoice{}
	}
	m.choices[k] = *c
	m.mu.Unlock()
}
