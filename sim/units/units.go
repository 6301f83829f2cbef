package units

import "errors"

// ErrTooLarge says that a count or a time leaves its range: that of a 64-bit integer, or MaxTime.
var ErrTooLarge = errors.New("too large")

// Bytes is an amount of data. Text: B, kB, MB, GB, TB, PB (powers of 1000), KiB, MiB, GiB, TiB,
// PiB (powers of 1024).
type Bytes int64

// Cycles is a number of clock cycles. Text: "1500 cycles".
type Cycles int64

// Ops is a number of arithmetic operations; a multiply-add is two. Text: op or FLOP, with the
// prefixes k M G T P E.
type Ops int64

// Hertz is a frequency, whole hertz. Text: Hz, kHz, MHz, GHz.
type Hertz int64

// Time is simulated time in picoseconds. Text: ps, ns, us (µs), ms, s, min, h.
type Time int64

// Times in picoseconds.
const (
	Picosecond  Time = 1
	Nanosecond       = 1000 * Picosecond
	Microsecond      = 1000 * Nanosecond
	Millisecond      = 1000 * Microsecond
	Second           = 1000 * Millisecond
	// MaxTime is the longest simulated time, 4000 s: below it float64 seconds still tell
	// picoseconds apart (4·10¹⁵ < 2⁵³). Conversions that would exceed it give MaxTime+1.
	MaxTime = 4000 * Second
)

// BytesPerSecond is a bandwidth. Text: the units of Bytes with "/s".
type BytesPerSecond float64

// BytesPerCycle is the width of a port or bus in a clock domain. Text: "64 B/cycle".
type BytesPerCycle float64

// OpsPerSecond is an arithmetic rate. Text: op/s or FLOP/s, with the prefixes k M G T P E.
type OpsPerSecond float64

// Joules is an energy. Text: J, mJ, uJ, nJ, pJ, fJ, also kJ and MJ.
type Joules float64

// JoulesPerByte is energy per byte moved. Text: the units of Joules with "/B" or "/bit" (eight
// times as much per byte).
type JoulesPerByte float64

// JoulesPerOp is energy per operation. Text: the units of Joules with "/op" or "/FLOP".
type JoulesPerOp float64

// Watts is a power. Text: mW, W, kW, MW.
type Watts float64

// Volts is a voltage. Text: mV, V.
type Volts float64

// Dollars is an amount of money in US dollars. Text: USD or $, also in front ("$5").
type Dollars float64

// DollarsPerHour is a price for an hour of use. Text: USD/h or $/h.
type DollarsPerHour float64

// DollarsPerWatt is a price for the capacity to draw one watt. Text: USD/W or $/W.
type DollarsPerWatt float64

// DollarsPerKilowattHour is a price of electricity. Text: USD/kWh or $/kWh.
type DollarsPerKilowattHour float64

// DollarsPerGibibyte is a price of memory, of which 2³⁰ bytes are sold as "1 GB". Text: USD/GiB or $/GiB.
type DollarsPerGibibyte float64

// SquareMillimetres is an area of silicon. Text: mm2, um2.
type SquareMillimetres float64

// Nanometres is a length on silicon. Text: nm.
type Nanometres float64

// TransistorDensity is how many transistors a square millimetre has. Text: Tr/mm2, MTr/mm2.
type TransistorDensity float64

