package timeline

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/sim/units"
)

// event is an event of a trace file as a viewer reads it; times keep their text.
type event struct {
	Ph, Name, Cat, S string
	Pid, Tid         int
	Ts, Dur          json.Number
	Args             map[string]any
}

// read parses a trace with the standard library and takes its metadata apart.
// Sort indices are by thread number, and by minus the number of a group.
func read(t rapid.TB, data []byte) (events []event, groups, threads map[int]string, order map[int]int) {
	t.Helper()
	var file struct {
		DisplayTimeUnit string
		TraceEvents     []event
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	dec.DisallowUnknownFields()
	if err := dec.Decode(&file); err != nil {
		t.Fatalf("not a trace: %v\n%s", err, data)
	}
	if _, err := dec.Token(); err != io.EOF {
		t.Fatalf("something follows the trace: %v", err)
	}
	if file.TraceEvents == nil || file.DisplayTimeUnit != "ns" {
		t.Fatalf("no list of events, or no unit: %s", data)
	}
	groups, threads, order = map[int]string{}, map[int]string{}, map[int]int{}
	for _, e := range file.TraceEvents {
		if e.Ph != "M" {
			events = append(events, e)
			continue
		}
		switch e.Name {
		case "process_name":
			groups[e.Pid] = e.Args["name"].(string)
		case "thread_name":
			threads[e.Tid] = e.Args["name"].(string)
		case "process_sort_index", "thread_sort_index":
			n, err := e.Args["sort_index"].(json.Number).Int64()
			if err != nil {
				t.Fatal(err)
			}
			if e.Name == "process_sort_index" {
				order[-e.Pid] = int(n)
			} else {
				order[e.Tid] = int(n)
			}
		default:
			t.Fatalf("unknown metadata %q", e.Name)
		}
	}
	return events, groups, threads, order
}

// ps reads a number of microseconds exactly; it must be a whole number of nanoseconds.
func ps(t rapid.TB, n json.Number) units.Time {
	t.Helper()
	r, ok := new(big.Rat).SetString(n.String())
	if !ok {
		t.Fatalf("%q is no number", n)
	}
	r.Mul(r, big.NewRat(1_000, 1))
	if !r.IsInt() {
		t.Fatalf("%q us is no whole number of nanoseconds", n)
	}
	return units.Time(r.Num().Int64()) * units.Nanosecond
}

// exact returns the times of a span to the picosecond: the details if it has them, else the event's.
func exact(t rapid.TB, e event) (start, end units.Time) {
	t.Helper()
	start, end = ps(t, e.Ts), ps(t, e.Ts)+ps(t, e.Dur)
	if e.Args["start_ps"] == nil {
		return start, end
	}
	var v [2]units.Time
	for i, key := range []string{"start_ps", "duration_ps"} {
		n, err := e.Args[key].(json.Number).Int64()
		if err != nil {
			t.Fatal(err)
		}
		v[i] = units.Time(n)
	}
	v[1] += v[0]
	if v[0]/1000 != start/1000 || v[1]/1000 != end/1000 {
		t.Fatalf("from %d to %d ps in the details, %d to %d ps in the event", v[0], v[1], start, end)
	}
	return v[0], v[1]
}

func TestEmptyTraceIsValid(t *testing.T) {
	var buf bytes.Buffer
	w := New(&buf)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if events, _, _, _ := read(t, buf.Bytes()); len(events) != 0 {
		t.Errorf("events %v", events)
	}
	n := buf.Len()
	if err := w.Close(); err != nil || buf.Len() != n {
		t.Errorf("second Close: %v, %d more bytes", err, buf.Len()-n)
	}
}

func TestTrace(t *testing.T) {
	var buf bytes.Buffer
	w := New(&buf)
	w.Tracks("chip 0/matrix", "chip 0/hbm")
	w.Span(Span{Track: "chip 1/hbm", Name: "read \"w\"\n", Category: "dma", Start: 1, End: 1_500_000,
		Args: []Arg{Text("tensor", "wq\x00\xff\\"), Int("bytes", math.MaxInt64), Float("share", 0.1), Float("bad", math.Inf(1))}})
	w.Span(Span{Track: "chip 0/hbm", Name: "zero", Start: 7, End: 7})
	w.Instant(Instant{Track: "chip 0/matrix", Name: "wave", Category: "mark", At: units.MaxTime - 1})
	w.Counter(Counter{Track: "chip 0/power", Unit: "W", At: 2_000_999, Value: 312.5})
	w.Counter(Counter{Track: "chip 0/power", Unit: "W", At: 3_000_000, Value: math.Copysign(0, -1)})
	w.Span(Span{Track: "host", Name: "launch", Start: 0, End: 10_000})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	events, groups, threads, order := read(t, buf.Bytes())
	if len(events) != 6 {
		t.Fatalf("%d events, want 6:\n%s", len(events), buf.Bytes())
	}
	where := func(e event) string { return groups[e.Pid] + "/" + threads[e.Tid] }
	e := events[0]
	if e.Ph != "X" || e.Name != "read \"w\"\n" || e.Cat != "dma" || where(e) != "chip 1/hbm" || e.Ts != "0" || e.Dur != "1.5" ||
		e.Args["start_ps"] != json.Number("1") || e.Args["duration_ps"] != json.Number("1499999") {
		t.Errorf("span %+v on %s", e, where(e))
	}
	if e.Args["tensor"] != "wq\x00\uFFFD\\" || e.Args["bytes"] != json.Number("9223372036854775807") || e.Args["share"] != json.Number("0.1") || e.Args["bad"] != "+Inf" {
		t.Errorf("args %v", e.Args)
	}
	if e := events[1]; where(e) != "chip 0/hbm" || e.Dur != "0" || e.Args["start_ps"] != json.Number("7") || e.Args["duration_ps"] != json.Number("0") {
		t.Errorf("span %+v on %s", e, where(e))
	}
	if e := events[2]; e.Ph != "i" || e.S != "t" || where(e) != "chip 0/matrix" || e.Ts != "3999999999.999" || e.Args["at_ps"] != json.Number("3999999999999999") {
		t.Errorf("instant %+v on %s", e, where(e))
	}
	if e := events[3]; e.Ph != "C" || e.Name != "power [W]" || groups[e.Pid] != "chip 0" || e.Ts != "2" || e.Args["value"] != json.Number("312.5") {
		t.Errorf("counter %+v", e)
	}
	if e := events[4]; e.Args["value"] != json.Number("0") {
		t.Errorf("counter %+v", e)
	}
	if e := events[5]; where(e) != "run/host" || e.Dur != "0.01" || e.Args != nil {
		t.Errorf("span %+v of a track without a group is on %s", e, where(e))
	}
	// Order of mention: groups chip 0, chip 1, run; tracks matrix, hbm.
	group := func(want string) int {
		for id, n := range groups {
			if n == want {
				return order[-id]
			}
		}
		t.Fatalf("no %q", want)
		return 0
	}
	if a, b, c := group("chip 0"), group("chip 1"), group("run"); !(a < b && b < c) {
		t.Errorf("groups sorted as %d, %d, %d", a, b, c)
	}
	if events[2].Tid == events[1].Tid || order[events[2].Tid] >= order[events[1].Tid] {
		t.Errorf("tracks sorted as %v", order)
	}
}

// Whatever the spans, on each thread of the trace any two of them nest or are disjoint, times come
// back exactly, and the same calls give the same bytes.
func TestSpansNestOnEachThread(t *testing.T) {
	tracks := []string{"chip 0/hbm", "chip 0/sram", "chip 1/hbm", "host"}
	rapid.Check(t, func(t *rapid.T) {
		spans := make([]Span, rapid.IntRange(0, 25).Draw(t, "n"))
		for i := range spans {
			start := units.Time(rapid.Int64Range(0, 40).Draw(t, "start"))
			spans[i] = Span{
				Track: rapid.SampledFrom(tracks).Draw(t, "track"),
				Name:  rapid.String().Draw(t, "name"),
				Start: start, End: start + units.Time(rapid.Int64Range(0, 20).Draw(t, "length")),
			}
		}
		if rapid.Bool().Draw(t, "large") {
			for i := range spans {
				spans[i].Start *= 99_999_999_999_989
				spans[i].End *= 99_999_999_999_989
			}
		}
		write := func() []byte {
			var buf bytes.Buffer
			w := New(&buf)
			for _, s := range spans {
				w.Span(s)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			return buf.Bytes()
		}
		data := write()
		if !bytes.Equal(data, write()) {
			t.Fatal("the same calls gave other bytes")
		}
		events, groups, threads, _ := read(t, data)
		if len(events) != len(spans) {
			t.Fatalf("%d events of %d spans", len(events), len(spans))
		}
		if shown := kept(t, events); len(shown) != len(spans) {
			t.Fatalf("Perfetto shows %d spans of %d:\n%s", len(shown), len(spans), data)
		}
		for i, e := range events {
			s := spans[i]
			start, end := exact(t, e)
			if start != s.Start || end != s.End || e.Name != s.Name {
				t.Fatalf("span %+v came back as %+v", s, e)
			}
			thread, _, _ := strings.Cut(threads[e.Tid], " (")
			if got := strings.TrimPrefix(groups[e.Pid]+"/"+thread, "run/"); got != s.Track {
				t.Fatalf("span of %q is on %q", s.Track, got)
			}
			for j, o := range events[:i] {
				a, b := s, spans[j]
				disjoint := a.End <= b.Start || b.End <= a.Start
				nested := (a.Start <= b.Start && b.End <= a.End) || (b.Start <= a.Start && a.End <= b.End)
				if o.Tid == e.Tid && !disjoint && !nested {
					t.Fatalf("%+v and %+v share thread %d", a, b, e.Tid)
				}
			}
		}
	})
}

// kept reads a trace as the trace processor of Perfetto does, and returns the numbers of the spans that
// it shows: both times are rounded to whole nanoseconds, each on its own, spans are sorted by their
// start, and one that then partly overlaps another of its thread is dropped
// (src/trace_processor/importers: json CoerceToTs, common SliceTracker::MaybeCloseStack; its counter
// is slice_drop_overlapping_complete_event).
func kept(t rapid.TB, events []event) (shown []int) {
	t.Helper()
	type slice struct{ n, start, end int64 }
	threads := map[int][]slice{}
	for i, e := range events {
		ns := func(n json.Number) int64 {
			us, err := n.Float64()
			if err != nil {
				t.Fatal(err)
			}
			return int64(math.Round(us * 1000))
		}
		start := ns(e.Ts)
		threads[e.Tid] = append(threads[e.Tid], slice{int64(i), start, start + ns(e.Dur)})
	}
	for _, list := range threads {
		slices.SortStableFunc(list, func(a, b slice) int { return cmp.Compare(a.start, b.start) })
		var stack []slice
	next:
		for _, s := range list {
			for i := len(stack) - 1; i >= 0; i-- {
				if o := stack[i]; o.end <= s.start {
					stack = stack[:i]
				} else if s.end > o.end {
					continue next
				}
			}
			stack = append(stack, s)
			shown = append(shown, int(s.n))
		}
	}
	return shown
}

// Nothing is lost in a viewer that knows no picoseconds, whatever the spans.
func TestPerfettoShowsEverySpan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var buf bytes.Buffer
		w := New(&buf)
		n := rapid.IntRange(1, 30).Draw(t, "n")
		at := units.Time(rapid.SampledFrom([]int64{0, 999_999_999_983, int64(units.MaxTime) - 100_000}).Draw(t, "from"))
		for range n {
			// One after the other without a gap, each with two parts inside.
			end := at + units.Time(rapid.Int64Range(0, 3000).Draw(t, "length"))
			middle := at + units.Time(rapid.Int64Range(0, int64(end-at)).Draw(t, "middle"))
			w.Span(Span{Track: "chip 0/hbm", Name: "tile", Start: at, End: end})
			w.Span(Span{Track: "chip 0/hbm", Name: "read", Start: at, End: middle})
			w.Span(Span{Track: "chip 0/hbm", Name: "write", Start: middle, End: end})
			at = end
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		events, _, threads, _ := read(t, buf.Bytes())
		if len(threads) != 1 {
			t.Fatalf("%d threads for spans that nest", len(threads))
		}
		if shown := kept(t, events); len(shown) != 3*n {
			t.Fatalf("Perfetto shows %d spans of %d:\n%s", len(shown), 3*n, buf.Bytes())
		}
	})
}

