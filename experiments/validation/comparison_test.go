package validation

import (
	"math"
	"strings"
	"testing"
)

func TestSummarise(t *testing.T) {
	c := Comparison{Name: "hand-made"}
	c.Add("low", 90, 100)
	c.Add("high", 130, 100)
	c.Add("right", 100, 100)
	s := c.Summarise()
	near := func(got, want float64) bool { return math.Abs(got-want) < 1e-12 }
	if s.N != 3 || !near(s.Mean, 0.4/3) || !near(s.Median, 0.1) || !near(s.P90, 0.3) || !near(s.Bias, 0.2/3) || s.Worst.Name != "high" {
		t.Errorf("%+v", s)
	}
	if (&Comparison{}).Summarise().N != 0 {
		t.Error("an empty comparison has rows")
	}
	if got := Table([]*Comparison{&c}); !strings.Contains(got, "hand-made     3 rows  mean  13.3 %") {
		t.Errorf("table:\n%s", got)
	}
}
