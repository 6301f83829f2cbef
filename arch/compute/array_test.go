package compute_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// This file holds a register-level systolic array: every cycle, every processing element reads the
// registers of its neighbours above and to the left, as they were, and writes its own. It multiplies
// matrices, so a schedule that the hardware could not keep to shows as a wrong product or as two values
// that want the same register. The closed forms of the package must give its cycles.

// word is a register with a mark for whether there is anything in it.
type word struct {
	full  bool
	value int64
	block []int64 // in place of value: the inputs of a block, of which a sparse weight picks one
	pick  int     // of a sparse weight: its place in the block
	row   int     // of a stationary value or a result: the row that it belongs to
	fold  int     // and its fold
	edge  bool    // the first value of a fold to meet a stationary tile, or the last that meets a sum
}

// times multiplies an input and a weight, whichever way round.
func times(a, b word) int64 {
	switch {
	case a.block != nil:
		return a.block[b.pick] * b.value
	case b.block != nil:
		return a.value * b.block[a.pick]
	}
	return a.value * b.value
}

// fold is one pass of a tile over the array: what stays (ws, is) or enters from above (os), and what
// enters from the left. moving[i][r] enters row r as the i-th, resident[r][c] stays in place,
// falling[i][c] enters column c as the i-th.
type fold struct {
	moving   [][]word
	resident [][]word
	falling  [][]word
	load     int // cycle in which the stationary tile begins to enter
	start    int // cycle in which the stream begins to enter
}

// array is the hardware; what is wrong with the schedule goes to bad.
type array struct {
	rows, cols int
	bad        string
	last       int // cycle of the last multiply-add
	out        int // cycle in which the last result leaves
}

func (a *array) conflict(format string, args ...any) {
	if a.bad == "" {
		a.bad = fmt.Sprintf(format, args...)
	}
}

// grid is one register of every element, and what enters at the edge.
type grid [][]word

func newGrid(rows, cols int) grid {
	g := make(grid, rows)
	for r := range g {
		g[r] = make([]word, cols)
	}
	return g
}

// enter returns the value that a port is given in a cycle: of the only fold for which index is within
// its stream.
func (a *array) enter(folds []fold, what string, index func(f *fold) (i, n int), value func(f *fold, i int) word) word {
	var w word
	for f := range folds {
		i, n := index(&folds[f])
		if i < 0 || i >= n {
			continue
		}
		if w.full {
			a.conflict("two %s of folds %d and %d at once", what, w.fold, f)
		}
		w = value(&folds[f], i)
		w.full, w.fold = true, f
	}
	return w
}