func TestLanes(t *testing.T) {
	tests := []struct {
		name  string
		spans [][2]units.Time
		lanes []int
	}{
		{"one after another", [][2]units.Time{{0, 5}, {5, 9}, {12, 13}}, []int{0, 0, 0}},
		{"nested", [][2]units.Time{{0, 10}, {1, 4}, {2, 3}, {4, 10}, {10, 11}}, []int{0, 0, 0, 0, 0}},
		{"overlapping", [][2]units.Time{{0, 10}, {5, 15}, {10, 20}, {15, 25}, {20, 21}}, []int{0, 1, 0, 1, 0}},
		{"three at once", [][2]units.Time{{0, 10}, {1, 11}, {2, 12}, {12, 13}}, []int{0, 1, 2, 0}},
		{"enclosing span last", [][2]units.Time{{5, 6}, {0, 10}}, []int{0, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := New(io.Discard)
			var got []int
			for _, s := range tt.spans {
				tid, tr := w.lane("chip/link", s[0], s[1])
				got = append(got, slices.IndexFunc(tr.lanes, func(l lane) bool { return l.tid == tid }))
			}
			if !slices.Equal(got, tt.lanes) {
				t.Errorf("lanes %v, want %v", got, tt.lanes)
			}
		})
	}
}

func TestMicroseconds(t *testing.T) {
	for at, want := range map[units.Time]string{
		0: "0", 1: "0.000001", 999_999: "0.999999", 1_000_000: "1", 1_500_000: "1.5",
		123_456_789_012: "123456.789012", units.MaxTime: "4000000000", units.MaxTime - 1: "3999999999.999999",
	} {
		if got := string(appendMicroseconds(nil, at)); got != want {
			t.Errorf("%d ps: %s us, want %s", at, got, want)
		}
	}
}

