package units

import "strconv"

// Short returns the time with four significant digits, for people: "1.544 us". Text that is read
// back comes from String.
func (t Time) Short() string {
	v, unit := float64(t), "ps"
	for _, u := range []struct {
		ps   Time
		name string
	}{{Second, "s"}, {Millisecond, "ms"}, {Microsecond, "us"}, {Nanosecond, "ns"}} {
		if t >= u.ps {
			v, unit = float64(t)/float64(u.ps), u.name
			break
		}
	}
	return strconv.FormatFloat(v, 'g', 4, 64) + " " + unit
}
