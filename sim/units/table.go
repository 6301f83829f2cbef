package units

// dimension is all that text needs to know about one type of quantity. The types differ in
// nothing else: reading and writing are functions of this table.
type dimension struct {
	what    string // with its article, for messages: "a byte count"
	example string
	units   []unit // the base unit (factor 1) first
	byName  map[string]*unit
}

// unit is one unit of a dimension: num/den base units.
type unit struct {
	name     string
	num, den int64
	// power is the k of 10ᵏ = num/den; only valid where decimal is set.
	power   int
	decimal bool
	// written units are candidates for output; the others are only read.
	written bool
}

// all lists the dimensions in a fixed order, for "that is a unit of ..." messages.
var all []*dimension

// The dimensions of the exported types.
var (
	bytesText = define("a byte count", "80 GiB",
		decimals("", "B", 0, "", "k", "M", "G", "T", "P"), binaries("B", true))
	cyclesText = define("a number of cycles", "1500 cycles",
		decimals("", "cycles", 0, ""), alias(decimals("", "cycle", 0, "")))
	opsText = define("a number of operations", "2 TFLOP",
		decimals("", "op", 0, "", "k", "M", "G", "T", "P", "E"), alias(decimals("", "FLOP", 0, "", "k", "M", "G", "T", "P", "E")))
	hertzText = define("a frequency", "1.41 GHz", decimals("", "Hz", 0, "", "k", "M", "G"))
	timeText  = define("a time", "7.7 us",
		decimals("", "s", 12, "p", "n", "u", "m", ""), alias(decimals("", "s", 12, "µ", "μ")),
		[]unit{{name: "min", num: 60e12, den: 1}, {name: "h", num: 3600e12, den: 1}})
	bytesPerSecondText = define("a bandwidth", "3.35 TB/s",
		decimals("", "B/s", 0, "", "k", "M", "G", "T", "P"), binaries("B/s", false))
	bytesPerCycleText = define("a width in bytes per cycle", "64 B/cycle", decimals("", "B/cycle", 0, ""))
	opsPerSecondText  = define("an operation rate", "312 TFLOP/s",
		decimals("", "op/s", 0, "", "k", "M", "G", "T", "P", "E"), alias(decimals("", "FLOP/s", 0, "", "k", "M", "G", "T", "P", "E")))
	joulesText        = define("an energy", "3 mJ", energies("", 1, true))
	joulesPerByteText = define("an energy per byte", "48 pJ/B", energies("/B", 1, true), energies("/bit", 8, false))
	joulesPerOpText   = define("an energy per operation", "0.5 pJ/op",
		energies("/op", 1, true), energies("/FLOP", 1, false))
	wattsText                  = define("a power", "400 W", decimals("", "W", 0, "", "m", "k", "M"))
	voltsText                  = define("a voltage", "0.75 V", decimals("", "V", 0, "", "m"))
	dollarsText                = define("an amount of money", "12000 USD", decimals("", "USD", 0, ""), alias(decimals("", "$", 0, "")))
	dollarsPerHourText         = define("a price per hour", "4.10 USD/h", decimals("", "USD/h", 0, ""), alias(decimals("", "$/h", 0, "")))
	dollarsPerWattText         = define("a price per watt", "11 USD/W", decimals("", "USD/W", 0, ""), alias(decimals("", "$/W", 0, "")))
	dollarsPerKilowattHourText = define("a price of electricity", "0.07 USD/kWh", decimals("", "USD/kWh", 0, ""), alias(decimals("", "$/kWh", 0, "")))
	dollarsPerGibibyteText     = define("a price of memory", "7 USD/GiB", decimals("", "USD/GiB", 0, ""), alias(decimals("", "$/GiB", 0, "")))
	squareMillimetresText      = define("an area", "826 mm2", decimals("", "mm2", 0, ""), alias(decimals("", "mm²", 0, "")),
		[]unit{{name: "um2", num: 1, den: 1e6}})
	transistorDensityText = define("a density of transistors", "96.3 MTr/mm2", decimals("", "Tr/mm2", 0, "", "M"))
	defectDensityText     = define("a density of defects", "0.15 /cm2", decimals("", "/mm2", 0, ""), []unit{{name: "/cm2", num: 1, den: 100}})
	nanometresText        = define("a length on silicon", "7 nm", decimals("", "nm", 0, ""))
)

func define(what, example string, lists ...[]unit) *dimension {
	d := &dimension{what: what, example: example}
	for _, l := range lists {
		d.units = append(d.units, l...)
	}
	d.byName = make(map[string]*unit, len(d.units))
	for i := range d.units {
		d.byName[d.units[i].name] = &d.units[i]
	}
	all = append(all, d)
	return d
}

// prefixPower maps the SI prefixes to powers of ten.
var prefixPower = map[string]int{"f": -15, "p": -12, "n": -9, "u": -6, "µ": -6, "μ": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}

// decimals returns lead+prefix+name for each prefix; the one without a prefix is 10^shift base
// units.
func decimals(lead, name string, shift int, prefixes ...string) []unit {
	var list []unit
	for _, p := range prefixes {
		u := unit{name: lead + p + name, num: 1, den: 1, power: shift + prefixPower[p], decimal: true, written: true}
		for k := u.power; k > 0; k-- {
			u.num *= 10
		}
		for k := u.power; k < 0; k++ {
			u.den *= 10
		}
		list = append(list, u)
	}
	return list
}

// energies returns joules with SI prefixes per something, times a factor.
func energies(per string, factor int64, written bool) []unit {
	list := decimals("", "J"+per, 0, "", "m", "u", "n", "p", "f")
	if per == "" {
		list = append(list, decimals("", "J", 0, "k", "M")...)
	}
	list = append(list, alias(decimals("", "J"+per, 0, "µ", "μ"))...)
	for i := range list {
		list[i].num *= factor
		list[i].decimal = factor == 1
		list[i].written = list[i].written && written
	}
	return list
}

// binaries returns the units with binary prefixes, powers of 1024.
func binaries(name string, written bool) []unit {
	var list []unit
	for i, p := range []string{"Ki", "Mi", "Gi", "Ti", "Pi"} {
		list = append(list, unit{name: p + name, num: 1 << (10 * (i + 1)), den: 1, written: written})
	}
	return list
}

// alias marks units as read but never written.
func alias(list []unit) []unit {
	for i := range list {
		list[i].written = false
	}
	return list
}
