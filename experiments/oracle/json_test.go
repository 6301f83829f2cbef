package oracle

import (
	"bytes"
	"encoding/json"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestParse compares with encoding/json, which is laxer about UTF-8 and surrogates only.
func TestParse(t *testing.T) {
	for _, text := range []string{
		`0`, `-0`, `01`, `1.`, `.5`, `1e`, `1e+5`, `1E-05`, `-`, `+1`, `1 2`, `nul`, `null`, `true`, `false`, `truex`, ``, ` `,
		`""`, `"a`, `"\n"`, "\"\n\"", `"\x"`, `"\u12"`, `"\u00e4"`, `"\ud83d\ude00"`, `"ä€😀"`, `"\"\\\/\b\f\r\t"`, `"\u00g0"`,
		`[]`, `[ ]`, `[1,]`, `[,1]`, `[1 2]`, `[1,[2,{}]]`, `[`, `[1`, `[1,`,
		`{}`, `{ }`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1 "b":2}`, `{a:1}`, `{"a":1,"a":2}`, `{"a":{"b":[null]}}`, `{`, `{"a"`, `{"a":1`,
	} {
		compareParse(t, []byte(text))
	}
	for _, text := range []string{"\"\xff\"", `"\ud800"`, `"\ude00\ud83d"`, `"\ud800\u0041"`} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

// compareParse compares one text.
func compareParse(t interface {
	Errorf(string, ...any)
}, text []byte) {
	v, err := parse(text)
	if err != nil && err.Code == "too-deep" {
		return
	}
	if json.Valid(text) != (err == nil) {
		if err == nil || utf8.Valid(text) && !bytes.Contains(text, []byte(`\u`)) {
			t.Errorf("%q: error %v", text, err)
		}
		return
	}
	if err != nil {
		return
	}
	canonical, bad := v.canonical(nil, "")
	if bad != nil {
		if bad.Code != "duplicate-member" {
			t.Errorf("%q: %v", text, bad)
		}
		return
	}
	var a, b any
	if err := json.Unmarshal(text, &a); err != nil && !bytes.ContainsAny(text, "0123456789") {
		t.Errorf("%q: %v", text, err)
	}
	_ = json.Unmarshal(canonical, &b)
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%q became %q", text, canonical)
	}
	again, _ := parse(canonical)
	if second, _ := again.canonical(nil, ""); !bytes.Equal(canonical, second) {
		t.Errorf("%q, then %q", canonical, second)
	}
}

// drawValue draws a JSON value of bounded depth.
func drawValue(t *rapid.T, depth int) any {
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "boolean")
	case 2:
		return rapid.Float64Range(-1e300, 1e300).Draw(t, "number")
	case 3:
		return rapid.String().Draw(t, "text")
	case 4:
		list := make([]any, rapid.IntRange(0, 4).Draw(t, "items"))
		for i := range list {
			list[i] = drawValue(t, depth-1)
		}
		return list
	}
	m := map[string]any{}
	for range rapid.IntRange(0, 4).Draw(t, "members") {
		m[rapid.String().Draw(t, "name")] = drawValue(t, depth-1)
	}
	return m
}

func TestParseRandomValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.MarshalIndent(drawValue(t, 3), "", rapid.SampledFrom([]string{"", " "}).Draw(t, "indent"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parse(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		compareParse(t, text)
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5e-3,"\u00e4\n",{"b":null}],"c":true}`))
	f.Fuzz(func(t *testing.T, text []byte) { compareParse(t, text) })
}

// TestParseMemory: what a text that is made for it takes while it is parsed, in bytes for each of its own: what lives in the end, and all that was
// ever taken.
func TestParseMemory(t *testing.T) {
	const size, lives, all = 1 << 18, 60, 125
	for _, unit := range []string{"0,", "[],", `"",`, `"\n",`, `[0],`, `{"":0},`, `{"a":{}},`, `{"":{"":{"":{}}}},`, "[[[[]]]],"} {
		data := []byte("[" + strings.Repeat(unit, size/len(unit)) + "0]")
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		v, bad := parse(data)
		runtime.ReadMemStats(&after)
		taken := after.TotalAlloc - before.TotalAlloc
		runtime.GC()
		runtime.ReadMemStats(&after)
		if bad != nil {
			t.Fatal(bad)
		}
		if left := int64(after.HeapAlloc) - int64(before.HeapAlloc); left > lives*size || taken > all*size {
			t.Errorf("%s… %.1f bytes for a byte, and %.1f taken", unit, float64(left)/size, float64(taken)/size)
		}
		runtime.KeepAlive(v)
		runtime.KeepAlive(data)
	}
}
