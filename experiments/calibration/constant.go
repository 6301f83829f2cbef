package calibration

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/experiments/validation"
	"github.com/stratasim/strata/sim/spec"
)

// A Constant is a leaf of a machine that is fitted.
type Constant struct {
	Path string
	// Part is arch.Device, arch.Family, or the kernel of a library, such as "gemm[cublas]".
	Part      string
	Low, High float64 // in Unit
	Unit      string
	Before    float64
	linear    bool // between bounds on a linear scale; else on a logarithmic one
}

var quantity = regexp.MustCompile(`^([0-9.eE+-]+)\s*(.*)$`)

// times are units of time in microseconds.
var times = map[string]float64{"ps": 1e-6, "ns": 1e-3, "us": 1, "ms": 1e3, "s": 1e6}

// own are leaves that each device has for itself.
var own = regexp.MustCompile(`^chip\.cores\.matrix\.efficiency$|^runtime\.profiles\[[^\]]+\]\.launch$|^system\.scale_up\.library\.protocols\[[^\]]+\]\.efficiency$|^chip\.clock$`)

// NewConstant makes a constant of a leaf of a machine. The bounds follow from what the leaf is.
func NewConstant(m *arch.Machine, path string) (*Constant, error) {
	text, err := spec.Get(m, path)
	if err != nil {
		return nil, err
	}
	q := quantity.FindStringSubmatch(text)
	var value float64
	if q != nil {
		value, err = strconv.ParseFloat(q[1], 64)
	}
	if q == nil || err != nil {
		return nil, fmt.Errorf("%s: %q is no number", path, text)
	}
	c := &Constant{Path: path, Part: arch.KernelOf(path), Unit: q[2], Before: value}
	if off := m.OffChip(); c.Part == "" {
		c.Part = arch.Family
		if own.MatchString(path) || off != nil && strings.HasPrefix(path, "chip.memory["+off.Name+"].") {
			c.Part = arch.Device
		}
	}
	name := path[strings.LastIndexByte(path, '.')+1:]
	switch per, time := times[c.Unit]; {
	case name == "overlap":
		c.Low, c.High = 1.5, 8
	case name == "efficiency" || name == "load" || name == "store" || name == "room" || name == "usage" || strings.HasSuffix(name, "_share"):
		c.Low, c.High, c.linear = 0.05, 1, true
		if value == 0 { // which stands for all of it
			c.Before = 1
		}
	case time:
		c.Unit, c.Before = "us", value*per
		c.Low, c.High = 0.001, max(20, 8*c.Before)
		if name == "chunk" {
			c.Low, c.High = 1e-5, max(1, 8*c.Before)
		}
	case c.Unit == "cycles":
		c.Low, c.High = 1, max(20000, 8*value)
	case c.Unit != "" && value > 0:
		c.Low, c.High = value/8, value*8
	default:
		return nil, fmt.Errorf("%s: %q is a count, which is no matter of fitting", path, text)
	}
	c.Before = min(max(c.Before, c.Low), c.High)
	if source, _, ok := m.Sources.Of(path); ok && !strings.HasPrefix(source, arch.Fitted+":") && !strings.HasPrefix(source, arch.Estimated+":") && !strings.HasPrefix(source, "as ") && !strings.HasPrefix(source, "set in ") {
		return nil, fmt.Errorf("%s is known: %s", path, source)
	}
	// What a machine refuses is no value to try.
	trial := *m
	for c.High > c.Before && trial.Set(path, c.text(c.High)) != nil {
		c.High = max(c.Before, c.High/2)
	}
	if err := trial.Set(path, c.text(c.Before)); err != nil {
		return nil, err
	}
	return c, nil
}

// text is a value as a machine reads it.
func (c *Constant) text(v float64) string {
	digits := strconv.FormatFloat(v, 'g', 5, 64)
	if c.Unit == "us" { // whole picoseconds
		short, _ := strconv.ParseFloat(digits, 64) // of a number that was just written
		digits = strconv.FormatFloat(math.Round(1e6*short)/1e6, 'f', -1, 64)
	}
	if c.Unit == "cycles" {
		digits = strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	}
	if strings.Contains(digits, "e") {
		digits = strconv.FormatFloat(v, 'f', -1, 64)
	}
	if c.Unit == "" {
		return digits
	}
	return digits + " " + c.Unit
}

// at is the value for a coordinate, which may be any number.
func (c *Constant) at(x float64) float64 {
	s := 1 / (1 + math.Exp(-x))
	if c.linear {
		return c.Low + (c.High-c.Low)*s
	}
	return c.Low * math.Pow(c.High/c.Low, s)
}

// coordinate is the inverse of at; bounds are some way off.
func (c *Constant) coordinate(v float64) float64 {
	s := 0.0
	if c.linear {
		s = (v - c.Low) / (c.High - c.Low)
	} else {
		s = math.Log(v/c.Low) / math.Log(c.High/c.Low)
	}
	s = min(max(s, 0.02), 0.98)
	return math.Log(s / (1 - s))
}