// stationary runs folds whose resident tile stays while another streams past it (ws, is). It returns
// out[f][i][c], the sum over the rows that the i-th of stream f leaves at the bottom of column c.
func (a *array) stationary(folds []fold) [][][]int64 {
	out := make([][][]int64, len(folds))
	for f := range out {
		out[f] = make([][]int64, len(folds[f].moving))
		for i := range out[f] {
			out[f][i] = make([]int64, a.cols)
		}
	}
	chain, shadow, weight := newGrid(a.rows, a.cols), newGrid(a.rows, a.cols), newGrid(a.rows, a.cols)
	moving, sum := newGrid(a.rows, a.cols), newGrid(a.rows, a.cols)
	left := make([]int, a.cols) // results that have left each column, which are in order
	end := folds[len(folds)-1].start + len(folds[len(folds)-1].moving) + a.rows + a.cols
	for t := 0; t < end; t++ {
		chain2, shadow2, weight2 := newGrid(a.rows, a.cols), newGrid(a.rows, a.cols), newGrid(a.rows, a.cols)
		moving2, sum2 := newGrid(a.rows, a.cols), newGrid(a.rows, a.cols)
		for r := range a.rows {
			for c := range a.cols {
				// The stationary tile comes down the column, the bottom row first, each value to its row.
				var down word
				if r > 0 {
					down = chain[r-1][c]
				} else {
					down = a.enter(folds, "stationary values",
						func(f *fold) (int, int) { return t - f.load - c, a.rows },
						func(f *fold, i int) word {
							w := f.resident[a.rows-1-i][c]
							w.row = a.rows - 1 - i
							return w
						})
				}
				// The stream goes right, a cycle later in each row.
				var in word
				if c > 0 {
					in = moving[r][c-1]
				} else {
					in = a.enter(folds, "streams",
						func(f *fold) (int, int) { return t - f.start - r, len(f.moving) },
						func(f *fold, i int) word {
							w := f.moving[i][r]
							w.edge = i == 0
							return w
						})
				}
				moving2[r][c] = in
				w, waiting := weight[r][c], shadow[r][c]
				if in.full && in.edge { // the next tile takes its place
					if !waiting.full || waiting.fold != in.fold {
						a.conflict("fold %d reaches element %d, %d before its tile", in.fold, r, c)
					}
					w, waiting = waiting, word{}
				}
				switch {
				case down.full && down.row == r && waiting.full:
					a.conflict("the tile of fold %d reaches element %d, %d where another waits", down.fold, r, c)
				case down.full && down.row == r:
					waiting = down
				default:
					chain2[r][c] = down
				}
				weight2[r][c], shadow2[r][c] = w, waiting
				if !in.full {
					continue
				}
				var above word
				if r > 0 {
					if above = sum[r-1][c]; !above.full {
						a.conflict("no sum from above at element %d, %d", r, c)
					}
				}
				a.last = t
				s := word{full: true, value: above.value + times(w, in)}
				if sum2[r][c] = s; r == a.rows-1 {
					a.out = t
					n := left[c]
					left[c]++
					for f := range out {
						if n < len(out[f]) {
							out[f][n][c] = s.value
							break
						}
						n -= len(out[f])
					}
				}
			}
		}
		chain, shadow, weight, moving, sum = chain2, shadow2, weight2, moving2, sum2
	}
	return out
}

// output runs folds whose sums stay in place (os) and leave the array at the bottom while the next fold
// runs. It returns out[f][r][c].
func (a *array) output(folds []fold) [][][]int64 {
	out := make([][][]int64, len(folds))
	for f := range out {
		out[f] = make([][]int64, a.rows)
		for r := range out[f] {
			out[f][r] = make([]int64, a.cols)
		}
	}
	moving, falling, sum := newGrid(a.rows, a.cols), newGrid(a.rows, a.cols), newGrid(a.rows, a.cols)
	held, chain := newGrid(a.rows, a.cols), newGrid(a.rows, a.cols)
	left := make([]int, a.cols)
	end := folds[len(folds)-1].start + len(folds[len(folds)-1].moving) + 4*a.rows + a.cols
	for t := 0; t < end; t++ {
		moving2, falling2, sum2 := newGrid(a.rows, a.cols), newGrid(a.rows, a.cols), newGrid(a.rows, a.cols)
		held2, chain2 := newGrid(a.rows, a.cols), newGrid(a.rows, a.cols)
		for r := range a.rows {
			for c := range a.cols {
				var in, down, leaving word
				if c > 0 {
					in = moving[r][c-1]
				} else {
					in = a.enter(folds, "streams",
						func(f *fold) (int, int) { return t - f.start - r, len(f.moving) },
						func(f *fold, i int) word {
							w := f.moving[i][r]
							w.row, w.edge = i, i == len(f.moving)-1
							return w
						})
				}
				if r > 0 {
					down, leaving = falling[r-1][c], chain[r-1][c]
				} else {
					down = a.enter(folds, "streams from above",
						func(f *fold) (int, int) { return t - f.start - c, len(f.falling) },
						func(f *fold, i int) word {
							w := f.falling[i][c]
							w.row = i
							return w
						})
				}
				moving2[r][c], falling2[r][c] = in, down
				s, hold := sum[r][c], held[r][c]
				// A result goes down as soon as none passes that comes from above.
				if !leaving.full && hold.full {
					leaving, hold = hold, word{}
				}
				if in.full != down.full || in.row != down.row || in.fold != down.fold {
					a.conflict("values %d and %d of the two streams meet at element %d, %d", in.row, down.row, r, c)
				}
				if in.full {
					a.last = t
					if in.row == 0 {
						s = word{full: true}
					}
					s.value += times(in, down)
					if in.edge {
						if hold.full {
							a.conflict("a result of fold %d is done at element %d, %d where another waits", in.fold, r, c)
						}
						hold, s = word{full: true, value: s.value, row: r, fold: in.fold}, word{}
					}
				}
				sum2[r][c], held2[r][c], chain2[r][c] = s, hold, leaving
				if r == a.rows-1 && leaving.full {
					a.out = t
					f, row := left[c]/a.rows, left[c]%a.rows
					left[c]++
					if leaving.fold != f || leaving.row != row {
						a.conflict("row %d of fold %d leaves in place of row %d of fold %d", leaving.row, leaving.fold, row, f)
						continue
					}
					out[f][row][c] = leaving.value
				}
			}
		}
		moving, falling, sum, held, chain = moving2, falling2, sum2, held2, chain2
	}
	for c := range left {
		if left[c] != len(folds)*a.rows {
			a.conflict("%d of %d results left column %d", left[c], len(folds)*a.rows, c)
		}
	}
	return out
}