// DefectDensity is how many defects a square millimetre has. Text: /mm2 or /cm2 (a hundredth of it).
type DefectDensity float64

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v Bytes) String() string { return formatInt(bytesText, int64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v Cycles) String() string { return formatInt(cyclesText, int64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v Ops) String() string { return formatInt(opsText, int64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v Hertz) String() string { return formatInt(hertzText, int64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v Time) String() string { return formatInt(timeText, int64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v BytesPerSecond) String() string { return formatFloat(bytesPerSecondText, float64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v BytesPerCycle) String() string { return formatFloat(bytesPerCycleText, float64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v OpsPerSecond) String() string { return formatFloat(opsPerSecondText, float64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v Joules) String() string { return formatFloat(joulesText, float64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v JoulesPerByte) String() string { return formatFloat(joulesPerByteText, float64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v JoulesPerOp) String() string { return formatFloat(joulesPerOpText, float64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v Watts) String() string { return formatFloat(wattsText, float64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v Volts) String() string { return formatFloat(voltsText, float64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v Dollars) String() string { return formatFloat(dollarsText, float64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v DollarsPerHour) String() string { return formatFloat(dollarsPerHourText, float64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v SquareMillimetres) String() string { return formatFloat(squareMillimetresText, float64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v Nanometres) String() string { return formatFloat(nanometresText, float64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v DollarsPerWatt) String() string { return formatFloat(dollarsPerWattText, float64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v DollarsPerKilowattHour) String() string {
	return formatFloat(dollarsPerKilowattHourText, float64(v))
}

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v DollarsPerGibibyte) String() string { return formatFloat(dollarsPerGibibyteText, float64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v TransistorDensity) String() string { return formatFloat(transistorDensityText, float64(v)) }

// String returns the shortest text that UnmarshalText reads back as the same value.
func (v DefectDensity) String() string { return formatFloat(defectDensityText, float64(v)) }

// MarshalText returns the text of String.
func (v Bytes) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// MarshalText returns the text of String.
func (v Cycles) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// MarshalText returns the text of String.
func (v Ops) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// MarshalText returns the text of String.
func (v Hertz) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// MarshalText returns the text of String.
func (v Time) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v BytesPerSecond) MarshalText() ([]byte, error) { return marshal(bytesPerSecondText, float64(v)) }

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v BytesPerCycle) MarshalText() ([]byte, error) { return marshal(bytesPerCycleText, float64(v)) }

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v OpsPerSecond) MarshalText() ([]byte, error) { return marshal(opsPerSecondText, float64(v)) }

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v Joules) MarshalText() ([]byte, error) { return marshal(joulesText, float64(v)) }

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v JoulesPerByte) MarshalText() ([]byte, error) { return marshal(joulesPerByteText, float64(v)) }

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v JoulesPerOp) MarshalText() ([]byte, error) { return marshal(joulesPerOpText, float64(v)) }

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v Watts) MarshalText() ([]byte, error) { return marshal(wattsText, float64(v)) }

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v Volts) MarshalText() ([]byte, error) { return marshal(voltsText, float64(v)) }

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v Dollars) MarshalText() ([]byte, error) { return marshal(dollarsText, float64(v)) }

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v DollarsPerHour) MarshalText() ([]byte, error) { return marshal(dollarsPerHourText, float64(v)) }

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v SquareMillimetres) MarshalText() ([]byte, error) {
	return marshal(squareMillimetresText, float64(v))
}

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v Nanometres) MarshalText() ([]byte, error) { return marshal(nanometresText, float64(v)) }

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v DollarsPerWatt) MarshalText() ([]byte, error) {
	return marshal(dollarsPerWattText, float64(v))
}

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v DollarsPerKilowattHour) MarshalText() ([]byte, error) {
	return marshal(dollarsPerKilowattHourText, float64(v))
}

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v DollarsPerGibibyte) MarshalText() ([]byte, error) {
	return marshal(dollarsPerGibibyteText, float64(v))
}

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v TransistorDensity) MarshalText() ([]byte, error) {
	return marshal(transistorDensityText, float64(v))
}

// MarshalText returns the text of String, and an error for NaN and infinities.
func (v DefectDensity) MarshalText() ([]byte, error) {
	return marshal(defectDensityText, float64(v))
}

// UnmarshalText reads an amount of data, e.g. "80 GiB". Errors are of type *ParseError.
func (v *Bytes) UnmarshalText(text []byte) error { return parseInt(bytesText, text, v) }

// UnmarshalText reads a number of cycles, e.g. "1500 cycles". Errors are of type *ParseError.
func (v *Cycles) UnmarshalText(text []byte) error { return parseInt(cyclesText, text, v) }

// UnmarshalText reads a number of operations, e.g. "2 TFLOP". Errors are of type *ParseError.
func (v *Ops) UnmarshalText(text []byte) error { return parseInt(opsText, text, v) }

// UnmarshalText reads a frequency, e.g. "1.41 GHz". Errors are of type *ParseError.
func (v *Hertz) UnmarshalText(text []byte) error { return parseInt(hertzText, text, v) }

// UnmarshalText reads a time, e.g. "7.7 us". Errors are of type *ParseError.
func (v *Time) UnmarshalText(text []byte) error { return parseInt(timeText, text, v) }

// UnmarshalText reads a bandwidth, e.g. "3.35 TB/s". Errors are of type *ParseError.
func (v *BytesPerSecond) UnmarshalText(text []byte) error {
	return parseFloat(bytesPerSecondText, text, v)
}

// UnmarshalText reads a width, e.g. "64 B/cycle". Errors are of type *ParseError.
func (v *BytesPerCycle) UnmarshalText(text []byte) error {
	return parseFloat(bytesPerCycleText, text, v)
}

// UnmarshalText reads an arithmetic rate, e.g. "312 TFLOP/s". Errors are of type *ParseError.
func (v *OpsPerSecond) UnmarshalText(text []byte) error { return parseFloat(opsPerSecondText, text, v) }

// UnmarshalText reads an energy, e.g. "3 mJ". Errors are of type *ParseError.
func (v *Joules) UnmarshalText(text []byte) error { return parseFloat(joulesText, text, v) }

// UnmarshalText reads an energy per byte, e.g. "48 pJ/B" or "6 pJ/bit". Errors are of type
// *ParseError.
func (v *JoulesPerByte) UnmarshalText(text []byte) error {
	return parseFloat(joulesPerByteText, text, v)
}

// UnmarshalText reads an energy per operation, e.g. "0.5 pJ/op". Errors are of type *ParseError.
func (v *JoulesPerOp) UnmarshalText(text []byte) error { return parseFloat(joulesPerOpText, text, v) }

// UnmarshalText reads a power, e.g. "400 W". Errors are of type *ParseError.
func (v *Watts) UnmarshalText(text []byte) error { return parseFloat(wattsText, text, v) }

// UnmarshalText reads a power, e.g. "400 W". Errors are of type *ParseError.
func (v *Volts) UnmarshalText(text []byte) error { return parseFloat(voltsText, text, v) }

// UnmarshalText reads an amount of money, e.g. "12000 USD". Errors are of type *ParseError.
func (v *Dollars) UnmarshalText(text []byte) error { return parseFloat(dollarsText, text, v) }

// UnmarshalText reads a price per hour, e.g. "4.10 USD/h". Errors are of type *ParseError.
func (v *DollarsPerHour) UnmarshalText(text []byte) error {
	return parseFloat(dollarsPerHourText, text, v)
}

// UnmarshalText reads an area, e.g. "826 mm2". Errors are of type *ParseError.
func (v *SquareMillimetres) UnmarshalText(text []byte) error {
	return parseFloat(squareMillimetresText, text, v)
}

// UnmarshalText reads a length, e.g. "7 nm". Errors are of type *ParseError.
func (v *Nanometres) UnmarshalText(text []byte) error { return parseFloat(nanometresText, text, v) }

// UnmarshalText reads a price per watt, e.g. "11 USD/W". Errors are of type *ParseError.
func (v *DollarsPerWatt) UnmarshalText(text []byte) error {
	return parseFloat(dollarsPerWattText, text, v)
}

// UnmarshalText reads a price of electricity, e.g. "0.07 USD/kWh". Errors are of type *ParseError.
func (v *DollarsPerKilowattHour) UnmarshalText(text []byte) error {
	return parseFloat(dollarsPerKilowattHourText, text, v)
}

// UnmarshalText reads a price of memory, e.g. "7 USD/GiB". Errors are of type *ParseError.
func (v *DollarsPerGibibyte) UnmarshalText(text []byte) error {
	return parseFloat(dollarsPerGibibyteText, text, v)
}

// UnmarshalText reads a density of transistors, e.g. "96.3 MTr/mm2". Errors are of type *ParseError.
func (v *TransistorDensity) UnmarshalText(text []byte) error {
	return parseFloat(transistorDensityText, text, v)
}

// UnmarshalText reads a density of defects, e.g. "0.15 /cm2". Errors are of type *ParseError.
func (v *DefectDensity) UnmarshalText(text []byte) error {
	return parseFloat(defectDensityText, text, v)
}
