package validation

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestPage: a page needs nothing from elsewhere, has a point a row, and takes names for what they are.
func TestPage(t *testing.T) {
	suite := Suite{Name: "made", Title: "rows <made> up"}
	r := &Result{Suite: suite, Left: []Left{{"a & b", 2}}}
	for i, device := range []string{"one", "two & \"more\""} {
		for k := range 5 {
			r.Rows = append(r.Rows, Row{Suite: "made", Case: &Case{File: "f.csv", Line: k + 2, Device: device, Name: "<b>", Columns: nil}, Figure: Figure{Class: "gemm", Measured: math.Pow(10, float64(k)), Unit: "us"},
				Predicted: 1.1 * math.Pow(10, float64(k)) * float64(i+1)})
		}
	}
	r.Failed = []Failure{{r.Rows[0].Case, "why <not>"}}
	var b strings.Builder
	if err := WritePage(&b, "event", []string{"class", "device"}, []*Result{r}, 2); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, no := range []string{"http", "<script", "src=", "href=", "<b></", "<made>", "<not>", "NaN", "Inf", "two & "} {
		if strings.Contains(page, no) {
			t.Errorf("the page has %q", no)
		}
	}
	for text, n := range map[string]int{"<circle": 10, "<svg": 1, "</svg>": 1, "&lt;b&gt;": 4, "two &amp; &#34;more&#34;": 4, "rows &lt;made&gt; up": 1, "f.csv:2 has no answer": 1} {
		if got := strings.Count(page, text); got != n {
			t.Errorf("%q is there %d times, not %d", text, got, n)
		}
	}
}

// TestAxis: marks of an axis are within it, few, and rising, whatever it spans.
func TestAxis(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := axis{low: rapid.Float64Range(-6, 6).Draw(t, "low")}
		a.high = a.low + rapid.Float64Range(0.04, 12).Draw(t, "span")
		list := a.ticks()
		if len(list) < 2 || len(list) > 14 {
			t.Fatalf("%d marks: %g", len(list), list)
		}
		for i, v := range list {
			if s := a.share(v); s < -1e-9 || s > 1+1e-9 || i > 0 && v <= list[i-1] {
				t.Fatalf("marks %g", list)
			}
		}
	})
}