// product is a matrix product on an array: the folds in which it runs and how their results add up.
type product struct {
	array
	dataflow string
	m, n, k  int
	kept     int // of the reduction: where weights are
	folds    []fold
	c        [][]int64
}

// newProduct divides a product over folds; where it does not fill the array there are zeros. With sparse weights it is
// of those that are kept.
func newProduct(rows, cols int, dataflow string, a, b [][]int64, sp *compute.Sparsity) *product {
	p := &product{array: array{rows: rows, cols: cols}, dataflow: dataflow, m: len(a), n: len(b[0]), k: len(b)}
	keep, of := 1, 1
	if sp != nil {
		keep, of = int(sp.Keep[0]), int(sp.Of)
	}
	// weights[n] are the kept ones of a filter in the order of the reduction, block[i] the block that the i-th is of.
	weights, block := make([][]word, p.n), []int{}
	for k := 0; k < p.k; k += of {
		for range min(keep, p.k-k) {
			block = append(block, k)
		}
	}
	for n := range weights {
		i, from := 0, -1 // of the block that i is in
		for k := range b {
			if from != k/of*of {
				from = k / of * of
				for i < len(block) && block[i] < from {
					i++
				}
			}
			if b[k][n] != 0 || sp == nil {
				for len(weights[n]) < i {
					weights[n] = append(weights[n], word{})
				}
				weights[n] = append(weights[n], word{value: b[k][n], pick: k - from})
				i++
			}
		}
	}
	input := func(m, i int) word { // what the i-th weight of a filter is multiplied by
		if m >= p.m || i >= len(block) {
			return word{block: make([]int64, of)}
		}
		w := word{block: make([]int64, of)}
		for j := 0; j < of && block[i]+j < p.k; j++ {
			w.block[j] = a[m][block[i]+j]
		}
		return w
	}
	weight := func(i, n int) word {
		if n >= p.n || i >= len(weights[n]) {
			return word{}
		}
		return weights[n][i]
	}
	p.kept = len(block)
	p.c = make([][]int64, p.m)
	for i := range p.c {
		p.c[i] = make([]int64, p.n)
	}
	matrix := func(rows, cols int, f func(i, j int) word) [][]word {
		m := make([][]word, rows)
		for i := range m {
			m[i] = make([]word, cols)
			for j := range m[i] {
				m[i][j] = f(i, j)
			}
		}
		return m
	}
	high, wide := p.kept, p.n // of the operand or result that stays in place
	switch dataflow {
	case "os":
		high = p.m
	case "is":
		wide = p.m
	}
	for r := 0; r < high; r += rows {
		for c := 0; c < wide; c += cols {
			var f fold
			switch dataflow {
			case "os":
				f.moving = matrix(p.kept, rows, func(i, j int) word { return input(r+j, i) })
				f.falling = matrix(p.kept, cols, func(i, j int) word { return weight(i, c+j) })
			case "ws":
				f.resident = matrix(rows, cols, func(i, j int) word { return weight(r+i, c+j) })
				f.moving = matrix(p.m, rows, func(i, j int) word { return input(i, r+j) })
			case "is":
				f.resident = matrix(rows, cols, func(i, j int) word { return input(c+j, r+i) })
				f.moving = matrix(p.n, rows, func(i, j int) word { return weight(r+j, i) })
			}
			p.folds = append(p.folds, f)
		}
	}
	return p
}

