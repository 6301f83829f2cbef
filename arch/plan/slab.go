package plan

import "sync"

// slab hands out pieces of larger pieces of memory. A plan has hundreds of small lists that live as long as it does, and
// asking for each by itself takes longer than filling it.
type slab[T any] struct {
	free []T
	size int   // of the last larger piece
	held [][]T // the larger pieces
	next int   // of these, that has not been begun
}

// take returns n values that nobody else has, to be written over: a plan that is thrown away gives back what it took.
func (s *slab[T]) take(n int) []T {
	for len(s.free) < n {
		if s.next == len(s.held) {
			s.size = max(n, min(max(8, 2*s.size), 256))
			s.held = append(s.held, make([]T, s.size))
		}
		s.free = s.held[s.next]
		s.next++
	}
	list := s.free[:n:n]
	s.free = s.free[n:]
	return list
}

// again takes everything back.
func (s *slab[T]) again() {
	const most = 16 // that are worth keeping
	if len(s.held) > most {
		clear(s.held[most:])
		s.held = s.held[:most]
	}
	s.free, s.next = nil, 0
}

// zero makes everything that was handed out zero, for those who rely on it, and takes it back.
func (s *slab[T]) zero() {
	for i, piece := range s.held[:s.next] {
		if i == s.next-1 {
			piece = piece[:len(piece)-len(s.free)]
		}
		clear(piece)
	}
	s.again()
}

// arena is where the parts of a plan are.
type arena struct {
	steps  slab[Step]
	bodies slab[Body]
	nodes  slab[Node]
	uses   slab[Use]
	counts slab[Count]
	tokens slab[Tokens]
	sums   slab[int64]
	menus  slab[menuTile]
}

// arenas are those of plans that nobody needs any more.
var arenas = sync.Pool{New: func() any { return new(arena) }}

func (a *arena) again() {
	a.steps.again()
	a.bodies.again()
	a.nodes.again()
	a.uses.again()
	a.counts.again()
	a.tokens.again()
	a.sums.again()
	a.menus.again()
}

func (a *arena) step(s Step) *Step {
	at := &a.steps.take(1)[0]
	*at = s
	return at
}

// body returns an empty body with room for some nodes.
func (a *arena) body(name string, op, nodes int) *Body {
	at := &a.bodies.take(1)[0]
	*at = Body{Name: name, Op: op, Nodes: a.nodes.take(nodes)[:0]}
	return at
}

func (a *arena) useList(list ...Use) []Use {
	at := a.uses.take(len(list))
	copy(at, list)
	return at
}

func (a *arena) countList(list ...Count) []Count {
	at := a.counts.take(len(list))
	copy(at, list)
	return at
}

func (a *arena) tokenList(list ...Tokens) []Tokens {
	at := a.tokens.take(len(list))
	copy(at, list)
	return at
}

// links are dependencies on the nodes of a body by their number, for chains.
var links = func() (all [64]Dep) {
	for i := range all {
		all[i].Node = i
	}
	return
}()

// link is the list of one dependency, on a node of the same iteration. Nobody may change it.
func link(node int) []Dep {
	if node < len(links) {
		return links[node : node+1 : node+1]
	}
	return []Dep{{Node: node}}
}