// full fails after some bytes, like a full disk.
type full struct{ left int }

var errFull = errors.New("no space left on device")

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestErrorsAreKept(t *testing.T) {
	w := New(&full{left: 100_000})
	for i := range 10_000 {
		w.Span(Span{Track: "chip 0/hbm", Name: "x", Start: units.Time(i), End: units.Time(i)})
	}
	if !errors.Is(w.Err(), errFull) {
		t.Errorf("before Close: %v", w.Err())
	}
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close: %v", err)
	}
	if err := New(&full{}).Close(); !errors.Is(err, errFull) {
		t.Errorf("Close of an empty trace: %v", err)
	}
	c := NewCSV(&full{})
	c.Span(Span{Track: "t", Name: "x"})
	if err := c.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close of a table: %v", err)
	}
}

func TestBadCallsAreErrorsAndLeaveTheFileValid(t *testing.T) {
	for name, call := range map[string]func(w *Writer){
		"end before start":  func(w *Writer) { w.Span(Span{Track: "t", Name: "x", Start: 5, End: 4}) },
		"negative start":    func(w *Writer) { w.Span(Span{Track: "t", Name: "x", Start: -1, End: 4}) },
		"negative instant":  func(w *Writer) { w.Instant(Instant{Track: "t", Name: "x", At: -1}) },
		"NaN":               func(w *Writer) { w.Counter(Counter{Track: "t", Value: math.NaN()}) },
		"infinite":          func(w *Writer) { w.Counter(Counter{Track: "t", Value: math.Inf(-1)}) },
		"written too late":  func(w *Writer) { _ = w.Close(); w.Span(Span{Track: "t", Name: "x"}) },
		"counted too early": func(w *Writer) { w.Counter(Counter{Track: "t", At: -1}) },
	} {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			w := New(&buf)
			call(w)
			if err := w.Close(); err == nil || !strings.Contains(err.Error(), "timeline: ") {
				t.Errorf("Close: %v", err)
			}
			if events, _, _, _ := read(t, buf.Bytes()); len(events) != 0 {
				t.Errorf("events %v", events)
			}
		})
	}
	c := NewCSV(io.Discard)
	c.Span(Span{Track: "t", Name: "x", Start: 5, End: 4})
	if c.Close() == nil || c.Err() == nil {
		t.Error("a table takes a span that ends before it starts")
	}
	c = NewCSV(io.Discard)
	_ = c.Close()
	c.Span(Span{Track: "t", Name: "x"})
	if c.Close() == nil {
		t.Error("a table takes spans after Close")
	}
}