// schedule gives each fold the earliest times that a mode allows; early makes folds follow one another
// that much sooner than it does.
func (p *product) schedule(mode string, early int) {
	load := 0 // cycles from the first stationary value entering to the first that streams
	if p.dataflow != "os" {
		load = p.rows
	}
	drain := p.rows + p.cols - 2 // from the last value entering to the last multiply-add
	p.folds[0].start = load
	for i := 1; i < len(p.folds); i++ {
		f, before := &p.folds[i], &p.folds[i-1]
		stream := len(before.moving)
		switch mode {
		case "serial": // the array is empty before anything of the next fold enters
			f.start = before.start + stream + drain + load
		case "hidden-load": // the next tile enters beside the stream, which leaves before another does
			f.start = max(before.start+stream+drain, before.start+load)
		case "chained": // each port is free again: that of the stream, that of the tile or the results
			f.start = max(before.start+stream, before.start+p.rows)
		}
		f.start -= early
		f.load = f.start - load
	}
}

// run multiplies and returns the cycles up to the last multiply-add.
func (p *product) run() int {
	var out [][][]int64
	if p.dataflow == "os" {
		out = p.output(p.folds)
	} else {
		out = p.stationary(p.folds)
	}
	i, high, wide := 0, p.kept, p.n
	switch p.dataflow {
	case "os":
		high = p.m
	case "is":
		wide = p.m
	}
	for r := 0; r < high; r += p.rows {
		for c := 0; c < wide; c += p.cols {
			for y := range out[i] {
				for x, v := range out[i][y] {
					row, col := y, c+x // ws: of each row of A, the columns of this tile
					switch p.dataflow {
					case "os":
						row = r + y
					case "is":
						row, col = c+x, y
					}
					if row < p.m && col < p.n {
						p.c[row][col] += v
					}
				}
			}
			i++
		}
	}
	return p.last + 1
}

func drawMatrix(t *rapid.T, rows, cols int, label string) [][]int64 {
	m := make([][]int64, rows)
	for i := range m {
		m[i] = rapid.SliceOfN(rapid.Int64Range(-9, 9), cols, cols).Draw(t, label)
	}
	return m
}

func multiply(a, b [][]int64) [][]int64 {
	c := make([][]int64, len(a))
	for i := range c {
		c[i] = make([]int64, len(b[0]))
		for j := range c[i] {
			for k := range b {
				c[i][j] += a[i][k] * b[k][j]
			}
		}
	}
	return c
}

// drawSparse leaves at most so many weights of each block of a column.
func drawSparse(t *rapid.T, b [][]int64, sp *compute.Sparsity) {
	for n := range b[0] {
		for from := 0; from < len(b); from += int(sp.Of) {
			order := rapid.Permutation(ints(min(int(sp.Of), len(b)-from))).Draw(t, "kept")
			for i, k := range order {
				if int64(i) >= sp.Keep[0] {
					b[from+k][n] = 0
				}
			}
		}
	}
}

