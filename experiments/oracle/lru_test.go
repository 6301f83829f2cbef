package oracle

import "testing"

func TestLRUForgetsWhatWasNotUsed(t *testing.T) {
	c := newLRU[string, int](3)
	for i, k := range []string{"a", "b", "c"} {
		c.put(k, i, 1)
	}
	c.get("a")
	if got := c.put("a", 9, 1); got != 0 {
		t.Errorf("a second value took the place of the first: %d", got)
	}
	c.put("d", 3, 2)
	for k, want := range map[string]bool{"a": true, "b": false, "c": false, "d": true} {
		if _, ok := c.get(k); ok != want {
			t.Errorf("%s: %t", k, ok)
		}
	}
	c.put("huge", 4, 100) // alone it may be larger than the room
	if _, ok := c.get("huge"); !ok || c.order.Len() != 1 || c.taken != 100 {
		t.Errorf("%d entries of %d", c.order.Len(), c.taken)
	}
}
