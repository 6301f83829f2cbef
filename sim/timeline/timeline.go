package timeline

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stratasim/strata/sim/units"
)

// Span is something that took time on a track.
type Span struct {
	Track, Name, Category string
	Start, End            units.Time // 0 <= Start <= End
	Args                  []Arg      // shown when the span is selected
}

// Instant is something that happened at one moment.
type Instant struct {
	Track, Name, Category string
	At                    units.Time
	Args                  []Arg
}

// Counter is a value that holds from a moment on, until the next one of the same track.
type Counter struct {
	Track string // "chip 0/hbm in use": the group, and the name of the counter
	Unit  string // "B", "B/s", "W"; shown with the name
	At    units.Time
	Value float64 // finite
}

// Arg is a named detail of a span or instant. Make it with Text, Int or Float.
type Arg struct {
	Key   string
	text  string
	num   float64
	whole int64
	kind  argKind
}

type argKind uint8

const (
	textArg argKind = iota
	intArg
	floatArg
)

// Text is a detail that is text.
func Text(key, value string) Arg { return Arg{Key: key, text: value} }

// Int is a detail that is a whole number. The key should end in its unit: "read_bytes".
func Int(key string, value int64) Arg { return Arg{Key: key, whole: value, kind: intArg} }

// Float is a detail that is a number; one that is not finite is written as text. The key should
// end in its unit: "energy_joules".
func Float(key string, value float64) Arg { return Arg{Key: key, num: value, kind: floatArg} }

// defaultGroup holds the tracks whose name has no slash.
const defaultGroup = "run"

// laneStride is the distance between the sort indices of two tracks, which leaves room for the
// lanes of the first.
const laneStride = 4096

// firstPid keeps group numbers apart from thread numbers: viewers take a thread with the number of
// its process for a main thread and treat it differently.
const firstPid = 1_000_001

// Writer writes a trace. Make one with New; it is for one goroutine.
type Writer struct {
	out     *bufio.Writer
	line    []byte
	args    []Arg
	started bool // the head of the file is written
	any     bool // an event is written
	closed  bool
	err     error // the first one

	pids   map[string]int
	tracks map[string]*track
	tids   int
}

type track struct {
	pid   int
	name  string
	order int
	lanes []lane
}

// lane is one thread of the trace.
type lane struct {
	tid  int
	last units.Time   // start of the last span
	open []units.Time // ends of the spans around the last start, innermost last
	end  units.Time   // latest end
}

// New returns a writer of a trace to w. Close must be called at the end.
func New(w io.Writer) *Writer {
	return &Writer{out: bufio.NewWriterSize(w, 64<<10), pids: map[string]int{}, tracks: map[string]*track{}}
}

// Tracks mentions tracks for spans and instants in the order in which they are to be shown. Tracks
// that are not mentioned here follow in the order of their first use.
func (w *Writer) Tracks(names ...string) {
	for _, n := range names {
		if t := w.track(n); len(t.lanes) == 0 {
			w.addLane(t)
		}
	}
}

// Span writes a span. Args may be used again after the call. A span that ends before it starts, or
// starts before time 0, is left out and becomes an error of Close.
func (w *Writer) Span(s Span) {
	if s.Start < 0 || s.End < s.Start {
		w.fail(fmt.Errorf("timeline: span %q on %q runs from %d ps to %d ps", s.Name, s.Track, s.Start, s.End))
		return
	}
	tid, t := w.lane(s.Track, s.Start, s.End)
	start, end := wholeNanoseconds(s.Start), wholeNanoseconds(s.End)
	b := w.begin("X", s.Name, s.Category, t.pid, tid, start)
	b = append(b, `,"dur":`...)
	b = appendMicroseconds(b, end-start)
	args := s.Args
	if start != s.Start || end != s.End {
		w.args = append(append(w.args[:0], args...), Int("start_ps", int64(s.Start)), Int("duration_ps", int64(s.End-s.Start)))
		args = w.args
	}
	w.end(appendArgs(b, args))
}

