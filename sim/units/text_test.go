package units

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// kind is one exported type of the package as the tests see it: a value is its bits, the int64 or
// those of the float64.
type kind struct {
	name  string
	d     *dimension
	whole bool // an int64
	// read unmarshals a text into a value that was before.
	read func(text string, before uint64) (uint64, error)
	// print returns String and MarshalText.
	print func(bits uint64) (s string, text []byte, err error)
}

// quantity is what each type of the package offers.
type quantity[T any] interface {
	*T
	encoding.TextUnmarshaler
}

type printer interface {
	fmt.Stringer
	encoding.TextMarshaler
}

func kindOf[T interface {
	~int64 | ~float64
	printer
}, P quantity[T]](d *dimension, to func(T) uint64, from func(uint64) T) kind {
	one := T(1)
	return kind{
		name:  strings.TrimPrefix(fmt.Sprintf("%T", one), "units."),
		d:     d,
		whole: one/2 == 0,
		read: func(text string, before uint64) (uint64, error) {
			v := from(before)
			err := P(&v).UnmarshalText([]byte(text))
			return to(v), err
		},
		print: func(bits uint64) (string, []byte, error) {
			v := from(bits)
			text, err := v.MarshalText()
			return v.String(), text, err
		},
	}
}

func wholeKind[T interface {
	~int64
	printer
}, P quantity[T]](d *dimension) kind {
	return kindOf[T, P](d, func(v T) uint64 { return uint64(v) }, func(b uint64) T { return T(b) })
}

func realKind[T interface {
	~float64
	printer
}, P quantity[T]](d *dimension) kind {
	return kindOf[T, P](d, func(v T) uint64 { return math.Float64bits(float64(v)) }, func(b uint64) T { return T(math.Float64frombits(b)) })
}

var kinds = []kind{
	wholeKind[Bytes](bytesText),
	wholeKind[Cycles](cyclesText),
	wholeKind[Ops](opsText),
	wholeKind[Hertz](hertzText),
	wholeKind[Time](timeText),
	realKind[BytesPerSecond](bytesPerSecondText),
	realKind[BytesPerCycle](bytesPerCycleText),
	realKind[OpsPerSecond](opsPerSecondText),
	realKind[Joules](joulesText),
	realKind[JoulesPerByte](joulesPerByteText),
	realKind[JoulesPerOp](joulesPerOpText),
	realKind[Watts](wattsText),
	realKind[Volts](voltsText),
	realKind[Dollars](dollarsText),
	realKind[DollarsPerHour](dollarsPerHourText),
	realKind[SquareMillimetres](squareMillimetresText),
	realKind[Nanometres](nanometresText),
	realKind[DollarsPerWatt](dollarsPerWattText),
	realKind[DollarsPerKilowattHour](dollarsPerKilowattHourText),
	realKind[DollarsPerGibibyte](dollarsPerGibibyteText),
	realKind[TransistorDensity](transistorDensityText),
	realKind[DefectDensity](defectDensityText),
}

func kindNamed(t testing.TB, name string) kind {
	t.Helper()
	for _, k := range kinds {
		if k.name == name {
			return k
		}
	}
	t.Fatalf("no type %q", name)
	return kind{}
}

