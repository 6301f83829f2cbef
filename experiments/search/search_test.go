package search

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var algorithms = []struct {
	name string
	make func(Space, Options) (Algorithm, error)
}{
	{"NSGA-II", NewNSGA2},
	{"CMA-ES", NewCMAES},
	{"random", NewRandom},
}

// outcome is an arbitrary but fixed one of a candidate: some fail, some break constraints, some of those without objectives.
func outcome(c Candidate, objectives int) Outcome {
	h := sha256.New()
	if err := binary.Write(h, binary.LittleEndian, []float64(c)); err != nil {
		panic(err)
	}
	bytes := h.Sum(nil)
	o := Outcome{Failed: bytes[0] < 20}
	if bytes[1] < 60 {
		o.Violation = float64(bytes[2]%4) + 1
	}
	if o.Violation == 0 || bytes[3] < 128 {
		for k := range objectives {
			o.Objectives = append(o.Objectives, float64(bytes[4+k]%16))
		}
	}
	return o
}

// TestReplay: a search that was stopped after any generation and made anew from what it was told goes on as if nothing had been.
func TestReplay(t *testing.T) {
	for _, algorithm := range algorithms {
		t.Run(algorithm.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s, objectives := space(t, false), rapid.IntRange(1, 3).Draw(t, "objectives")
				if algorithm.name == "CMA-ES" {
					objectives = 1
					s = append(s, Variable{Name: "more", Kind: Real, High: 1})
					for i := range s {
						if s[i].Kind == Categorical {
							s[i].Kind = Ordered
						}
					}
				}
				o := Options{
					Seed:        rapid.Uint64().Draw(t, "seed"),
					Population:  rapid.IntRange(4, 12).Draw(t, "population"),
					Evaluations: rapid.IntRange(12, 150).Draw(t, "evaluations"),
					Generations: rapid.IntRange(0, 12).Draw(t, "generations"),
				}
				if rapid.Bool().Draw(t, "initial") {
					o.Initial = s.Random(o.Seed+1, 3)
				}
				begin := func() Algorithm {
					a, err := algorithm.make(s, o)
					if err != nil {
						t.Fatal(err)
					}
					return a
				}
				evaluate := func(c []float64) Outcome { return outcome(c, objectives) }
				whole := play(t, begin(), evaluate)
				n := 0
				for _, g := range whole {
					n += len(g.Candidates)
					for _, c := range g.Candidates {
						if err := s.Check(c); err != nil {
							t.Fatal(err)
						}
					}
				}
				if n > o.Evaluations || o.Generations > 0 && len(whole) > o.Generations {
					t.Fatalf("%d evaluations in %d generations, beyond the limits of %+v", n, len(whole), o)
				}
				stop := rapid.IntRange(0, len(whole)).Draw(t, "stop")
				again := begin()
				if err := Replay(again, whole[:stop]); err != nil {
					t.Fatal(err)
				}
				rest := play(t, again, evaluate)
				if !slices.EqualFunc(rest, whole[stop:], func(a, b Generation) bool {
					return slices.EqualFunc(a.Candidates, b.Candidates, slices.Equal[Candidate])
				}) {
					t.Fatalf("after %d generations: %v, want %v", stop, rest, whole[stop:])
				}
			})
		})
	}
}

// TestEverythingOnce: in a finite space NSGA-II and the random search ask for every candidate, each once, and end.
func TestEverythingOnce(t *testing.T) {
	for _, algorithm := range algorithms {
		if algorithm.name == "CMA-ES" {
			continue
		}
		t.Run(algorithm.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s := space(t, true)
				if s.Count().Int64() > 2000 {
					t.Skip("large")
				}
				a, err := algorithm.make(s, Options{Seed: rapid.Uint64().Draw(t, "seed"), Population: rapid.IntRange(4, 40).Draw(t, "population"), Generations: 10_000})
				if err != nil {
					t.Fatal(err)
				}
				seen := map[string]bool{}
				for _, g := range play(t, a, func(c []float64) Outcome { return outcome(c, 2) }) {
					for _, c := range g.Candidates {
						if seen[c.key()] {
							t.Fatalf("%v was asked for twice", c)
						}
						seen[c.key()] = true
					}
				}
				if int64(len(seen)) != s.Count().Int64() {
					t.Fatalf("%d of %v candidates", len(seen), s.Count())
				}
			})
		})
	}
}