// Instant writes a moment. A time before 0 is left out and becomes an error of Close.
func (w *Writer) Instant(i Instant) {
	if i.At < 0 {
		w.fail(fmt.Errorf("timeline: instant %q on %q is at %d ps", i.Name, i.Track, i.At))
		return
	}
	t := w.track(i.Track)
	if len(t.lanes) == 0 {
		w.addLane(t)
	}
	at := wholeNanoseconds(i.At)
	b := w.begin("i", i.Name, i.Category, t.pid, t.lanes[0].tid, at)
	b = append(b, `,"s":"t"`...)
	args := i.Args
	if at != i.At {
		w.args = append(append(w.args[:0], args...), Int("at_ps", int64(i.At)))
		args = w.args
	}
	w.end(appendArgs(b, args))
}

// Counter writes a value. A time before 0 or a value that is not finite is left out and becomes
// an error of Close.
func (w *Writer) Counter(c Counter) {
	if c.At < 0 || math.IsNaN(c.Value) || math.IsInf(c.Value, 0) {
		w.fail(fmt.Errorf("timeline: counter %q has the value %v at %d ps", c.Track, c.Value, c.At))
		return
	}
	group, name := split(c.Track)
	pid := w.group(group)
	b := w.open("C")
	b = append(b, `,"name":`...)
	if c.Unit != "" {
		name += " [" + c.Unit + "]"
	}
	b = appendQuoted(b, name)
	b = append(b, `,"pid":`...)
	b = strconv.AppendInt(b, int64(pid), 10)
	b = append(b, `,"ts":`...)
	b = appendMicroseconds(b, wholeNanoseconds(c.At))
	b = append(b, `,"args":{"value":`...)
	b = appendFloat(b, c.Value)
	w.end(append(b, '}'))
}

// Close ends the file and returns the first error of the writer. It does not close the underlying
// writer. The file is valid JSON also when nothing was written to it.
func (w *Writer) Close() error {
	if w.closed {
		return w.err
	}
	w.head()
	w.closed = true
	w.write([]byte("\n]}\n"))
	if err := w.out.Flush(); err != nil {
		w.fail(fmt.Errorf("timeline: %w", err))
	}
	return w.err
}

// Err returns the first error so far, so that a long run can stop early when the disk is full.
func (w *Writer) Err() error { return w.err }

func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *Writer) write(b []byte) {
	if _, err := w.out.Write(b); err != nil {
		w.fail(fmt.Errorf("timeline: %w", err))
	}
}

func (w *Writer) head() {
	if !w.started {
		w.started = true
		w.write([]byte(`{"displayTimeUnit":"ns","traceEvents":[`))
	}
}

// open begins an event; end finishes it.
func (w *Writer) open(phase string) []byte {
	b := w.line[:0]
	if w.any {
		b = append(b, ',')
	}
	b = append(b, "\n{\"ph\":\""...)
	b = append(b, phase...)
	return append(b, '"')
}

func (w *Writer) end(b []byte) {
	b = append(b, '}')
	w.line = b // keep what it grew to
	if w.closed {
		w.fail(fmt.Errorf("timeline: written to after Close"))
		return
	}
	w.head()
	w.any = true
	w.write(b)
}

// begin writes what events on threads have in common.
func (w *Writer) begin(phase, name, category string, pid, tid int, at units.Time) []byte {
	b := w.open(phase)
	b = append(b, `,"name":`...)
	b = appendQuoted(b, name)
	if category != "" {
		b = append(b, `,"cat":`...)
		b = appendQuoted(b, category)
	}
	b = append(b, `,"pid":`...)
	b = strconv.AppendInt(b, int64(pid), 10)
	b = append(b, `,"tid":`...)
	b = strconv.AppendInt(b, int64(tid), 10)
	b = append(b, `,"ts":`...)
	return appendMicroseconds(b, at)
}

// split returns group and thread of a track.
func split(name string) (group, thread string) {
	if g, t, ok := strings.Cut(name, "/"); ok && g != "" && t != "" {
		return g, t
	}
	return defaultGroup, name
}

func (w *Writer) group(name string) int {
	pid, ok := w.pids[name]
	if !ok {
		pid = firstPid + len(w.pids)
		w.pids[name] = pid
		w.meta("process_name", pid, 0, "name", name, 0)
		w.meta("process_sort_index", pid, 0, "sort_index", "", pid-firstPid)
	}
	return pid
}

func (w *Writer) track(name string) *track {
	t, ok := w.tracks[name]
	if !ok {
		group, thread := split(name)
		t = &track{pid: w.group(group), name: thread, order: len(w.tracks)}
		w.tracks[name] = t
	}
	return t
}