// factors is every unit of every type in base units, written down apart from the code. Decimal
// prefixes: The International System of Units (SI brochure), 9th edition, table 7. Binary
// prefixes: IEC 80000-13:2008, clause 4. min and h: SI brochure, table 8. A byte is 8 bits: IEC
// 80000-13, item 13-9.
var factors = map[string]map[string]string{
	"Bytes": {"B": "1", "kB": "1e3", "MB": "1e6", "GB": "1e9", "TB": "1e12", "PB": "1e15",
		"KiB": "1024", "MiB": "1048576", "GiB": "1073741824", "TiB": "1099511627776", "PiB": "1125899906842624"},
	"Cycles": {"cycles": "1", "cycle": "1"},
	"Ops": {"op": "1", "kop": "1e3", "Mop": "1e6", "Gop": "1e9", "Top": "1e12", "Pop": "1e15", "Eop": "1e18",
		"FLOP": "1", "kFLOP": "1e3", "MFLOP": "1e6", "GFLOP": "1e9", "TFLOP": "1e12", "PFLOP": "1e15", "EFLOP": "1e18"},
	"Hertz": {"Hz": "1", "kHz": "1e3", "MHz": "1e6", "GHz": "1e9"},
	// The micro sign is U+00B5, the Greek letter U+03BC; keyboards have either.
	"Time": {"ps": "1", "ns": "1e3", "us": "1e6", "\u00b5s": "1e6", "\u03bcs": "1e6", "ms": "1e9", "s": "1e12", "min": "60e12", "h": "3600e12"},
	"BytesPerSecond": {"B/s": "1", "kB/s": "1e3", "MB/s": "1e6", "GB/s": "1e9", "TB/s": "1e12", "PB/s": "1e15",
		"KiB/s": "1024", "MiB/s": "1048576", "GiB/s": "1073741824", "TiB/s": "1099511627776", "PiB/s": "1125899906842624"},
	"BytesPerCycle": {"B/cycle": "1"},
	"OpsPerSecond": {"op/s": "1", "kop/s": "1e3", "Mop/s": "1e6", "Gop/s": "1e9", "Top/s": "1e12", "Pop/s": "1e15", "Eop/s": "1e18",
		"FLOP/s": "1", "kFLOP/s": "1e3", "MFLOP/s": "1e6", "GFLOP/s": "1e9", "TFLOP/s": "1e12", "PFLOP/s": "1e15", "EFLOP/s": "1e18"},
	"Joules": {"J": "1", "mJ": "1e-3", "uJ": "1e-6", "\u00b5J": "1e-6", "\u03bcJ": "1e-6", "nJ": "1e-9", "pJ": "1e-12", "fJ": "1e-15", "kJ": "1e3", "MJ": "1e6"},
	"JoulesPerByte": {"J/B": "1", "mJ/B": "1e-3", "uJ/B": "1e-6", "\u00b5J/B": "1e-6", "\u03bcJ/B": "1e-6", "nJ/B": "1e-9", "pJ/B": "1e-12", "fJ/B": "1e-15",
		"J/bit": "8", "mJ/bit": "8e-3", "uJ/bit": "8e-6", "\u00b5J/bit": "8e-6", "\u03bcJ/bit": "8e-6", "nJ/bit": "8e-9", "pJ/bit": "8e-12", "fJ/bit": "8e-15"},
	"JoulesPerOp": {"J/op": "1", "mJ/op": "1e-3", "uJ/op": "1e-6", "\u00b5J/op": "1e-6", "\u03bcJ/op": "1e-6", "nJ/op": "1e-9", "pJ/op": "1e-12", "fJ/op": "1e-15",
		"J/FLOP": "1", "mJ/FLOP": "1e-3", "uJ/FLOP": "1e-6", "\u00b5J/FLOP": "1e-6", "\u03bcJ/FLOP": "1e-6", "nJ/FLOP": "1e-9", "pJ/FLOP": "1e-12", "fJ/FLOP": "1e-15"},
	"Watts":                  {"W": "1", "mW": "1e-3", "kW": "1e3", "MW": "1e6"},
	"Volts":                  {"V": "1", "mV": "1e-3"},
	"Dollars":                {"USD": "1", "$": "1"},
	"DollarsPerHour":         {"USD/h": "1", "$/h": "1"},
	"SquareMillimetres":      {"mm2": "1", "mm\u00b2": "1", "um2": "1e-6"},
	"Nanometres":             {"nm": "1"},
	"DollarsPerWatt":         {"USD/W": "1", "$/W": "1"},
	"DollarsPerKilowattHour": {"USD/kWh": "1", "$/kWh": "1"},
	"DollarsPerGibibyte":     {"USD/GiB": "1", "$/GiB": "1"},
	"TransistorDensity":      {"Tr/mm2": "1", "MTr/mm2": "1e6"},
	"DefectDensity":          {"/mm2": "1", "/cm2": "1e-2"},
}

func rat(t testing.TB, s string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%q is no number", s)
	}
	return r
}

// bitsOf returns the value of a type for an exact number, and whether the type can hold it: an
// integer exactly, a float as the nearest one.
func (k kind) bitsOf(r *big.Rat) (uint64, bool) {
	if k.whole {
		return uint64(r.Num().Int64()), r.IsInt() && r.Num().IsInt64()
	}
	f, _ := r.Float64()
	return math.Float64bits(f), !math.IsInf(f, 0) && (f != 0 || r.Sign() == 0)
}

func (k kind) show(bits uint64) string {
	if k.whole {
		return fmt.Sprint(int64(bits))
	}
	return fmt.Sprint(math.Float64frombits(bits))
}

func TestEveryUnit(t *testing.T) {
	if len(all) != len(kinds) {
		t.Errorf("%d dimensions, %d types tested", len(all), len(kinds))
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			if len(k.d.byName) != len(factors[k.name]) || len(k.d.units) != len(k.d.byName) {
				t.Errorf("%d units in a list of %d, %d in the table of the test", len(k.d.byName), len(k.d.units), len(factors[k.name]))
			}
			for unit, factor := range factors[k.name] {
				for _, n := range []string{"1", "0", "7", "-2", "1024", "2.5", "0.125", "3e2", "4E+1", "5e-1", "1.000"} {
					want, ok := k.bitsOf(new(big.Rat).Mul(rat(t, n), rat(t, factor)))
					for _, text := range []string{n + " " + unit, n + unit, "\t" + n + "   " + unit + " \n"} {
						got, err := k.read(text, 0)
						if (err == nil) != ok || err == nil && got != want {
							t.Errorf("%q is %s, error %v; want %s, accepted %v", text, k.show(got), err, k.show(want), ok)
						}
					}
				}
			}
		})
	}
}

