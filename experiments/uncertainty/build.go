package uncertainty

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// A Sample is one measurement beside its answer.
type Sample struct {
	Device  string // the chip's preset
	Class   string
	Runtime string // profile
	// Whole says that it is of a whole model, whose entries are by runtime.
	Whole bool
	// Group, if not empty, is the kind of runs that the sample counts with where the next kind is asked for; else that is the device.
	Group string
	// Log is ln(measured/simulated).
	Log     float64
	Dims    []Dim
	Formats []string
}

// Dim is a dimension of a question.
type Dim struct {
	Name  string // as in requests
	Value int64
}

// leastHeld is how many rows of a held-out device count.
const leastHeld = 5

// Build makes the entries of measured devices from samples, and those of the next device, or kind of runs, from others.
func Build(measured, held []Sample) []Entry {
	by := map[key][]Sample{}
	for _, s := range measured {
		k := key{s.Device, s.Class, ""}
		if s.Whole {
			k.runtime = s.Runtime
		}
		by[k] = append(by[k], s)
	}
	var list []Entry
	for k, samples := range by {
		e := entry(k, samples)
		logs := logsOf(samples)
		for i, p := range probabilities {
			e.Log[i] = rounded(ranked(logs, p))
		}
		list = append(list, e)
	}
	return append(list, next(held)...)
}

// entry is what samples have in common, without quantiles.
func entry(k key, samples []Sample) Entry {
	e := Entry{Device: k.device, Class: k.class, Runtime: k.runtime, N: len(samples)}
	for i := range samples {
		s := &samples[i]
		for _, d := range s.Dims {
			at := slices.IndexFunc(e.Ranges, func(r Range) bool { return r.Name == d.Name })
			if at < 0 {
				e.Ranges = append(e.Ranges, Range{d.Name, d.Value, d.Value})
				continue
			}
			r := &e.Ranges[at]
			r.Min, r.Max = min(r.Min, d.Value), max(r.Max, d.Value)
		}
		e.Formats = append(e.Formats, s.Formats...)
		if !s.Whole && s.Runtime != "" {
			e.Runtimes = append(e.Runtimes, s.Runtime)
		}
	}
	for _, list := range []*[]string{&e.Formats, &e.Runtimes} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	slices.SortFunc(e.Ranges, func(a, b Range) int { return cmp.Compare(a.Name, b.Name) })
	return e
}

func logsOf(samples []Sample) []float64 {
	logs := make([]float64, len(samples))
	for i := range samples {
		logs[i] = samples[i].Log
	}
	slices.Sort(logs)
	return logs
}

// ranked is a quantile of sorted values: the value whose rank among them and the next one is at least that far out, so that the
// next lies beyond it with no more than the probability. With too few values it is the outermost.
func ranked(sorted []float64, p float64) float64 {
	n := float64(len(sorted))
	rank := (n + 1) * p
	switch {
	case p < 0.5:
		rank = math.Floor(rank + 1e-9)
	case p > 0.5:
		rank = math.Ceil(rank - 1e-9)
	default:
		low, high := int(math.Floor(rank+1e-9)), int(math.Ceil(rank-1e-9))
		return (sorted[max(low, 1)-1] + sorted[min(high, len(sorted))-1]) / 2
	}
	return sorted[min(max(int(rank), 1), len(sorted))-1]
}

// rounded is a logarithm as the table has it, to a thousandth.
func rounded(v float64) float64 { return math.Round(1000*v) / 1000 }

// next makes the entries of what comes next to devices, or kinds of runs, that were held out.
func next(held []Sample) []Entry {
	classes := map[string]map[string][]Sample{}
	for _, s := range held {
		group := cmp.Or(s.Group, s.Device)
		if classes[s.Class] == nil {
			classes[s.Class] = map[string][]Sample{}
		}
		classes[s.Class][group] = append(classes[s.Class][group], s)
	}
	type spread struct {
		class         string
		all           []Sample
		mean, between float64
		within        [len(probabilities)]float64
		groups        int
	}
	var list []spread
	for class, groups := range classes {
		s := spread{class: class}
		var medians []float64
		for _, name := range sortedKeys(groups) {
			samples := groups[name]
			s.all = append(s.all, samples...)
			if len(samples) < leastHeld {
				continue
			}
			logs := logsOf(samples)
			m := ranked(logs, 0.5)
			medians = append(medians, m)
			for i, p := range probabilities {
				s.within[i] += ranked(logs, p) - m
			}
		}
		if s.groups = len(medians); s.groups == 0 {
			continue
		}
		for i := range s.within {
			s.within[i] /= float64(s.groups)
		}
		for _, m := range medians {
			s.mean += m / float64(s.groups)
		}
		if s.groups > 1 {
			for _, m := range medians {
				s.between += (m - s.mean) * (m - s.mean) / float64(s.groups-1)
			}
			s.between = math.Sqrt(s.between)
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b spread) int { return cmp.Compare(a.class, b.class) })
	// A class with few groups cannot tell how far they are apart: it takes the middle of those that can.
	const few = 3
	var known []float64
	for i := range list {
		if list[i].groups >= few {
			known = append(known, list[i].between)
		}
	}
	slices.Sort(known)
	var entries []Entry
	for i := range list {
		s := &list[i]
		between, groups := s.between, s.groups
		if groups < few && len(known) > 0 {
			between, groups = max(between, known[len(known)/2]), few
		}
		if groups < 2 {
			continue
		}
		e := entry(key{HeldOut, s.class, ""}, s.all)
		e.Devices = s.groups
		student := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(groups - 1)}
		for k, p := range probabilities {
			apart := student.Quantile(p) * between * math.Sqrt(1+1/float64(s.groups))
			half := math.Hypot(s.within[k], apart)
			e.Log[k] = rounded(s.mean + math.Copysign(half, p-0.5))
		}
		e.Log[median] = rounded(s.mean)
		entries = append(entries, e)
	}
	return entries
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