func (w *Writer) addLane(t *track) *lane {
	w.tids++
	n := len(t.lanes)
	t.lanes = append(t.lanes, lane{tid: w.tids})
	name := t.name
	if n > 0 {
		name = fmt.Sprintf("%s (%d)", name, n+1)
	}
	w.meta("thread_name", t.pid, w.tids, "name", name, 0)
	w.meta("thread_sort_index", t.pid, w.tids, "sort_index", "", t.order*laneStride+n)
	return &t.lanes[n]
}

// lane finds the first lane of a track on which a span nests in, or is disjoint from, all others.
func (w *Writer) lane(name string, start, end units.Time) (tid int, t *track) {
	t = w.track(name)
	for i := range t.lanes {
		if l := &t.lanes[i]; l.take(start, end) {
			return l.tid, t
		}
	}
	l := w.addLane(t)
	l.take(start, end)
	return l.tid, t
}

// take adds a span to the lane if it fits.
func (l *lane) take(start, end units.Time) bool {
	if start < l.last {
		// What lay around start is forgotten.
		return false
	}
	if start >= l.end {
		l.open = l.open[:0]
	}
	n := len(l.open)
	for n > 0 && l.open[n-1] <= start {
		n--
	}
	if n > 0 && l.open[n-1] < end {
		return false
	}
	l.open = append(l.open[:n], end)
	l.last, l.end = start, max(l.end, end)
	return true
}

// meta writes a metadata event: the text if the key is "name", else the number.
func (w *Writer) meta(what string, pid, tid int, key, text string, number int) {
	b := w.open("M")
	b = append(b, `,"name":"`...)
	b = append(b, what...)
	b = append(b, `","pid":`...)
	b = strconv.AppendInt(b, int64(pid), 10)
	if tid > 0 {
		b = append(b, `,"tid":`...)
		b = strconv.AppendInt(b, int64(tid), 10)
	}
	b = append(b, `,"args":{"`...)
	b = append(b, key...)
	b = append(b, `":`...)
	if key == "name" {
		b = appendQuoted(b, text)
	} else {
		b = strconv.AppendInt(b, int64(number), 10)
	}
	w.end(append(b, '}'))
}

func appendArgs(b []byte, args []Arg) []byte {
	if len(args) == 0 {
		return b
	}
	b = append(b, `,"args":`...)
	return appendObject(b, args)
}

func appendObject(b []byte, args []Arg) []byte {
	b = append(b, '{')
	for i, a := range args {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, a.Key)
		b = append(b, ':')
		switch {
		case a.kind == intArg:
			b = strconv.AppendInt(b, a.whole, 10)
		case a.kind == floatArg && !math.IsNaN(a.num) && !math.IsInf(a.num, 0):
			b = appendFloat(b, a.num)
		case a.kind == floatArg:
			b = appendQuoted(b, strconv.FormatFloat(a.num, 'g', -1, 64))
		default:
			b = appendQuoted(b, a.text)
		}
	}
	return append(b, '}')
}

// wholeNanoseconds cuts a time that is not negative to whole nanoseconds, as which viewers show it.
// Both ends of a span are cut in the same direction, so spans that met still meet and spans that
// nested still nest.
func wholeNanoseconds(t units.Time) units.Time { return t - t%units.Nanosecond }

// appendMicroseconds prints picoseconds as microseconds, exactly.
func appendMicroseconds(b []byte, t units.Time) []byte {
	const perMicrosecond = int64(units.Microsecond)
	b = strconv.AppendInt(b, int64(t)/perMicrosecond, 10)
	rest := int64(t) % perMicrosecond
	if rest == 0 {
		return b
	}
	b = append(b, '.')
	for scale := perMicrosecond / 10; rest > 0; scale /= 10 {
		b = append(b, byte('0'+rest/scale))
		rest %= scale
	}
	return b
}

func appendFloat(b []byte, x float64) []byte {
	if x == 0 {
		return append(b, '0') // also for minus zero
	}
	return strconv.AppendFloat(b, x, 'g', -1, 64)
}

const hex = "0123456789abcdef"

// appendQuoted appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
		i++
	}
	return append(b, '"')
}
