package plan

// slab hands out pieces of larger pieces of memory. A plan has hundreds of small lists that live as long as it does, and
// asking for each by itself takes longer than filling it.
type slab[T any] struct {
	free []T
	size int // of the last larger piece
}

// take returns n values that nobody else has, to be written over: a plan that is thrown away gives back what it took.
func (s *slab[T]) take(n int) []T {
	if len(s.free) < n {
		s.size = max(n, min(max(8, 2*s.size), 256))
		s.free = make([]T, s.size)
	}
	list := s.free[:n:n]
	s.free = s.free[n:]
	return list
}

// arena is where the parts of a plan are.
type arena struct {
	steps  slab[Step]
	bodies slab[Body]
	nodes  slab[Node]
	uses   slab[Use]
	counts slab[Count]
	tokens slab[Tokens]
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
