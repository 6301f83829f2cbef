package units

import (
	"fmt"
	"testing"
)

// A quantity written by Like has the number that Number reads, and the text of its own type.
func TestNumberAndLike(t *testing.T) {
	for _, v := range []any{Hertz(3), Bytes(2048), Time(4000), Cycles(5), Ops(6), int64(7), BytesPerSecond(8.5), BytesPerCycle(9.5), OpsPerSecond(10), Watts(11.5), Volts(0.5),
		Joules(2.5), JoulesPerByte(1e-12), JoulesPerOp(2e-12), Dollars(3.5), DollarsPerHour(4.5), SquareMillimetres(826), Nanometres(7), 1.25} {
		n, _, ok := Number(v)
		if got := Like(v, n); !ok || got != fmt.Sprint(v) {
			t.Errorf("%T: number %v (%t), written %q, want %q", v, n, ok, got, fmt.Sprint(v))
		}
	}
	for _, v := range []any{"text", true, nil, 3} {
		if _, _, ok := Number(v); ok {
			t.Errorf("%T %v is a number", v, v)
		}
	}
}
