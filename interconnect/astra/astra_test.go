package astra_test

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/interconnect/astra"
	"pgregory.net/rapid"
)

// Rows of that tool come out to the nanosecond, whatever the topology, algorithm, dimensions and chunks.
func TestRows(t *testing.T) {
	f, err := os.Open("../../../shared/data/network/astrasim_collectives.csv")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("no rows of ASTRA-sim: " + err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	name := func(s string) string {
		if n, ok := map[string]string{"Ring": "ring", "FullyConnected": "fully-connected", "Switch": "switch", "halvingDoubling": "halving-doubling", "doubleBinaryTree": "double-binary-tree"}[s]; ok {
			return n
		}
		return s
	}
	for _, row := range rows[1:] {
		split := func(s string) []string {
			return strings.FieldsFunc(s, func(r rune) bool { return r == '/' || r == '_' || r == 'x' })
		}
		number := func(s string) float64 {
			x, err := strconv.ParseFloat(s, 64)
			if err != nil {
				t.Fatalf("%v: %v", row, err)
			}
			return x
		}
		r := &astra.Request{Aware: row[10] == "aware", Collective: interconnect.Op(strings.ReplaceAll(row[4], "_", "-")), Bytes: int64(number(row[6])), Chunks: int64(number(row[12])), Active: int64(number(row[13]))}
		topology, dims, rate, latency, algorithm := split(row[0]), split(row[11]), split(row[2]), split(row[3]), split(row[5])
		for i := range dims {
			r.Dimensions = append(r.Dimensions, astra.Dimension{Topology: name(topology[i]), Ranks: int64(number(dims[i])), Rate: number(rate[i]), Latency: number(latency[i]), Algorithm: name(algorithm[i])})
		}
		got, err := astra.Time(r)
		if err != nil {
			t.Errorf("%v: %v", row, err)
			continue
		}
		if float64(got) != number(row[7]) {
			t.Errorf("%v: %d ns", row, got)
		}
	}
	if len(rows) < 900 {
		t.Errorf("only %d rows", len(rows))
	}
}

// one is a request in one dimension of links of 2³⁰·50 bytes a second, 53.6870912 a nanosecond.
func one(aware bool, topology, algorithm string, op interconnect.Op, ranks, bytes int64) *astra.Request {
	return &astra.Request{Aware: aware, Collective: op, Bytes: bytes, Chunks: 1, Active: 1,
		Dimensions: []astra.Dimension{{Topology: topology, Ranks: ranks, Rate: 50, Latency: 500, Algorithm: algorithm}}}
}

// By hand: a message of 1 MiB is 19531.25 ns on a link of 50 GiB/s.
func TestByHand(t *testing.T) {
	const part = 1 << 20
	for _, c := range []struct {
		name string
		r    *astra.Request
		want int64
	}{
		{"three steps and a wait after the last", one(true, "ring", "ring", interconnect.AllGather, 4, part), 10 + 3*(500+19531+10)},
		{"reads and writes of what is reduced", one(true, "ring", "ring", interconnect.ReduceScatter, 4, 4*part), 10 + 3*(500+19531+10+3*655)},
		{"both", one(false, "ring", "ring", interconnect.AllReduce, 4, 4*part), 10 + 6*(500+19531+10) + 3*3*655},
		{"a switch stores and forwards", one(true, "switch", "ring", interconnect.AllGather, 4, part), 10 + 3*(2*(500+19531)+10)},
		{"or is two links that take no time", one(false, "switch", "ring", interconnect.AllGather, 4, part), 10 + 3*(1000+19531+10)},
		{"a link to each", one(true, "fully-connected", "direct", interconnect.AllToAll, 8, 8*part), 10 + 500 + 19531 + 10},
		{"seven through one port", one(true, "switch", "direct", interconnect.AllToAll, 8, 8*part), 10 + 7*19531 + 500 + 19531 + 500 + 10},
		{"halves, then quarters", one(false, "fully-connected", "halving-doubling", interconnect.ReduceScatter, 4, 4*part), 10 + 500 + 39062 + 10 + 3*655 + 500 + 19531 + 10},
	} {
		if got, err := astra.Time(c.r); err != nil || got != c.want {
			t.Errorf("%s: %d ns, %v; want %d", c.name, got, err, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	valid := func() *astra.Request { return one(true, "ring", "ring", interconnect.AllReduce, 4, 1000) }
	for want, change := range map[string]func(*astra.Request){
		"":                                func(*astra.Request) {},
		"dims: a network has a dimension": func(r *astra.Request) { r.Dimensions = nil },
		"dims: the aware backend has one dimension":                      func(r *astra.Request) { r.Dimensions = append(r.Dimensions, r.Dimensions[0]) },
		"bytes: must be 1 to 2^50":                                       func(r *astra.Request) { r.Bytes = 0 },
		"chunks: must be 1 to 4096 and no more than there are bytes":     func(r *astra.Request) { r.Chunks = 1001 },
		"active_chunks: must be at least 1":                              func(r *astra.Request) { r.Active = 0 },
		`topology/0: "mesh" is not known`:                                func(r *astra.Request) { r.Dimensions[0].Topology = "mesh" },
		`algorithm/0: "tree" is not known`:                               func(r *astra.Request) { r.Dimensions[0].Algorithm = "tree" },
		"dims/0: must be 1 to 1048576 ranks, all dimensions together":    func(r *astra.Request) { r.Dimensions[0].Ranks = 1 << 40 },
		"link_gigabytes_per_second/0: must be more than 0, at most 1e9":  func(r *astra.Request) { r.Dimensions[0].Rate = 0 },
		"latency_ns/0: must be 0 to 1e9":                                 func(r *astra.Request) { r.Dimensions[0].Latency = math.NaN() },
		`collective: "broadcast" has no such algorithm`:                  func(r *astra.Request) { r.Collective = interconnect.Broadcast },
		"dims/0: halving-doubling over 6 ranks: it needs a power of two": func(r *astra.Request) { r.Dimensions[0].Algorithm, r.Dimensions[0].Ranks = "halving-doubling", 6 },
		"algorithm/0: halving-doubling does not do all-to-all": func(r *astra.Request) {
			r.Dimensions[0].Algorithm, r.Collective = "halving-doubling", interconnect.AllToAll
		},
		"algorithm/0: a double binary tree is for all-reduces only": func(r *astra.Request) {
			r.Dimensions[0].Algorithm, r.Collective = "double-binary-tree", interconnect.AllGather
		},
		"algorithm/0: a double binary tree is answered in one dimension and one chunk only": func(r *astra.Request) { r.Dimensions[0].Algorithm, r.Chunks = "double-binary-tree", 2 },
		"dims: one rank has nobody to talk to":                                              func(r *astra.Request) { r.Dimensions[0].Ranks = 1 },
		"dims: more messages than this model plays":                                         func(r *astra.Request) { r.Dimensions[0].Ranks, r.Collective = 1<<14, interconnect.AllToAll },
	} {
		r := valid()
		change(r)
		_, err := astra.Time(r)
		if got := ""; err != nil {
			if got = err.Error(); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		} else if want != "" {
			t.Errorf("no error, want %q", want)
		}
	}
}

// Whatever is asked for is answered or refused; more bytes or a slower link never take less time.
func TestMonotone(t *testing.T) {
	answered := 0
	rapid.Check(t, func(t *rapid.T) {
		r := &astra.Request{Bytes: rapid.Int64Range(1, 1<<30).Draw(t, "bytes"), Chunks: 1, Active: 1,
			Collective: rapid.SampledFrom([]interconnect.Op{interconnect.AllReduce, interconnect.AllGather, interconnect.ReduceScatter, interconnect.AllToAll}).Draw(t, "op")}
		for range rapid.IntRange(1, 3).Draw(t, "dimensions") {
			r.Dimensions = append(r.Dimensions, astra.Dimension{Topology: rapid.SampledFrom(astra.Topologies).Draw(t, "topology"), Ranks: rapid.Int64Range(1, 16).Draw(t, "ranks"),
				Rate: rapid.Float64Range(1, 1000).Draw(t, "rate"), Latency: rapid.Float64Range(0, 1000).Draw(t, "latency"), Algorithm: rapid.SampledFrom(astra.Algorithms).Draw(t, "algorithm")})
		}
		r.Aware = len(r.Dimensions) == 1
		a, err := astra.Time(r)
		var refused *astra.Error
		if errors.As(err, &refused) && slices.ContainsFunc([]string{"all-reduces only", "does not do all-to-all", "needs a power of two", "one dimension and one chunk only", "nobody to talk to", "more messages than"},
			func(why string) bool { return strings.Contains(refused.Message, why) }) {
			t.Skip(err) // what does not go together, and what is too much
		}
		if err != nil {
			t.Fatal(err)
		}
		answered++
		more := *r
		more.Bytes *= 2
		if b, err := astra.Time(&more); err != nil || b < a {
			t.Fatalf("%d ns, twice the bytes %d, %v", a, b, err)
		}
		slow := *r
		slow.Dimensions = slices.Clone(r.Dimensions)
		slow.Dimensions[0].Rate /= 2
		if b, err := astra.Time(&slow); err != nil || b < a {
			t.Fatalf("%d ns, with a slower link %d, %v", a, b, err)
		}
	})
	if answered < 10 {
		t.Errorf("only %d requests were answered", answered)
	}
}
