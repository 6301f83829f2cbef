package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// digits prints a number with four significant digits, never in exponent form below a million.
func digits(v float64) string {
	a := math.Abs(v)
	switch {
	case v == 0:
		return "0"
	case a >= 1e6 || a < 1e-4:
		return fmt.Sprintf("%.4g", v)
	}
	_, exp, _ := strings.Cut(fmt.Sprintf("%.3e", v), "e") // rounded, so that 9.9999 has that of 10
	e, _ := strconv.Atoi(exp)
	text := fmt.Sprintf("%.*f", max(0, 3-e), v)
	if e < 0 {
		text = strings.TrimRight(text, "0")
	}
	return text
}

// scaled prints a number with the prefix that leaves one to three digits before the point.
func scaled(v, step float64, names ...string) string {
	i := 0
	for i < len(names)-1 && math.Abs(v) >= step*0.99995 {
		v /= step
		i++
	}
	return digits(v) + " " + names[i]
}

// Seconds prints a time: "1.852 s", "13.31 ms", "4.2 µs".
func Seconds(s float64) string {
	switch a := math.Abs(s); {
	case s == 0:
		return "0 s"
	case a < 0.99995e-6:
		return digits(s*1e9) + " ns"
	case a < 0.99995e-3:
		return digits(s*1e6) + " µs"
	case a < 0.99995:
		return digits(s*1e3) + " ms"
	}
	return digits(s) + " s"
}

// Size prints how many bytes fit or are held, in binary units.
func Size(n int64) string {
	if n < 1024 && n > -1024 {
		return fmt.Sprintf("%d B", n)
	}
	return scaled(float64(n)/1024, 1024, "KiB", "MiB", "GiB", "TiB", "PiB")
}

// Traffic prints how many bytes moved, in decimal units.
func Traffic(n int64) string {
	if n < 1000 && n > -1000 {
		return fmt.Sprintf("%d B", n)
	}
	return scaled(float64(n)/1000, 1000, "kB", "MB", "GB", "TB", "PB", "EB")
}

// Rate prints bytes per second.
func Rate(bytesPerSecond float64) string {
	return scaled(bytesPerSecond, 1000, "B/s", "kB/s", "MB/s", "GB/s", "TB/s", "PB/s")
}

// Count prints a number of things with a short prefix: "6.738 G".
func Count(n int64) string {
	if n < 10000 && n > -10000 {
		return fmt.Sprint(n)
	}
	return scaled(float64(n)/1000, 1000, "k", "M", "G", "T", "P", "E")
}

// Flops prints operations per second.
func Flops(perSecond float64) string {
	return scaled(perSecond, 1000, "OP/s", "kOP/s", "MOP/s", "GOP/s", "TOP/s", "POP/s", "EOP/s")
}

// Tokens prints tokens per second, with a prefix from a million on.
func Tokens(perSecond float64) string {
	if perSecond < 999950 {
		return digits(perSecond) + " tok/s"
	}
	return scaled(perSecond/1e6, 1000, "M tok/s", "G tok/s", "T tok/s")
}

// Energy prints joules.
func Energy(j float64) string {
	switch a := math.Abs(j); {
	case j == 0:
		return "0 J"
	case a < 0.99995e-6:
		return digits(j*1e9) + " nJ"
	case a < 0.99995e-3:
		return digits(j*1e6) + " µJ"
	case a < 0.99995:
		return digits(j*1e3) + " mJ"
	}
	return scaled(j, 1000, "J", "kJ", "MJ", "GJ")
}

// Power prints watts.
func Power(w float64) string {
	if w != 0 && math.Abs(w) < 0.99995 {
		return digits(w*1e3) + " mW"
	}
	return scaled(w, 1000, "W", "kW", "MW")
}

// Percent prints a share of one.
func Percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// Money prints US dollars.
func Money(usd float64) string {
	if usd != 0 && math.Abs(usd) < 0.01 {
		return digits(usd) + " USD"
	}
	return fmt.Sprintf("%.2f USD", usd)
}

// tenths splits 100 % into tenths of a percent by the sizes of parts, so that what is printed sums to exactly 100.0:
// each part is rounded down, and the tenths that are left over go to the largest remainders.
func tenths(parts []float64) []int {
	var total float64
	for _, p := range parts {
		total += p
	}
	out := make([]int, len(parts))
	if total <= 0 {
		return out
	}
	left := 1000
	rest := make([]float64, len(parts))
	for i, p := range parts {
		x := 1000 * p / total
		out[i] = int(x)
		rest[i] = x - math.Floor(x)
		left -= out[i]
	}
	for ; left > 0; left-- {
		best := 0
		for i := range rest {
			if rest[i] > rest[best] {
				best = i
			}
		}
		out[best]++
		rest[best] = -1
	}
	return out
}

// Number prints a number with four significant digits, without a unit.
func Number(v float64) string { return digits(v) }

// Frequency prints hertz.
func Frequency(hertz float64) string { return scaled(hertz, 1000, "Hz", "kHz", "MHz", "GHz") }