func TestCSV(t *testing.T) {
	var buf bytes.Buffer
	c := NewCSV(&buf)
	c.Span(Span{Track: "chip 0/hbm", Name: "read, \"w\"", Category: "dma", Start: 1, End: units.MaxTime, Args: []Arg{Int("bytes", 64), Text("a", "b")}})
	c.Span(Span{Track: "host", Name: "launch"})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&buf).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		csvHeader,
		{"chip 0/hbm", "read, \"w\"", "dma", "1", "4000000000000000", "3999999999999999", `{"bytes":64,"a":"b"}`},
		{"host", "launch", "", "0", "0", "0", ""},
	}
	if !slices.EqualFunc(rows, want, slices.Equal) {
		t.Errorf("rows %q, want %q", rows, want)
	}
	buf.Reset()
	if err := NewCSV(&buf).Close(); err != nil || buf.String() != strings.Join(csvHeader, ",")+"\n" {
		t.Errorf("an empty table is %q, %v", buf.String(), err)
	}
}

func BenchmarkSpan(b *testing.B) {
	w := New(io.Discard)
	args := []Arg{Int("bytes", 65536), Text("tensor", "wq")}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		at := units.Time(i) * 1_000_003
		w.Span(Span{Track: "chip 0/hbm", Name: "read", Category: "dma", Start: at, End: at + 999_999, Args: args})
	}
}
