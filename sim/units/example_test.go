package units_test

import (
	"fmt"

	"github.com/stratasim/strata/sim/units"
)

func Example() {
	var capacity units.Bytes
	var bandwidth units.BytesPerSecond
	var clock units.Hertz
	for text, v := range map[string]interface{ UnmarshalText([]byte) error }{
		"80 GiB": &capacity, "3.35 TB/s": &bandwidth, "1755 MHz": &clock,
	} {
		if err := v.UnmarshalText([]byte(text)); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("the whole memory once:", capacity.Over(bandwidth))
	fmt.Println("cycle 1755000000:", clock.At(1_755_000_000))
	fmt.Println("two equal parts, p = 4:", units.PNorm(4, units.Microsecond, units.Microsecond))
	fmt.Println(capacity.UnmarshalText([]byte("80")))
	// Output:
	// the whole memory once: 25641595798 ps
	// cycle 1755000000: 1 s
	// two equal parts, p = 4: 1189208 ps
	// "80": a byte count needs a unit, e.g. "80 GiB"
}