// TestTurns: asking again changes nothing, and neither do outcomes that are refused.
func TestTurns(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, algorithm := range algorithms {
		a, err := algorithm.make(reals(3, 0, 1), Options{Population: 4, Generations: 2})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Tell(nil); err == nil {
			t.Errorf("%s: told before it asked", algorithm.name)
		}
		well := Outcome{Objectives: []float64{1}}
		for generation := range 2 {
			first := a.Ask()
			first[0][0] = 9 // the caller's own
			for _, tt := range []struct {
				told []Outcome
				want string
			}{
				{[]Outcome{well, well, well}, "3 outcomes for a generation of 4"},
				{[]Outcome{well, well, well, {Objectives: []float64{nan}}}, "outcome 3: objective 0 is NaN"},
				{[]Outcome{well, well, {Objectives: []float64{inf}}, well}, "outcome 2: objective 0 is +Inf"},
				{[]Outcome{well, well, well, {Objectives: []float64{1, 2}}}, "outcome 3: 2 objectives"},
				{[]Outcome{well, {}, well, well}, "outcome 1: 0 objectives"},
				{[]Outcome{well, {Objectives: []float64{1}, Violation: nan}, well, well}, "violation NaN"},
				{[]Outcome{well, {Objectives: []float64{1}, Violation: inf}, well, well}, "violation +Inf"},
				{[]Outcome{well, {Objectives: []float64{1}, Violation: -1}, well, well}, "violation -1"},
			} {
				if err := a.Tell(tt.told); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: %v, want %q", algorithm.name, err, tt.want)
				}
			}
			second := a.Ask()
			first[0][0] = second[0][0]
			if second[0][0] == 9 || !slices.EqualFunc(first, second, slices.Equal[Candidate]) {
				t.Errorf("%s, generation %d: %v, then %v", algorithm.name, generation, first, second)
			}
			if err := a.Tell([]Outcome{well, {Failed: true, Objectives: []float64{nan}, Violation: inf}, {Violation: 2}, well}); err != nil {
				t.Errorf("%s: %v", algorithm.name, err)
			}
		}
		if more := a.Ask(); more != nil {
			t.Errorf("%s: a third generation %v", algorithm.name, more)
		}
		if a.Tell(nil) == nil {
			t.Errorf("%s: told after its end", algorithm.name)
		}
	}
}

