package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stratasim/strata/experiments"
)

func TestCount(t *testing.T) {
	for _, tt := range []struct {
		text  string
		want  int64
		wrong string // part of the message
	}{
		{"1", 1, ""}, {"2147483648", 2147483648, ""}, {"007", 7, ""},
		{"0", 0, "must be from 1"}, {"-1", 0, "must be from 1"}, {"2147483649", 0, "must be from 1 to 2147483648"},
		{"1000000000000000000000", 0, "must be from 1"}, {"1e18", 0, "plain digits"}, {"10^18", 0, "plain digits"}, {"NaN", 0, "plain digits"}, {"", 0, "plain digits"},
		{"1.5", 0, "plain digits"}, {"1k", 0, "plain digits"}, {strings.Repeat("x", 1000), 0, "…"},
	} {
		var n int64
		var problems experiments.Problems
		if err := (&count{name: "batch", into: &n, min: 1, problems: &problems}).Set(tt.text); err != nil {
			t.Errorf("%q: returned %v", tt.text, err)
		}
		text := problems.Error()
		if n != tt.want || (text == "") != (tt.wrong == "") || !strings.Contains(text, tt.wrong) || len(text) > 200 {
			t.Errorf("%q: %d, %q; want %d, %q", tt.text, n, text, tt.want, tt.wrong)
		}
	}
}

func TestChoices(t *testing.T) {
	var list []string
	var problems experiments.Problems
	c := &choices{"ideal", &list, ideals, &problems}
	for _, text := range []string{"launch, power", "launch", "lunch"} {
		if err := c.Set(text); err != nil {
			t.Error(err)
		}
	}
	if c.String() != "launch,power" || len(problems) != 1 || !strings.Contains(problems.Error(), `did you mean "launch"?`) {
		t.Errorf("%q, %v", list, problems)
	}
}

func TestLocale(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want bool
	}{
		{nil, false},
		{map[string]string{"LANG": "en_US.UTF-8"}, true},
		{map[string]string{"LANG": "C.utf8"}, true},
		{map[string]string{"LANG": "en_US.UTF-8", "LC_ALL": "C"}, false},
		{map[string]string{"LANG": "C", "LC_CTYPE": "de_DE.UTF-8"}, true},
		{map[string]string{"LANG": "de_DE.ISO-8859-1"}, false},
	} {
		if got := utf8Locale(func(name string) string { return tt.env[name] }); got != tt.want {
			t.Errorf("%v: %t", tt.env, got)
		}
	}
}

// A file or a buffer is no terminal, so nothing is drawn over there.
func TestProgress(t *testing.T) {
	var b bytes.Buffer
	if isTerminal(&b) {
		t.Fatal("a buffer is a terminal")
	}
	p := startProgress(&b, false)
	if text := p.text(); !strings.HasPrefix(text, "planning, ") {
		t.Error(text)
	}
	p.start = p.start.Add(-2 * time.Second)
	p.update(4_000_000)
	if text := p.text(); !strings.HasPrefix(text, "4.000 M events, ") || !strings.Contains(text, " M a second, 2s") && !strings.Contains(text, " M a second, 2.") {
		t.Error(text)
	}
	p.stop()
	if b.Len() > 0 {
		t.Errorf("%q", b.String())
	}
}

func TestParseTokens(t *testing.T) {
	for text, want := range map[string]int64{"300B": 300e9, "1.4T": 14e11, "20000000": 2e7, "5k": 5000, "0.5m": 5e5, "1": 1, "1000T": 1e15, "0": 0, "0.2": 0, "-3B": 0, "B": 0, "3x": 0, "": 0, "NaN": 0, "Inf": 0, "1001T": 0, "1e400": 0, "3BB": 0} {
		if got, ok := parseTokens(text); ok != (want > 0) || ok && got != want {
			t.Errorf("%q: %d, %t; want %d", text, got, ok, want)
		}
	}
}
