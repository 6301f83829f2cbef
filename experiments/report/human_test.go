package report

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/experiments/store"
)

func TestHuman(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{Seconds(0), "0 s"}, {Seconds(1.8524), "1.852 s"}, {Seconds(0.0133149), "13.31 ms"}, {Seconds(4.2e-6), "4.200 µs"}, {Seconds(3e-9), "3.000 ns"},
		{Seconds(3600), "3600 s"}, {Seconds(0.99999), "1.000 s"},
		{Size(0), "0 B"}, {Size(1023), "1023 B"}, {Size(80 << 30), "80.00 GiB"}, {Size(164 << 10), "164.0 KiB"}, {Size(math.MaxInt64), "8192 PiB"},
		{Traffic(999), "999 B"}, {Traffic(2_039_000), "2.039 MB"}, {Rate(2039e9), "2.039 TB/s"},
		{Count(9999), "9999"}, {Count(6_738_415_616), "6.738 G"}, {Flops(312e12), "312.0 TOP/s"},
		{Energy(0.0123), "12.30 mJ"}, {Energy(412.5), "412.5 J"}, {Energy(5e3), "5.000 kJ"}, {Power(0), "0 W"}, {Power(400), "400.0 W"}, {Power(0.25), "250.0 mW"},
		{Tokens(4530123), "4.530 M tok/s"}, {Tokens(112.84), "112.8 tok/s"}, {Tokens(999949), "999949 tok/s"}, {Tokens(999960), "1.000 M tok/s"},
		{minus("launch-bound: −10 % time → -3.0 % latency (-1 s)"), "launch-bound: −10 % time → −3.0 % latency (−1 s)"}, {Changes(0) + Changes(1) + Changes(2), " + 1 change + 2 changes"},
		{Percent(0.12345), "12.3 %"}, {Money(3.5), "3.50 USD"}, {Money(0.00042), "0.00042 USD"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

// Shares that are printed sum to 100.0 %, whatever the parts, and none is off by a tenth or more.
func TestTenths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.Float64Range(0, 1e6), 1, 8).Draw(t, "parts")
		var total float64
		for _, p := range parts {
			total += p
		}
		sum := 0
		for i, n := range tenths(parts) {
			sum += n
			if total > 0 && math.Abs(float64(n)-1000*parts[i]/total) >= 1.001 {
				t.Fatalf("%v: part %d is %d tenths of a percent", parts, i, n)
			}
		}
		if want := 1000; total > 0 && sum != want {
			t.Fatalf("%v: sum %d", parts, sum)
		}
	})
}

func TestBar(t *testing.T) {
	for _, tt := range []struct {
		share float64
		want  string
	}{{0, ""}, {1, "████"}, {0.5, "██"}, {0.001, "▏"}, {0.5625, "██▎"}, {2, "████"}, {-1, ""}} {
		if got := Bar(tt.share, 4); got != tt.want {
			t.Errorf("%g: %q, want %q", tt.share, got, tt.want)
		}
	}
}

func TestASCII(t *testing.T) {
	if got := ASCII("+10 % → −8.1 %, 2 × 3 µs, 漢"); got != "+10 % -> -8.1 %, 2 x 3 us, ?" {
		t.Errorf("%q", got)
	}
}

// Wrapped text keeps its words and its width.
func TestWrap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.StringMatching(`[a-zµ]{1,30}`)).Draw(t, "words")
		text := wrap("  key: ", strings.Join(words, " "))
		for line := range strings.Lines(text) {
			if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > Width {
				t.Fatalf("%q is too wide", line)
			}
		}
		if got := strings.Fields(text)[1:]; strings.Join(got, " ") != strings.Join(words, " ") {
			t.Fatalf("%q", got)
		}
	})
}

func TestTable(t *testing.T) {
	table := Table{
		Columns: []Column{{Title: "name", Name: "name", Max: 5}, {Title: "time", Name: "seconds", Right: true, Show: func(v any) string { return Seconds(v.(float64)) }}, {Name: "hidden"}},
		Rows:    [][]any{{"alphabet", 0.001, "x,y"}, {"b", nil, nil}},
		Footer:  "two",
	}
	table.Columns[2].Max = 3
	var b bytes.Buffer
	if err := table.Text(&b, unicodeStyle); err != nil {
		t.Fatal(err)
	}
	if want := "name       time\nalph…  1.000 ms\nb\ntwo\n"; b.String() != want {
		t.Errorf("text:\n%s", b.String())
	}
	b.Reset()
	if err := table.CSV(&b); err != nil {
		t.Fatal(err)
	}
	if want := "name,seconds,hidden\nalphabet,0.001,\"x,y\"\nb,,\n"; b.String() != want {
		t.Errorf("csv:\n%s", b.String())
	}
	b.Reset()
	if err := table.JSON(&b); err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || len(got) != 2 || got[0]["seconds"] != 0.001 || len(got[1]) != 1 {
		t.Errorf("%v: %s", err, b.String())
	}
}

func TestScalars(t *testing.T) {
	var b bytes.Buffer
	if err := Scalars(&b, store.Row{Key: "k1", Values: store.Values{"arch": "a", "seconds": 1.5, "sp": false, "request": "{}"}}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "key,status,") || strings.Contains(lines[0], ",request,") || !strings.HasPrefix(lines[1], "k1,") || !strings.Contains(lines[1], ",1.5,") {
		t.Errorf("%s", b.String())
	}
}