func TestOptionsComplaints(t *testing.T) {
	s := reals(2, 0, 1)
	for _, algorithm := range algorithms {
		for _, tt := range []struct {
			name string
			s    Space
			o    Options
			want string
		}{
			{"space", nil, Options{Population: 8, Generations: 1}, "no variables"},
			{"population", s, Options{Population: -1, Generations: 1}, "a population of -1"},
			{"no limit", s, Options{Population: 8}, "a limit is needed"},
			{"negative limit", s, Options{Population: 8, Generations: -1, Evaluations: 9}, "a limit is needed"},
			{"initial", s, Options{Population: 8, Generations: 1, Initial: []Candidate{{0, 0}, {0, 2}}}, "initial candidate 1: x1: 2"},
		} {
			if _, err := algorithm.make(tt.s, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s, %s: %v, want %q", algorithm.name, tt.name, err, tt.want)
			}
		}
	}
	mixed := Space{{Name: "topology", Choices: []string{"ring", "mesh"}}, {Name: "links", Kind: Integer, Low: 1, High: 9}}
	for _, tt := range []struct {
		s    Space
		o    Options
		want string
	}{
		{mixed, Options{Generations: 1}, "variable 0 (topology) is categorical"},
		{reals(2, 1, 1), Options{Generations: 1}, "no variable has more than one value"},
		{s, Options{Evaluations: 5}, "5 evaluations: fewer than the 6"},
	} {
		if _, err := NewCMAES(tt.s, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
}

func TestReplayOfAnotherSearch(t *testing.T) {
	s := reals(2, 0, 1)
	begin := func(seed uint64, population int) Algorithm {
		a, err := NewRandom(s, Options{Seed: seed, Population: population, Generations: 3})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	history := play(t, begin(1, 4), func(c []float64) Outcome { return outcome(c, 2) })
	broken := []Generation{{history[0].Candidates, history[0].Outcomes[:3]}}
	for _, tt := range []struct {
		a       Algorithm
		history []Generation
		want    string
	}{
		{begin(2, 4), history, "generation 0, candidate 0"},
		{begin(1, 5), history, "5 candidates, 4 in the history"},
		{begin(1, 4), append(history, history[0]), "generation 3: 0 candidates"},
		{begin(1, 4), broken, "generation 0: 3 outcomes"},
	} {
		if err := Replay(tt.a, tt.history); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
}

func TestInitialComesFirst(t *testing.T) {
	s := reals(2, 0, 1)
	given := []Candidate{{0.25, 0.75}, {0.5, 0.5}, {0.25, 0.75}}
	for _, algorithm := range algorithms {
		a, err := algorithm.make(s, Options{Population: 6, Generations: 2, Initial: given})
		if err != nil {
			t.Fatal(err)
		}
		all := a.Ask()
		if algorithm.name == "CMA-ES" {
			if m := a.(*cmaes).run.mean; !slices.Equal(m, given[0]) {
				t.Errorf("%s begins at %v", algorithm.name, m)
			}
			continue
		}
		if len(all) != 6 || !slices.Equal(all[0], given[0]) || !slices.Equal(all[1], given[1]) || slices.Equal(all[2], given[0]) {
			t.Errorf("%s begins with %v", algorithm.name, all)
		}
	}
}

// TestTheSameOnEveryMachine holds all candidates of some searches and samples to the last bit. It fails on a machine whose
// arithmetic differs, and when an algorithm changes: then histories of earlier searches can no longer be replayed, which the
// changelog has to say.
func TestTheSameOnEveryMachine(t *testing.T) {
	s := Space{
		{Name: "a", Kind: Ordered, Choices: []string{"1", "2", "4", "8"}},
		{Name: "b", Kind: Integer, Low: 1, High: 1000, Log: true},
		{Name: "c", Kind: Real, Low: -3, High: 7},
		{Name: "d", Kind: Real, Low: 1e-3, High: 1e5, Log: true},
		{Name: "e", Kind: Integer, Low: -20, High: 20},
	}
	// Sums of exact or rounded products: nothing in it is fused.
	evaluate := func(x []float64) Outcome {
		one, two := 0.0, 0.0
		for i := range s {
			u := s[i].unit(x[i])
			one += float64(float64(i+1) * float64((u-0.3)*(u-0.3)))
			two += float64((u - 0.8) * (u - 0.8))
		}
		return Outcome{Objectives: []float64{one, two}, Violation: max(0, x[2]-6)}
	}
	digest := func(all []Candidate) string {
		h := sha256.New()
		for _, c := range all {
			if err := binary.Write(h, binary.LittleEndian, []float64(c)); err != nil {
				t.Fatal(err)
			}
		}
		return hex.EncodeToString(h.Sum(nil)[:8])
	}
	got := map[string]string{
		"random sample": digest(s.Random(3, 100)), "hypercube": digest(s.LatinHypercube(3, 100)), "Halton": digest(s.Halton(3, 5, 100)),
	}
	for _, algorithm := range algorithms {
		a, err := algorithm.make(s, Options{Seed: 3, Population: 20, Generations: 30})
		if err != nil {
			t.Fatal(err)
		}
		var all []Candidate
		for _, g := range play(t, a, func(x []float64) Outcome {
			o := evaluate(x)
			if algorithm.name == "CMA-ES" {
				o.Objectives = o.Objectives[:1]
			}
			return o
		}) {
			all = append(all, g.Candidates...)
		}
		got[algorithm.name] = digest(all)
	}
	for name, want := range map[string]string{
		"random sample": "ae9760bef153280d", "hypercube": "7ceb0dad80d5fe73", "Halton": "60a201f2a218f5b6", "NSGA-II": "2275376c25ee5777", "CMA-ES": "a273d652114c5751", "random": "19742fd5ea3268ab",
	} {
		if got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
}
