package oracle

import (
	"container/list"
	"sync"
)

// lru is a map of bounded size that forgets what was not used for longest. It may be used by many
// goroutines at a time.
type lru[K comparable, V any] struct {
	mu    sync.Mutex
	room  int64 // that entries may take together, in the unit of put's size
	taken int64
	order *list.List // of *lruEntry, the last used first
	items map[K]*list.Element
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
	size  int64
}

func newLRU[K comparable, V any](room int64) *lru[K, V] {
	return &lru[K, V]{room: room, order: list.New(), items: map[K]*list.Element{}}
}

// get returns the value of the key, if there is one.
func (c *lru[K, V]) get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.items[key]; ok {
		c.order.MoveToFront(e)
		return e.Value.(*lruEntry[K, V]).value, true
	}
	var none V
	return none, false
}

// put stores a value that takes that much room, unless the key has one; it returns the value that the
// key has now.
func (c *lru[K, V]) put(key K, value V, size int64) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.items[key]; ok {
		return e.Value.(*lruEntry[K, V]).value
	}
	c.items[key] = c.order.PushFront(&lruEntry[K, V]{key, value, size})
	c.taken += size
	for c.taken > c.room && c.order.Len() > 1 {
		last := c.order.Remove(c.order.Back()).(*lruEntry[K, V])
		delete(c.items, last.key)
		c.taken -= last.size
	}
	return value
}
