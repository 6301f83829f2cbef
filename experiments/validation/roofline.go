package validation

import (
	"fmt"
	"math"
	"strconv"

	"github.com/stratasim/strata/arch"
)

// Roofline is how long the least work of a case takes at the full rates of a data sheet, in seconds: the operations by
// themselves and the bytes by themselves. Nothing is faster unless it finds its operands on the chip.
type Roofline struct {
	Compute, Memory float64
	Devices         int64
}

// Seconds is the roofline: the longer of both.
func (r *Roofline) Seconds() float64 { return max(r.Compute, r.Memory) }

// rates are dense 16-bit operations in 10¹² per second and memory bandwidth in 10⁹ B/s, of data sheets, and the width of a
// link in 10⁹ B/s in one direction. fp8 and nvfp4 are the multiples of the 16-bit rate that the chip has for them.
var rates = map[string]struct{ tera, giga, link, fp8, nvfp4 float64 }{
	"a100-sxm-80gb":  {312, 2039, 300, 1, 1},
	"a100-pcie-80gb": {312, 1935, 300, 1, 1},
	"h100-sxm":       {989, 3350, 450, 2, 2},
	"h100-pcie":      {756, 2000, 300, 2, 2},
	"h200-sxm":       {989, 4800, 450, 2, 2},
	"b200-sxm":       {2250, 7700, 900, 2, 4},
	"gb200":          {2500, 8000, 900, 2, 4},
	"l40s":           {362, 864, 32, 2, 2},
	"rtx-pro-6000":   {467.8, 1792, 64, 2, 4},
	"arc-pro-b60":    {98.3, 456, 28.4, 1, 1},
	"rtx-4090":       {165.2, 1008, 32, 2, 2},
	"rtx-a6000":      {154.8, 768, 32, 1, 1},
	"rtx-3090":       {71, 936, 32, 1, 1},
	"tpu-v6e":        {918, 1640, 0, 1, 1},
	"tpu-v4":         {275, 1200, 0, 1, 1},
	"a40":            {149.7, 696, 32, 1, 1},
	"a30":            {165, 933, 32, 1, 1},
	"mi210":          {181, 1638, 0, 1, 1},
}

// roofline is the least time of a kernel of so many operations and bytes.
func roofline(name, dtype string, ops, bytes float64) *Roofline {
	r, ok := rates[name]
	if !ok {
		return nil
	}
	tera := r.tera
	switch dtype {
	case "fp8":
		tera *= r.fp8
	case "nvfp4":
		tera *= r.nvfp4
	}
	return &Roofline{Compute: ops / tera / 1e12, Memory: bytes / r.giga / 1e9, Devices: 1}
}

// linkRoofline is the least time of a collective in which each rank sends so many bytes.
func linkRoofline(name string, bytes float64, ranks int64) *Roofline {
	r, ok := rates[name]
	if !ok || r.link == 0 {
		return nil
	}
	return &Roofline{Memory: bytes / r.link / 1e9, Devices: ranks}
}

// calibrated is a roofline whose rates and fixed time were fitted: t0 + max(compute/a, memory/b).
type calibrated struct{ t0, a, b float64 }

func (c *calibrated) seconds(r *Roofline) float64 {
	t := 0.0
	if c.a > 0 {
		t = r.Compute / c.a
	}
	if c.b > 0 {
		t = max(t, r.Memory/c.b)
	}
	return c.t0 + t
}

type roofKey struct {
	device, class string
	devices       int64
}

// published reads the parameters of calibrated rooflines that come with the measurements.
func publishedRooflines(dir string) map[roofKey]*calibrated {
	list, err := records(dir, "kernels/calibrated_roofline_params.csv")
	if err != nil {
		return nil
	}
	m := map[roofKey]*calibrated{}
	for i := range list {
		r := reading{record: &list[i]}
		k := roofKey{r.get("device"), r.get("op_class"), r.integer("num_devices")}
		c := &calibrated{1e-6 * r.number("t0_us"), r.number("eff_compute"), r.number("eff_mem_or_link")}
		if r.err == nil {
			m[k] = c
		}
	}
	return m
}

