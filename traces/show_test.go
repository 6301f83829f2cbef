package traces

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; go test ./traces -update rewrites it. Got\n%s", file, got)
	}
}

func TestShow(t *testing.T) {
	byHand, err := Read("hand.jsonl", strings.NewReader(head+`{"kind":"rmsnorm","rows":8,"cols":64}`+"\n"+
		`{"kind":"gemm","m":8,"n":256,"k":64,"weight_dtype":"int8"}`+"\n"+`{"kind":"gemm","batch":2,"m":1,"n":2,"k":3}`+"\n"+`{"kind":"all-reduce","bytes":1048576}`+"\n"+
		`{"kind":"attention","heads":8,"kv_heads":2,"head_dim":4,"q_len":3,"past_len":7,"causal":false,"kv_dtype":"fp8"}`+"\n"+`{"ki`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		g    *Graph
	}{{"small.golden", small()}, {"llama.golden", llama(127)}, {"byhand.golden", byHand}} {
		var b strings.Builder
		if err := tt.g.Show(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, tt.name, b.String())
	}
}

// TestShowTotals: the totals of a graph whose sums are easy to work out by hand.
func TestShowTotals(t *testing.T) {
	g := small()
	got := g.totals()
	// One int4 weight of 8×16 in layers 0 to 3, used by prefill and decode alike, and in layers 4 to 7: half
	// a byte an element and four for each of 16 columns.
	if got.parameters != 8*128 || got.weights != 8*(64+16*4) {
		t.Errorf("%g parameters, %g bytes", got.parameters, got.weights)
	}
	// Keys and values of 2 sequences, 1 head of 4 in 8 bits with a scale of 2 bytes: 7 tokens in layers 0 to 3 (more than the
	// 6 of the prefill), 8 in layers 4 to 7.
	if want := float64(4*2*2*6*7 + 4*2*2*6*8); got.cache != want {
		t.Errorf("cache of %g bytes, want %g", got.cache, want)
	}
	// qkv: 2·12·16·8 and 2·2·16·8; attention: 4·B·H·D·pairs with 21 pairs of the prefill, 7 and 8 of
	// the steps; head: 2·2·32·8.
	if want := float64(4*(3072+4*2*2*4*21) + 4*(512+4*2*2*4*7) + 4*(512+4*2*2*4*8) + 1024); got.matrix != want {
		t.Errorf("%g operations, want %g", got.matrix, want)
	}
	if got.operators != 10 || got.instances != 4*4+4*4+2+4*4 {
		t.Errorf("%g operators, %g times", got.operators, got.instances)
	}
}

func TestLayered(t *testing.T) {
	var l layered
	l.use("a", 0, 4, 10)
	l.use("a", 0, 4, 11) // the larger counts
	l.use("a", 2, 6, 11) // two layers more
	l.use("b", 9, 10, 1)
	if got := l.sum(); got != 6*11+1 {
		t.Errorf("%g, want 67", got)
	}
}

func TestQuantity(t *testing.T) {
	for _, tt := range []struct {
		v    float64
		want string
	}{{0, "0 B"}, {7, "7 B"}, {0.1666, "0.17 B"}, {12.34, "12.3 B"}, {999.4, "999 B"}, {999.6, "1.00 kB"}, {1024, "1.02 kB"}, {99_960, "100 kB"}, {6.7e9, "6.70 GB"}, {1e30, "1000000 YB"}} {
		if got := quantity(tt.v, "B"); got != tt.want {
			t.Errorf("%g: %q, want %q", tt.v, got, tt.want)
		}
	}
}

// TestShowManyLanes: what is too wide is not drawn.
func TestShowManyLanes(t *testing.T) {
	b := Block{Name: "wide"}
	var all []TensorID
	for i := range 40 {
		b.Tensors = append(b.Tensors, Tensor{Name: strings.Repeat("x", i+1), Shape: []int64{1}})
		all = append(all, TensorID(i))
	}
	b.Ops = []Op{{Name: "a", Kind: Add, Inputs: all, Rows: 1, Cols: 1}}
	var out strings.Builder
	if err := (&Graph{Blocks: []Block{b}, Runs: []Run{{Times: 1}}}).Show(&out); err != nil || !strings.Contains(out.String(), "and 34 more") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