// drawNumber returns a decimal number in a form that is to be read.
func drawNumber(t *rapid.T) string {
	n := rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?`).Draw(t, "number")
	if rapid.Bool().Draw(t, "has exponent") {
		n += rapid.StringMatching(`[eE][+-]?[0-9]{1,2}`).Draw(t, "exponent")
	}
	return n
}

// A text is the number that it says: exactly for counts and times, the nearest float64 for the
// others; what cannot be held is refused.
func TestReadingIsExact(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			var names []string // of both maps; the order is that of the table
			for _, u := range k.d.units {
				names = append(names, u.name)
			}
			rapid.Check(t, func(t *rapid.T) {
				n, unit := drawNumber(t), rapid.SampledFrom(names).Draw(t, "unit")
				r, _ := new(big.Rat).SetString(n)
				f, _ := new(big.Rat).SetString(factors[k.name][unit])
				want, ok := k.bitsOf(r.Mul(r, f))
				got, err := k.read(n+" "+unit, 0)
				if (err == nil) != ok || err == nil && got != want {
					t.Fatalf("%q is %s, error %v; want %s, accepted %v", n+" "+unit, k.show(got), err, k.show(want), ok)
				}
			})
		})
	}
}

func TestRead(t *testing.T) {
	tests := []struct {
		kind, text string
		want       float64
	}{
		// A data sheet's figures. H100 SXM: 80 GB, 3.35 TB/s, 1.98 GHz boost (NVIDIA H100 data sheet, 2023).
		{"Bytes", "80 GiB", 85899345920},
		{"BytesPerSecond", "3.35 TB/s", 3.35e12},
		{"Hertz", "1.98 GHz", 1_980_000_000},
		{"Time", "7.7 us", 7_700_000},
		{"Time", "1.5 min", 90e12},
		{"Time", "0.25h", 900e12},
		{"Time", "0.000000000001 s", 1},
		{"Bytes", "0.5 KiB", 512},
		{"Bytes", "1.5e3 kB", 1_500_000},
		{"Bytes", "2e0 PB", 2e15},
		{"Bytes", "10e-1 B", 1},
		{"Bytes", "-1 KiB", -1024},
		{"Bytes", "0.0 PiB", 0},
		{"Bytes", "-0 B", 0},
		{"Bytes", "100\u00a0B", 100}, // a no-break space, as the SI brochure sets it (5.4.3)
		{"Ops", "2EFLOP", 2e18},      // E is a prefix here,
		{"Ops", "2E3 FLOP", 2000},    // and an exponent where digits follow
		{"Ops", "2E3EFLOP", math.NaN()},
		{"OpsPerSecond", "312 TFLOP/s", 312e12}, // A100 data sheet, dense BF16
		{"JoulesPerByte", "6 pJ/bit", 48e-12},
		{"JoulesPerByte", "0.125 J/bit", 1},
		{"Cycles", "1 cycle", 1},
		{"Cycles", "1 cycles", 1},
		{"Dollars", "$5", 5},
		{"Dollars", "$ 5.25", 5.25},
		{"Dollars", "$-5", -5},
		{"Dollars", "5 $", 5},
		{"Dollars", "12000 USD", 12000},
		{"DollarsPerHour", "$4.10/h", 4.1},
		{"DollarsPerHour", "4.10 USD/h", 4.1},
		{"Watts", "-3 W", -3},
		{"Watts", "-0 W", 0},
		{"Watts", "5e-324 W", 5e-324},                                   // the smallest float64
		{"Watts", "1.7976931348623157e308 W", math.MaxFloat64},          // and the largest,
		{"Watts", "1.7976931348623158e302 MW", math.MaxFloat64},         // rounded to nearest
		{"Watts", "1" + strings.Repeat("0", 300) + " W", 1e300},         // many digits
		{"Watts", "0." + strings.Repeat("0", 300) + "1 W", 1e-301},      // and many of them zero
		{"Watts", "9007199254740993 W", 9007199254740992},               // 2^53+1: to even
		{"BytesPerSecond", "8796093022208.0009765625 KiB/s", 1 << 53},   // 2^53+1 B/s likewise
		{"BytesPerSecond", "8796093022208.0009765626 KiB/s", 1<<53 + 2}, // and just above
	}
	for _, tt := range tests {
		k := kindNamed(t, tt.kind)
		got, err := k.read(tt.text, 0)
		if math.IsNaN(tt.want) {
			if err == nil {
				t.Errorf("%s: %q is read as %s", tt.kind, tt.text, k.show(got))
			}
			continue
		}
		want, _ := k.bitsOf(new(big.Rat).SetFloat64(tt.want))
		if err != nil || got != want {
			t.Errorf("%s: %q is %s, error %v, want %v", tt.kind, tt.text, k.show(got), err, tt.want)
		}
	}
	for text, want := range map[string]int64{
		"9223372036854775807 B":                    math.MaxInt64,
		"-9223372036854775808 B":                   math.MinInt64,
		"9007199254740993 B":                       1<<53 + 1, // would be lost in a float64
		"9223372036.854775807 GB":                  math.MaxInt64,
		"-8192 PiB":                                math.MinInt64,
		"8191.5 PiB":                               math.MaxInt64 - 1<<49 + 1,
		"0.00000000000000001e17 B":                 1,
		"1" + strings.Repeat("0", 100) + "e-100 B": 1,
	} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || int64(b) != want {
			t.Errorf("%q is %d, error %v, want %d", text, int64(b), err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	const (
		bytes     = `expected a number and a unit for a byte count, e.g. "80 GiB"`
		unitless  = `a byte count needs a unit, e.g. "80 GiB"`
		bandwidth = ` for a bandwidth, e.g. "3.35 TB/s"`
		count     = ` for a byte count, e.g. "80 GiB"`
	)
	tests := []struct{ kind, text, message, hint string }{
		{"Bytes", "", `empty, expected a byte count, e.g. "80 GiB"`, ""},
		{"Bytes", " \t", `empty, expected a byte count, e.g. "80 GiB"`, ""},
		{"Bytes", "80", unitless, ""},
		{"Bytes", "0", unitless, ""},
		{"Bytes", "8e3", unitless, ""},
		{"BytesPerSecond", "80", `a bandwidth needs a unit, e.g. "3.35 TB/s"`, ""},
		{"Bytes", "GiB", bytes, ""},
		{"Bytes", "many GiB", bytes, ""},
		{"Bytes", "NaN B", bytes, ""},
		{"Watts", "NaN W", `expected a number and a unit for a power, e.g. "400 W"`, ""},
		{"Watts", "Inf W", `expected a number and a unit for a power, e.g. "400 W"`, ""},
		{"Watts", "-Inf W", `expected a number and a unit for a power, e.g. "400 W"`, ""},
		{"Watts", "1e400 W", "too large for a power", ""},
		{"Watts", "-1e400 W", "too large for a power", ""},
		{"Watts", "1.7976931348623159e308 W", "too large for a power", ""},
		{"BytesPerSecond", "1e307 KiB/s", "too large for a bandwidth", ""},
		{"Watts", "2e-324 W", "too small for a power", ""},
		{"Watts", "-2e-324 W", "too small for a power", ""},
		{"JoulesPerByte", "1e-324 J/bit", "", ""}, // 8e-324 rounds to a float64: accepted
		{"JoulesPerByte", "1e-325 J/bit", "too small for an energy per byte", ""},
		{"Bytes", ".5 GiB", bytes, "write 0 before the decimal point"},
		{"Bytes", "5. GiB", bytes, "write digits after the decimal point"},
		{"Bytes", "5.e3 B", bytes, "write digits after the decimal point"},
		{"Bytes", "+5 GiB", bytes, "leave out the +"},
		{"Bytes", "--5 GiB", bytes, ""},
		{"Bytes", "- 5 GiB", bytes, ""},
		{"Bytes", "007 B", bytes, "leave out the leading zeros"},
		{"Bytes", "00 B", bytes, "leave out the leading zeros"},
		{"Bytes", "-01.5 kB", bytes, "leave out the leading zeros"},
		{"Bytes", "1,024 B", bytes, "write digits without separators"},
		{"Bytes", "1_024 B", bytes, "write digits without separators"},
		{"Bytes", "1'024 B", bytes, "write digits without separators"},
		{"Bytes", "1 024 B", `unknown unit "024 B"` + count, "write digits without separators"},
		{"Bytes", "0x10 B", `unknown unit "x10 B"` + count, ""},
		{"Bytes", "1e B", `unknown unit "e B"` + count, ""},
		{"Bytes", "1e1000 B", "the exponent is out of range; " + bytes, ""},
		{"Bytes", "1e-0001 B", "the exponent is out of range; " + bytes, ""},
		{"Bytes", "1e99 B", "too large for a byte count, at most 9223372036854775807 B", ""},
		{"Bytes", "9223372036854775808 B", "too large for a byte count, at most 9223372036854775807 B", ""},
		{"Bytes", "8192 PiB", "too large for a byte count, at most 9223372036854775807 B", ""},
		{"Bytes", "-9223372036854775809 B", "too small for a byte count, at least -9223372036854775808 B", ""},
		{"Hertz", "1e10 GHz", "too large for a frequency, at most 9223372036854775807 Hz", ""},
		{"Bytes", "0.3 B", "not a whole number of B, the smallest unit of a byte count", ""},
		{"Bytes", "0.3 KiB", "not a whole number of B, the smallest unit of a byte count", ""},
		{"Bytes", "1e-30 PB", "not a whole number of B, the smallest unit of a byte count", ""},
		{"Time", "0.5 ps", "not a whole number of ps, the smallest unit of a time", ""},
		{"Cycles", "1.5 cycles", "not a whole number of cycles, the smallest unit of a number of cycles", ""},
		{"Bytes", strings.Repeat("1", 401), `401 bytes are too long` + count, ""},

		{"Bytes", "5 gib", `unknown unit "gib"` + count, `write "GiB", or divide by 8 first if these are bits`},
		{"Bytes", "5 gb", `unknown unit "gb"` + count, `write "GB", or divide by 8 first if these are bits`},
		{"Bytes", "5 GIB", `unknown unit "GIB"` + count, `write "GiB"`},
		{"Bytes", "5 mB", `unknown unit "mB"` + count, `write "MB"`},
		{"Bytes", "5 KB", `unknown unit "KB"` + count, `write "kB" for 1000 bytes or "KiB" for 1024`},
		{"Bytes", "5 bytes", `unknown unit "bytes"` + count, `write "B"`},
		{"Bytes", "5 GBytes", `unknown unit "GBytes"` + count, `write "GB"`},
		{"BytesPerSecond", "5 KB/s", `unknown unit "KB/s"` + bandwidth, `write "kB/s" for 1000 bytes or "KiB/s" for 1024`},
		{"BytesPerSecond", "5 KBps", `unknown unit "KBps"` + bandwidth, `write "kB/s" for 1000 bytes or "KiB/s" for 1024`},
		{"BytesPerSecond", "5 GBps", `unknown unit "GBps"` + bandwidth, `write "GB/s"`},
		{"BytesPerSecond", "5 GB/sec", `unknown unit "GB/sec"` + bandwidth, `write "GB/s"`},
		{"BytesPerSecond", "5 tb/s", `unknown unit "tb/s"` + bandwidth, `write "TB/s", or divide by 8 first if these are bits`},
		{"Hertz", "5 ghz", `unknown unit "ghz" for a frequency, e.g. "1.41 GHz"`, `write "GHz"`},
		{"Hertz", "5 Mhz", `unknown unit "Mhz" for a frequency, e.g. "1.41 GHz"`, `write "MHz"`},
		{"Time", "5 US", `unknown unit "US" for a time, e.g. "7.7 us"`, `write "us"`},
		{"Time", "5 seconds", `unknown unit "seconds" for a time, e.g. "7.7 us"`, `write "s"`},
		{"Time", "5 usec", `unknown unit "usec" for a time, e.g. "7.7 us"`, `write "us"`},
		{"Time", "5 hrs", `unknown unit "hrs" for a time, e.g. "7.7 us"`, `write "h"`},
		{"Time", "5 m", `unknown unit "m" for a time, e.g. "7.7 us"`, ""},
		{"Watts", "5 w", `unknown unit "w" for a power, e.g. "400 W"`, `write "W"`},
		{"Watts", "5 mw", `unknown unit "mw" for a power, e.g. "400 W"`, `write "mW" or "MW"`},
		{"Watts", "5 KW", `unknown unit "KW" for a power, e.g. "400 W"`, `write "kW"`},
		{"Joules", "5 MJoules", `unknown unit "MJoules" for an energy, e.g. "3 mJ"`, `write "mJ" or "MJ"`},
		{"Cycles", "5 clk", `unknown unit "clk" for a number of cycles, e.g. "1500 cycles"`, `write "cycles"`},
		{"BytesPerCycle", "64 B/clk", `unknown unit "B/clk" for a width in bytes per cycle, e.g. "64 B/cycle"`, `write "B/cycle"`},
		{"Ops", "5 Gops", `unknown unit "Gops" for a number of operations, e.g. "2 TFLOP"`, `write "Gop"`},
		{"Ops", "5 TFLOPS", `unknown unit "TFLOPS" for a number of operations, e.g. "2 TFLOP"`, `write "TFLOP"`},
		{"OpsPerSecond", "5 TFLOPS", `unknown unit "TFLOPS" for an operation rate, e.g. "312 TFLOP/s"`, `write "TFLOP/s"`},
		{"OpsPerSecond", "5 TOPS", `unknown unit "TOPS" for an operation rate, e.g. "312 TFLOP/s"`, `write "Top/s"`},
		{"OpsPerSecond", "5 GOPS", `unknown unit "GOPS" for an operation rate, e.g. "312 TFLOP/s"`, `write "Gop/s"`},
		{"OpsPerSecond", "5 Tflops/s", `unknown unit "Tflops/s" for an operation rate, e.g. "312 TFLOP/s"`, `write "TFLOP/s"`},
		{"SquareMillimetres", "5 mm^2", `unknown unit "mm^2" for an area, e.g. "826 mm2"`, `write "mm2"`},
		{"Dollars", "5 usd", `unknown unit "usd" for an amount of money, e.g. "12000 USD"`, `write "USD"`},
		{"Dollars", "5 dollars", `unknown unit "dollars" for an amount of money, e.g. "12000 USD"`, `write "USD"`},
		{"Dollars", "$5 USD", `unknown unit "$USD" for an amount of money, e.g. "12000 USD"`, ""},
		{"Dollars", "$", `expected a number and a unit for an amount of money, e.g. "12000 USD"`, ""},
		{"Dollars", "$$5", `expected a number and a unit for an amount of money, e.g. "12000 USD"`, ""},
		{"Dollars", "-$5", `expected a number and a unit for an amount of money, e.g. "12000 USD"`, ""},
		{"DollarsPerHour", "5 $/hour", `unknown unit "$/hour" for a price per hour, e.g. "4.10 USD/h"`, `write "$/h"`},

		{"Bytes", "5 Gb", `unknown unit "Gb"` + count, `that is bits; divide by 8 and write "GB"`},
		{"Bytes", "5 Gib", `unknown unit "Gib"` + count, `that is bits; divide by 8 and write "GiB"`},
		{"Bytes", "5 kbit", `unknown unit "kbit"` + count, `that is bits; divide by 8 and write "kB"`},
		{"Bytes", "5 bits", `unknown unit "bits"` + count, `that is bits; divide by 8 and write "B"`},
		{"Bytes", "5 Mibit", `unknown unit "Mibit"` + count, `that is bits; divide by 8 and write "MiB"`},
		{"BytesPerSecond", "5 Gbps", `unknown unit "Gbps"` + bandwidth, `that is bits; divide by 8 and write "GB/s"`},
		{"BytesPerSecond", "5 gbit/s", `unknown unit "gbit/s"` + bandwidth, `that is bits; divide by 8 and write "GB/s"`},
		{"BytesPerSecond", "5 Kibps", `unknown unit "Kibps"` + bandwidth, `that is bits; divide by 8 and write "KiB/s"`},
		{"BytesPerSecond", "5 mbps", `unknown unit "mbps"` + bandwidth, `write "MB/s", or divide by 8 first if these are bits`},
		{"JoulesPerByte", "5 pJ/b", `unknown unit "pJ/b" for an energy per byte, e.g. "48 pJ/B"`, `write "pJ/bit" for a bit or "pJ/B" for a byte`},
		{"JoulesPerByte", "5 pj/B", `unknown unit "pj/B" for an energy per byte, e.g. "48 pJ/B"`, `write "pJ/B"`},
		{"JoulesPerByte", "5 pJ/Bit", `unknown unit "pJ/Bit" for an energy per byte, e.g. "48 pJ/B"`, `write "pJ/bit"`},
		{"JoulesPerOp", "5 pJ/MAC", `unknown unit "pJ/MAC" for an energy per operation, e.g. "0.5 pJ/op"`, `a multiply-add is two operations: halve the number and write "pJ/op"`},
		{"JoulesPerByte", "5 pJ/MAC", `unknown unit "pJ/MAC" for an energy per byte, e.g. "48 pJ/B"`, ""},

		{"Bytes", "5 GB/s", `unknown unit "GB/s"` + count, `"GB/s" is for a bandwidth`},
		{"BytesPerSecond", "5 GiB", `unknown unit "GiB"` + bandwidth, `"GiB" is for a byte count`},
		{"Time", "5 W", `unknown unit "W" for a time, e.g. "7.7 us"`, `"W" is for a power`},
		{"OpsPerSecond", "5 TFLOP", `unknown unit "TFLOP" for an operation rate, e.g. "312 TFLOP/s"`, `"TFLOP" is for a number of operations`},
		{"Bytes", "5 parsecs", `unknown unit "parsecs"` + count, ""},
		{"Bytes", "5 a unit that goes on and on and on", `unknown unit "a unit that goes on…"` + count, ""},
		{"Bytes", "5 " + strings.Repeat("x", 300), `unknown unit "xxxxxxxxxxxxxxxxxxx…"` + count, ""},
		{"Bytes", "5 \xff", `unknown unit "\xff"` + count, ""},
	}
	for _, tt := range tests {
		k := kindNamed(t, tt.kind)
		const before = 42
		got, err := k.read(tt.text, before)
		if tt.message == "" {
			if err != nil {
				t.Errorf("%s: %q: %v", tt.kind, tt.text, err)
			}
			continue
		}
		var pe *ParseError
		if !errors.As(err, &pe) {
			t.Errorf("%s: %q is %s, error %v; want a ParseError", tt.kind, tt.text, k.show(got), err)
			continue
		}
		if pe.Text != tt.text || pe.Message != tt.message || pe.Hint != tt.hint {
			t.Errorf("%s: %q:\n got %q (%s)\nwant %q (%s)", tt.kind, tt.text, pe.Message, pe.Hint, tt.message, tt.hint)
		}
		if got != before {
			t.Errorf("%s: %q changed the value to %s", tt.kind, tt.text, k.show(got))
		}
	}
}

func TestParseErrorText(t *testing.T) {
	tests := []struct {
		text, want string
	}{
		{"80", `"80": a byte count needs a unit, e.g. "80 GiB"`},
		{"5 GIB", `"5 GIB": unknown unit "GIB" for a byte count, e.g. "80 GiB" (write "GiB")`},
		{"\"1\n", `"\"1\n": unknown`},
		// Long texts are cut, also in the middle of a letter.
		{strings.Repeat("é", 40), `"` + strings.Repeat("é", 30) + `…": expected a number`},
		{"x" + strings.Repeat("é", 40), `"x` + strings.Repeat("é", 29) + `…": expected a number`},
	}
	for _, tt := range tests {
		var b Bytes
		err := b.UnmarshalText([]byte(tt.text))
		want := strings.TrimSuffix(tt.want, "unknown")
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", tt.text, err, want)
		}
	}
}

func TestPrint(t *testing.T) {
	tests := []struct {
		value printer
		want  string
	}{
		{Bytes(0), "0 B"},
		{Bytes(1), "1 B"},
		{Bytes(1000), "1 kB"},
		{Bytes(1024), "1 KiB"},
		{Bytes(1536), "1536 B"}, // as long as "1.536 kB" is not: the shortest
		{Bytes(80 << 30), "80 GiB"},
		{Bytes(80e9), "80 GB"},
		{Bytes(500e6), "500 MB"}, // "0.5 GB" is as long; a number of at least 1 is nicer
		{Bytes(-4096), "-4 KiB"},
		{Bytes(math.MaxInt64), "9223372036854775807 B"},
		{Bytes(math.MinInt64), "-8192 PiB"}, // 2^63 = 2^13 · 2^50
		{Cycles(0), "0 cycles"},
		{Cycles(1), "1 cycle"},
		{Cycles(-1), "-1 cycle"},
		{Cycles(1000), "1000 cycles"},
		{Ops(1), "1 op"},
		{Ops(314_000_000), "314 Mop"},
		{Ops(9e18), "9 Eop"},
		{Hertz(1_410_000_000), "1.41 GHz"},
		{Hertz(32_768), "32768 Hz"},
		{Time(0), "0 ps"},
		{Time(7_700_000), "7.7 us"},
		{Time(1), "1 ps"},
		{Time(1_500), "1.5 ns"},
		{MaxTime, "4000 s"},
		{MaxTime + 1, "4000.000000000001 s"}, // as long in ps; the larger unit
		{90 * Second, "90 s"},
		{BytesPerSecond(3.35e12), "3.35 TB/s"},
		{BytesPerSecond(1 << 40), "1099511627776 B/s"},
		{BytesPerSecond(0.1), "0.1 B/s"},
		{BytesPerCycle(64), "64 B/cycle"},
		{BytesPerCycle(1.0 / 3), "0.3333333333333333 B/cycle"},
		{OpsPerSecond(312e12), "312 Top/s"},
		{Joules(0.003), "3 mJ"},
		{Joules(1.5e6), "1.5 MJ"},
		{JoulesPerByte(48e-12), "48 pJ/B"},
		{JoulesPerOp(5e-13), "500 fJ/op"},
		{Watts(400), "400 W"},
		{Watts(0.25), "250 mW"},
		{Watts(math.Copysign(0, -1)), "0 W"},
		{Watts(5e-324), "5e-324 W"},
		{Watts(-1.25e300), "-1.25e300 W"},
		{Dollars(12000), "12000 USD"},
		{Dollars(-0.5), "-0.5 USD"},
		{DollarsPerHour(4.1), "4.1 USD/h"},
		{SquareMillimetres(826), "826 mm2"},
		{Nanometres(7), "7 nm"},
		{Nanometres(1e30), "1e30 nm"},
	}
	for _, tt := range tests {
		text, err := tt.value.MarshalText()
		if got := tt.value.String(); got != tt.want || err != nil || string(text) != got {
			t.Errorf("%T: String %q, MarshalText %q, %v; want %q", tt.value, got, text, err, tt.want)
		}
	}
}

// A value that is no number can be printed, for messages, but not stored.
func TestNotFinite(t *testing.T) {
	for _, k := range kinds {
		if k.whole {
			continue
		}
		for text, v := range map[string]float64{"NaN": math.NaN(), "+Inf": math.Inf(1), "-Inf": math.Inf(-1)} {
			s, _, err := k.print(math.Float64bits(v))
			if want := text + " " + k.d.units[0].name; s != want {
				t.Errorf("%s: prints %q, want %q", k.name, s, want)
			}
			var pe *ParseError
			if !errors.As(err, &pe) || pe.Message != "not a finite number" {
				t.Errorf("%s: MarshalText of %s: %v", k.name, text, err)
			}
		}
	}
}

func drawBits(t *rapid.T, k kind) uint64 {
	if k.whole {
		v := rapid.Int64().Draw(t, "value")
		for range rapid.IntRange(0, 12).Draw(t, "zeros") { // round numbers have other forms
			if w, ok := Mul(v, 10); ok {
				v = w
			}
		}
		return uint64(v)
	}
	if rapid.Bool().Draw(t, "any float") {
		return math.Float64bits(rapid.Float64().Draw(t, "value"))
	}
	return math.Float64bits(float64(rapid.IntRange(-1000, 1000).Draw(t, "mantissa")) * math.Pow10(rapid.IntRange(-20, 20).Draw(t, "exponent")))
}

// What is printed reads back as the same value, and no other unit gives a shorter decimal.
func TestRoundTrip(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { roundTrip(t, k, drawBits(t, k)) })
		})
	}
}

func roundTrip(t rapid.TB, k kind, bits uint64) {
	t.Helper()
	s, text, err := k.print(bits)
	if err != nil || string(text) != s {
		t.Fatalf("%s: %s: String %q, MarshalText %q, %v", k.name, k.show(bits), s, text, err)
	}
	back, err := k.read(s, ^bits)
	if back == 0 && !k.whole && math.Float64frombits(bits) == 0 {
		bits = 0 // minus zero reads back as zero
	}
	if err != nil || back != bits {
		t.Fatalf("%s: %s prints %q, which reads as %s, %v", k.name, k.show(bits), s, k.show(back), err)
	}
	number, unit, ok := strings.Cut(s, " ")
	if !ok || k.d.byName[unit] == nil || len(number) > maxPlain+1 {
		t.Fatalf("%s: %s prints %q", k.name, k.show(bits), s)
	}
}

// The text is the shortest of all that a search over units finds.
func TestPrintIsShortest(t *testing.T) {
	for _, k := range kinds {
		if !k.whole {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				bits := drawBits(t, k)
				s, _, _ := k.print(bits)
				for _, u := range k.d.units {
					if !u.written {
						continue
					}
					f, _ := new(big.Rat).SetString(factors[k.name][u.name])
					q := new(big.Rat).Quo(new(big.Rat).SetInt64(int64(bits)), f)
					places, exact := q.FloatPrec()
					if !exact || !u.decimal && places > 0 || int64(bits) == 0 {
						continue // binary units are written as whole numbers only
					}
					if other := q.FloatString(places) + " " + u.name; len(other) < len(s) {
						t.Fatalf("%d prints %q, %q is shorter", int64(bits), s, other)
					}
				}
			})
		})
	}
}

// FuzzParse reads a text as every type: nothing panics, what is refused says why in few words, and
// what is accepted prints and reads back as the same value.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"80 GiB", "3.35 TB/s", "1.41 GHz", "7.7 us", "7.7 µs", "1500 cycles", "2EFLOP", "2E3 FLOP", "312 TFLOP/s", "64 B/cycle",
		"3 mJ", "6 pJ/bit", "0.5 pJ/op", "5 pJ/MAC", "400 W", "$5", "$4.10/h", "826 mm2", "826 mm²", "7 nm", "5 gbps", "5 KB",
		"", "80", "-0 W", "1e999 W", "1e-999 W", "007 B", "1,5 B", "+1 B", ".5 B", "5. B", "5e B", "NaN W", "\xff", "5 \xff\xfe",
		"9223372036854775807 B", "-9223372036854775808 B", "5e-324 W", "1" + strings.Repeat("0", 390) + " W",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, k := range kinds {
			const before = 42
			bits, err := k.read(text, before)
			if err == nil {
				roundTrip(t, k, bits)
				continue
			}
			var pe *ParseError
			if !errors.As(err, &pe) || pe.Text != text || pe.Message == "" {
				t.Fatalf("%s: %q: %#v", k.name, text, err)
			}
			if s := err.Error(); bits != before || len(s) > 700 || !utf8.ValidString(s) {
				t.Fatalf("%s: %q: value %s, error of %d bytes: %q", k.name, text, k.show(bits), len(s), s)
			}
		}
	})
}

// A hint that says what to write says something that is read, as the same type.
func TestHintsAreReadable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	hints := 0
	for _, k := range kinds {
		for _, u := range k.d.units {
			for _, name := range []string{strings.ToLower(u.name), strings.ToUpper(u.name), strings.ToUpper(u.name[:1]) + u.name[1:], u.name + "s",
				strings.Replace(u.name, "/s", "ps", 1), strings.Replace(u.name, "B", "b", 1), strings.Replace(u.name, "B", "bit", 1)} {
				n := fmt.Sprint(1 + r.IntN(9))
				_, err := k.read(n+" "+name, 0)
				var pe *ParseError
				if err == nil || !errors.As(err, &pe) || !strings.Contains(pe.Hint, "write ") {
					continue
				}
				hints++
				quoted := strings.Split(pe.Hint[strings.Index(pe.Hint, "write "):], `"`)
				for i := 1; i < len(quoted); i += 2 {
					if _, err := k.read(n+" "+quoted[i], 0); err != nil {
						t.Errorf("%s: %q: the hint %q leads to %v", k.name, name, pe.Hint, err)
					}
				}
			}
		}
	}
	if hints < 100 {
		t.Errorf("%d hints, expected many", hints)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, bb := range []struct{ kind, text string }{
		{"Bytes", "80 GiB"}, {"Time", "7.7 us"}, {"Hertz", "1410 MHz"}, {"BytesPerSecond", "3.35 TB/s"}, {"JoulesPerByte", "6 pJ/bit"},
	} {
		b.Run(bb.kind, func(b *testing.B) {
			k := kindNamed(b, bb.kind)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.read(bb.text, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPrint(b *testing.B) {
	b.Run("Bytes", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = Bytes(80 << 30).String()
		}
	})
	b.Run("BytesPerSecond", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = BytesPerSecond(3.35e12).String()
		}
	})
}
