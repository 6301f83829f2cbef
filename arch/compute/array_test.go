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
	row   int  // of a stationary value or a result: the row that it belongs to
	fold  int  // and its fold
	edge  bool // the first value of a fold to meet a stationary tile, or the last that meets a sum
}

// fold is one pass of a tile over the array: what stays (ws, is) or enters from above (os), and what
// enters from the left. moving[i][r] enters row r as the i-th, resident[r][c] stays in place,
// falling[i][c] enters column c as the i-th.
type fold struct {
	moving   [][]int64
	resident [][]int64
	falling  [][]int64
	load     int // cycle in which the stationary tile begins to enter
	start    int // cycle in which the stream begins to enter
}

// array is the hardware; what is wrong with the schedule goes to bad.
type array struct {
	rows, cols int
	bad        string
	last       int // cycle of the last multiply-add
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
						func(f *fold, i int) word { return word{value: f.resident[a.rows-1-i][c], row: a.rows - 1 - i} })
				}
				// The stream goes right, a cycle later in each row.
				var in word
				if c > 0 {
					in = moving[r][c-1]
				} else {
					in = a.enter(folds, "streams",
						func(f *fold) (int, int) { return t - f.start - r, len(f.moving) },
						func(f *fold, i int) word { return word{value: f.moving[i][r], edge: i == 0} })
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
				s := word{full: true, value: above.value + w.value*in.value}
				if sum2[r][c] = s; r == a.rows-1 {
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
							return word{value: f.moving[i][r], row: i, edge: i == len(f.moving)-1}
						})
				}
				if r > 0 {
					down, leaving = falling[r-1][c], chain[r-1][c]
				} else {
					down = a.enter(folds, "streams from above",
						func(f *fold) (int, int) { return t - f.start - c, len(f.falling) },
						func(f *fold, i int) word { return word{value: f.falling[i][c], row: i} })
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
					s.value += in.value * down.value
					if in.edge {
						if hold.full {
							a.conflict("a result of fold %d is done at element %d, %d where another waits", in.fold, r, c)
						}
						hold, s = word{full: true, value: s.value, row: r, fold: in.fold}, word{}
					}
				}
				sum2[r][c], held2[r][c], chain2[r][c] = s, hold, leaving
				if r == a.rows-1 && leaving.full {
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
	folds    []fold
	c        [][]int64
}

// newProduct divides a product over folds; where it does not fill the array there are zeros.
func newProduct(rows, cols int, dataflow string, a, b [][]int64) *product {
	p := &product{array: array{rows: rows, cols: cols}, dataflow: dataflow, m: len(a), n: len(b[0]), k: len(b)}
	at := func(m [][]int64, i, j int) int64 {
		if i < len(m) && j < len(m[i]) {
			return m[i][j]
		}
		return 0
	}
	matrix := func(rows, cols int, f func(i, j int) int64) [][]int64 {
		m := make([][]int64, rows)
		for i := range m {
			m[i] = make([]int64, cols)
			for j := range m[i] {
				m[i][j] = f(i, j)
			}
		}
		return m
	}
	p.c = matrix(p.m, p.n, func(int, int) int64 { return 0 })
	high, wide := p.k, p.n // of the operand or result that stays in place
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
				f.moving = matrix(p.k, rows, func(i, j int) int64 { return at(a, r+j, i) })
				f.falling = matrix(p.k, cols, func(i, j int) int64 { return at(b, i, c+j) })
			case "ws":
				f.resident = matrix(rows, cols, func(i, j int) int64 { return at(b, r+i, c+j) })
				f.moving = matrix(p.m, rows, func(i, j int) int64 { return at(a, i, r+j) })
			case "is":
				f.resident = matrix(rows, cols, func(i, j int) int64 { return at(a, c+j, r+i) })
				f.moving = matrix(p.n, rows, func(i, j int) int64 { return at(b, r+j, i) })
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
	i, high, wide := 0, p.k, p.n
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

func modeled(t *rapid.T, rows, cols int, dataflow, mode string, m, n, k int) units.Cycles {
	u := compute.Matrix{Kind: "systolic", Rows: int64(rows), Columns: int64(cols), Arrays: 1,
		Dataflow: dataflow, Mode: mode, Types: map[string]int64{"int8": 1}}
	c, err := u.Cycles(traces.INT8, int64(m), int64(n), int64(k))
	if err != nil {
		t.Fatal(err)
	}
	return c.Steady + c.Fill
}

// TestRegisterLevel: the reference gives the right product in every dataflow and mode, without two values
// ever wanting one register, and the closed form gives exactly its cycles.
func TestRegisterLevel(t *testing.T) {
	for _, dataflow := range []string{"os", "ws", "is"} {
		for _, mode := range []string{"serial", "hidden-load", "chained"} {
			t.Run(dataflow+" "+mode, func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) {
					rows, cols := rapid.IntRange(1, 5).Draw(t, "rows"), rapid.IntRange(1, 5).Draw(t, "columns")
					m, n, k := rapid.IntRange(1, 9).Draw(t, "m"), rapid.IntRange(1, 9).Draw(t, "n"), rapid.IntRange(1, 9).Draw(t, "k")
					a, b := drawMatrix(t, m, k, "a"), drawMatrix(t, k, n, "b")
					p := newProduct(rows, cols, dataflow, a, b)
					p.schedule(mode, 0)
					cycles := p.run()
					if p.bad != "" {
						t.Fatal(p.bad)
					}
					if want := multiply(a, b); fmt.Sprint(p.c) != fmt.Sprint(want) {
						t.Fatalf("product %v, want %v", p.c, want)
					}
					if got := modeled(t, rows, cols, dataflow, mode, m, n, k); got != units.Cycles(cycles) {
						t.Fatalf("the model takes %d cycles, the array %d", got, cycles)
					}
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
				p := newProduct(rows, cols, dataflow, drawMatrix(t, m, k, "a"), drawMatrix(t, k, n, "b"))
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