// rooflines fills in what rooflines say about rows, with parameters that come with the measurements or, where there are
// none, fitted on every second row.
func rooflines(dir string, rows []Row) {
	known := publishedRooflines(dir)
	of := map[roofKey][]*Row{}
	var order []roofKey
	for i := range rows {
		r := &rows[i]
		if r.Work == nil || r.Unit != "s" && r.Unit != "us" {
			continue
		}
		k := roofKey{r.Device, r.Class, r.Work.Devices}
		if of[k] == nil {
			order = append(order, k)
		}
		of[k] = append(of[k], r)
	}
	for _, k := range order {
		c := known[k]
		if c == nil {
			if len(of[k]) < 6 {
				continue // three parameters fit so few rows whatever they are
			}
			c = fitRoofline(of[k])
		}
		for _, r := range of[k] {
			r.Roofline, r.Calibrated = r.Work.Seconds(), c.seconds(r.Work)
		}
	}
}

// seconds is what was measured, in seconds.
func (r *Row) seconds() float64 {
	if r.Unit == "us" {
		return 1e-6 * r.Measured
	}
	return r.Measured
}

// fitRoofline fits a roofline on the first, the third and so on of rows, to the least mean absolute error: one parameter
// after the other over ever finer steps.
func fitRoofline(rows []*Row) *calibrated {
	c := &calibrated{t0: math.Inf(1), a: 0.7, b: 0.7}
	for _, r := range rows {
		c.t0 = min(c.t0, r.seconds())
	}
	c.t0 /= 2
	cost := func(try calibrated) float64 {
		sum := 0.0
		for i := 0; i < len(rows); i += 2 {
			sum += math.Abs(try.seconds(rows[i].Work)/rows[i].seconds() - 1)
		}
		return sum
	}
	best := cost(*c)
	for step := 2.0; step > 1.002; {
		better := false
		for _, p := range []func(*calibrated) *float64{func(c *calibrated) *float64 { return &c.t0 }, func(c *calibrated) *float64 { return &c.a }, func(c *calibrated) *float64 { return &c.b }} {
			for _, by := range []float64{step, 1 / step} {
				try := *c
				*p(&try) *= by
				if t := cost(try); t < best {
					*c, best, better = try, t, true
				}
			}
		}
		if !better {
			step = math.Sqrt(step)
		}
	}
	return c
}

// Impossible says why no kernel can have taken so many seconds on a machine, or "": the operations at 0.85 of their time at the full
// rate, or the bytes of a footprint beyond three times the on-chip memory at 0.75 of theirs. Chips run above their nominal clock
// and find operands in caches, but not that much.
func Impossible(m *arch.Machine, c *Case, measured float64) string {
	if c.Work == nil {
		return ""
	}
	compute, memory := c.Work.Compute, c.Work.Memory
	cache := 0.0
	if s := m.SharedSRAM(); s != nil {
		cache = float64(s.Capacity)
	}
	if off := m.OffChip(); off != nil {
		bytes := memory * float64(off.Peak(m.Chip.Clock))
		if measured < 0.75*memory && bytes > 3*cache {
			return fmt.Sprintf("%.4g us: its bytes alone take %.4g us at the full rate of %s", 1e6*measured, 1e6*memory, off.Name)
		}
	}
	if measured < 0.85*compute {
		return fmt.Sprintf("%.4g us: its operations alone take %.4g us at the full rate", 1e6*measured, 1e6*compute)
	}
	return ""
}

// least is the least work of a row, from its columns or, where they are empty, from its dimensions.
func (r *reading) least(name string, op Fields) *Roofline {
	ops, e1 := strconv.ParseFloat(r.get("flops"), 64)
	bytes, e2 := strconv.ParseFloat(r.get("bytes"), 64)
	if e1 != nil || e2 != nil {
		d := func(name string) float64 { v, _ := op[name].(int64); return float64(v) }
		switch op["kind"] {
		case "gemm":
			m, n, k := d("m"), d("n"), d("k")
			width := map[string]float64{"fp8": 1, "int8": 1, "nvfp4": 0.5}[r.get("dtype")]
			if width == 0 {
				width = 2
			}
			return roofline(name, r.get("dtype"), 2*m*n*k, width*(m*k+n*k)+2*m*n)
		case "attention":
		default:
			return nil
		}
		q, past := d("q_len"), d("past_len")
		ops = 4 * d("batch") * d("heads") * d("head_dim") * (q*past + q*(q+1)/2)
		bytes = 2 * d("batch") * d("head_dim") * (2*q*d("heads") + 2*(past+q)*d("kv_heads"))
	}
	return roofline(name, r.get("dtype"), ops, bytes)
}