func ints(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// check runs a product on the reference and compares it with plain multiplication and with the closed form.
func check(t *rapid.T, rows, cols int, dataflow, mode string, a, b [][]int64, sp *compute.Sparsity) {
	p := newProduct(rows, cols, dataflow, a, b, sp)
	p.schedule(mode, 0)
	cycles := p.run()
	if p.bad != "" {
		t.Fatal(p.bad)
	}
	if want := multiply(a, b); fmt.Sprint(p.c) != fmt.Sprint(want) {
		t.Fatalf("product %v, want %v", p.c, want)
	}
	u := compute.Systolic{Rows: int64(rows), Columns: int64(cols), Arrays: 1, Dataflow: dataflow, Mode: mode}
	r, err := u.Run(compute.Product{M: int64(p.m), N: int64(p.n), K: int64(p.k), Sparse: sp})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Cycles.Steady + r.Cycles.Fill; got != units.Cycles(cycles) || r.Folds != int64(len(p.folds)) {
		t.Fatalf("the model takes %d cycles for %d folds, the array %d for %d", got, r.Folds, cycles, len(p.folds))
	}
	if got := units.Cycles(p.out - p.last); r.Drain != got {
		t.Fatalf("the model's last result leaves %d cycles after the last multiply-add, the array's %d", r.Drain, got)
	}
	if sp != nil {
		return
	}
	m := compute.Matrix{Kind: "systolic", Rows: int64(rows), Columns: int64(cols), Arrays: 1, Dataflow: dataflow, Mode: mode, Types: map[string]int64{"int8": 1}}
	if c, err := m.Cycles(traces.INT8, int64(p.m), int64(p.n), int64(p.k)); err != nil || c != r.Cycles {
		t.Fatalf("a machine's unit: %+v, %v; want %+v", c, err, r.Cycles)
	}
}

// TestRegisterLevel: the reference gives the right product in every dataflow and mode, dense and sparse, without two
// values ever wanting one register, and the closed form gives exactly its cycles.
func TestRegisterLevel(t *testing.T) {
	for _, dataflow := range []string{"os", "ws", "is"} {
		for _, mode := range []string{"serial", "hidden-load", "chained"} {
			t.Run(dataflow+" "+mode, func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) {
					side := rapid.SampledFrom([]int{1, 2, 3, 4, 5, 7, 8, 11, 16})
					rows, cols := side.Draw(t, "rows"), side.Draw(t, "columns")
					// Less than a fold, and folds with an edge.
					dim := func(side int, label string) int { return rapid.IntRange(1, 2*side+3).Draw(t, label) }
					m, n, k := dim(max(rows, cols), "m"), dim(cols, "n"), dim(rows, "k")
					a, b := drawMatrix(t, m, k, "a"), drawMatrix(t, k, n, "b")
					var sp *compute.Sparsity
					if rapid.Bool().Draw(t, "sparse") {
						of := rapid.Int64Range(1, 6).Draw(t, "of")
						sp = &compute.Sparsity{Keep: []int64{rapid.Int64Range(1, of).Draw(t, "keep")}, Of: of}
						drawSparse(t, b, sp)
					}
					check(t, rows, cols, dataflow, mode, a, b, sp)
				})
			})
		}
	}
}

// TestRegisterLevelTight: chained folds cannot follow one another a cycle sooner, so max(T, R) is the
// best that such an array does, and the reference notices when it is asked for more.
func TestRegisterLevelTight(t *testing.T) {
	for _, dataflow := range []string{"os", "ws", "is"} {
		t.Run(dataflow, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				rows, cols := rapid.IntRange(1, 5).Draw(t, "rows"), rapid.IntRange(1, 5).Draw(t, "columns")
				m, n, k := rapid.IntRange(1, 9).Draw(t, "m"), rapid.IntRange(1, 9).Draw(t, "n"), rapid.IntRange(1, 9).Draw(t, "k")
				p := newProduct(rows, cols, dataflow, drawMatrix(t, m, k, "a"), drawMatrix(t, k, n, "b"), nil)
				if len(p.folds) < 2 {
					t.Skip("one fold")
				}
				p.schedule("chained", 1)
				if p.run(); p.bad == "" {
					t.Fatal("folds followed one another a cycle sooner and nothing collided")
				}
			})
		})
	}
}
