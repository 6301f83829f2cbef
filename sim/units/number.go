package units

import (
	"fmt"
	"strconv"
)

// Number returns the number of a quantity in its base unit, of a whole number or of a plain one; whole says that there is nothing
// between two neighbours. It is not ok for anything else.
func Number(v any) (n float64, whole, ok bool) {
	switch v := v.(type) {
	case Hertz:
		return float64(v), true, true
	case Bytes:
		return float64(v), true, true
	case Time:
		return float64(v), true, true
	case Cycles:
		return float64(v), true, true
	case Ops:
		return float64(v), true, true
	case int64:
		return float64(v), true, true
	case BytesPerSecond:
		return float64(v), false, true
	case BytesPerCycle:
		return float64(v), false, true
	case OpsPerSecond:
		return float64(v), false, true
	case Watts:
		return float64(v), false, true
	case Volts:
		return float64(v), false, true
	case Joules:
		return float64(v), false, true
	case Dollars:
		return float64(v), false, true
	case JoulesPerByte:
		return float64(v), false, true
	case JoulesPerOp:
		return float64(v), false, true
	case DollarsPerHour:
		return float64(v), false, true
	case SquareMillimetres:
		return float64(v), false, true
	case Nanometres:
		return float64(v), false, true
	case float64:
		return v, false, true
	}
	return 0, false, false
}

// Like writes a number with the unit of a quantity that Number knows: Like(Bytes(0), 2048) is "2 KiB".
func Like(v any, n float64) string {
	switch v.(type) {
	case Hertz:
		return fmt.Sprint(Hertz(n))
	case Bytes:
		return fmt.Sprint(Bytes(n))
	case Time:
		return fmt.Sprint(Time(n))
	case Cycles:
		return fmt.Sprint(Cycles(n))
	case Ops:
		return fmt.Sprint(Ops(n))
	case BytesPerSecond:
		return fmt.Sprint(BytesPerSecond(n))
	case BytesPerCycle:
		return fmt.Sprint(BytesPerCycle(n))
	case OpsPerSecond:
		return fmt.Sprint(OpsPerSecond(n))
	case Watts:
		return fmt.Sprint(Watts(n))
	case Volts:
		return fmt.Sprint(Volts(n))
	case Joules:
		return fmt.Sprint(Joules(n))
	case Dollars:
		return fmt.Sprint(Dollars(n))
	case JoulesPerByte:
		return fmt.Sprint(JoulesPerByte(n))
	case JoulesPerOp:
		return fmt.Sprint(JoulesPerOp(n))
	case DollarsPerHour:
		return fmt.Sprint(DollarsPerHour(n))
	case SquareMillimetres:
		return fmt.Sprint(SquareMillimetres(n))
	case Nanometres:
		return fmt.Sprint(Nanometres(n))
	case float64:
		return strconv.FormatFloat(n, 'g', -1, 64)
	}
	return strconv.FormatInt(int64(n), 10)
}
