package portable

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// near compares to a few units in the last place.
func near(a, b, ulps float64) bool {
	return math.Abs(a-b) <= ulps*math.Abs(math.Nextafter(b, math.Inf(1))-b)
}

func TestLnAndExp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(1e-300, 1e300).Draw(t, "x")
		if got, want := Ln(x), math.Log(x); !near(got, want, 2) && math.Abs(got-want) > 1e-16 {
			t.Errorf("Ln(%g) = %g, math says %g", x, got, want)
		}
		y := rapid.Float64Range(-700, 700).Draw(t, "y")
		if got, want := Exp(y), math.Exp(y); !near(got, want, 2) {
			t.Errorf("Exp(%g) = %g, math says %g", y, got, want)
		}
	})
	if Ln(1) != 0 || Exp(0) != 1 {
		t.Error(Ln(1), Exp(0))
	}
}

// Figures from tables: Abramowitz and Stegun, table 26.5, and Φ⁻¹ inverted by math.Erfc.
func TestNormalQuantile(t *testing.T) {
	if got := NormalQuantile(0.95); math.Abs(got-1.6448536269514722) > 1e-15 {
		t.Error(got)
	}
	if got := NormalQuantile(0.5); got != 0 {
		t.Error(got)
	}
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Float64Range(1e-12, 1-1e-12).Draw(t, "p")
		x := NormalQuantile(p)
		if back := math.Erfc(-x/math.Sqrt2) / 2; math.Abs(back-p) > 1e-13*p+1e-16 {
			t.Errorf("the quantile of %g is %g, below which there is %g", p, x, back)
		}
		if y := NormalQuantile(math.Nextafter(p, 2)); y < x-1e-15*math.Abs(x) {
			t.Errorf("the quantile falls at %g", p)
		}
	})
}