// Usual are the constants that are fitted for classes of operators when none are named: of the device the efficiency of its
// matrix units and of its memory and the launch, and of the kernel that most rows run what its start, its overlap and its shares
// are.
func Usual(m *arch.Machine, rows []Row) ([]string, error) {
	var paths []string
	add := func(path string) {
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	off := m.OffChip()
	if off == nil {
		return nil, fmt.Errorf("%s has no memory off the chip", m.Name)
	}
	for _, class := range classesOf(rows) {
		name := mostOf(rows, class)
		p, err := m.Profile(name)
		if err != nil {
			return nil, err
		}
		profile := "runtime.profiles[" + p.Name + "]."
		// Of row kernels a share of the memory's rate and the chip's share, and their start and the launch, cannot be told apart: those
		// of the chip and of the runtime are for the classes that tell them.
		if class != "norm" && class != "elementwise" && class != "all_reduce" && class != "all_gather" && class != "reduce_scatter" && class != "alltoall" && class != "send_recv" {
			if class == "gemm" || class == "moe" || class == "attn_prefill" {
				add("chip.cores.matrix.efficiency")
			}
			add("chip.memory[" + off.Name + "].efficiency")
			add(profile + "launch")
		}
		switch class {
		case "gemm":
			at := kernelPath("gemm", p.Gemm.Use, profile+"gemm")
			add(at + ".fill")
			add(at + ".overlap")
		case "attn_prefill", "attn_decode", "attn_mixed":
			decode := class == "attn_decode"
			at := ""
			for i := range p.AttentionFor {
				if a := &p.AttentionFor[i]; at == "" && len(a.Cache) == 0 && (a.Decode == nil || *a.Decode == decode) {
					at = kernelPath("attention", a.Kernel.Use, profile+"attention_for["+a.Name+"].kernel")
				}
			}
			if at == "" && p.Attention != nil {
				at = kernelPath("attention", p.Attention.Use, profile+"attention")
			}
			if at == "" {
				continue
			}
			if decode {
				add(at + ".memory_share")
			} else {
				add(at + ".matrix_share")
			}
			add(at + ".fill")
		case "norm", "elementwise":
			kind := kindOf(rows, class)
			vector := m.Resolved(p).Vector // as p.Vector has them, with what those it refers to are for
			i := slices.IndexFunc(vector, func(k arch.RowKernel) bool { return slices.Contains(k.Kinds, kind) })
			if i < 0 {
				i = slices.IndexFunc(vector, func(k arch.RowKernel) bool { return slices.Contains(k.Kinds, "*") })
			}
			if i >= 0 {
				at := kernelPath("vector", p.Vector[i].Use, profile+"vector["+p.Vector[i].Name+"]")
				add(at + ".efficiency")
				add(at + ".fill")
			}
		case "moe":
			if p.MoE != nil {
				at := kernelPath("moe", p.MoE.Use, profile+"moe")
				add(at + ".matrix_share")
				add(at + ".sort")
			}
		case "all_reduce", "all_gather", "reduce_scatter", "send_recv":
			for _, leaf := range []string{"base", "step", "efficiency"} {
				add("system.scale_up.library.protocols[ring]." + leaf)
			}
		case "alltoall":
			for _, leaf := range []string{"base", "efficiency"} {
				add("system.scale_up.library.protocols[pairwise]." + leaf)
			}
		}
	}
	// A leaf that the machine does not have is none to fit.
	return slices.DeleteFunc(paths, func(path string) bool { _, err := NewConstant(m, path); return err != nil }), nil
}

// kindOf is the kind of operator that most rows of a class have, the first of them in the order of the rows.
func kindOf(rows []Row, class string) string {
	n := map[string]int{}
	best := ""
	for i := range rows {
		if rows[i].Case == nil || rows[i].Class != class {
			continue
		}
		op, _ := rows[i].Request["op"].(validation.Fields)
		kind, _ := op["kind"].(string)
		if n[kind]++; n[kind] > n[best] {
			best = kind
		}
	}
	return best
}

func kernelPath(kind, use, inline string) string {
	if use != "" {
		return "runtime.kernels." + kind + "[" + use + "]"
	}
	return inline
}

// classesOf lists the classes of rows in alphabetical order.
func classesOf(rows []Row) []string {
	var list []string
	for i := range rows {
		list = append(list, rows[i].Class)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// mostOf is the profile that most rows of a class run.
func mostOf(rows []Row, class string) string {
	n := map[string]int{}
	best := ""
	for i := range rows {
		if rows[i].Class == class {
			n[rows[i].Profile]++
		}
	}
	for i := range rows { // in the order of the rows, so that a tie is always decided alike
		if p := rows[i].Profile; rows[i].Class == class && (best == "" || n[p] > n[best]) {
			best = p
		}
	}
	return best
}
