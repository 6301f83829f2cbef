// Package timeline writes what happened when, for people to look at: a trace in the Chrome trace
// event format, which Perfetto (ui.perfetto.dev) and chrome://tracing open, and a table of spans
// as CSV.
//
// # Model
//
// A timeline has tracks. A track is named "process/thread", such as "chip 0/hbm": the part before
// the first slash is the group under which viewers fold it, usually a chip, the rest is the
// resource. A name without a slash is a track of the group "run". Groups and tracks are shown in
// the order in which they were first mentioned; Writer.Tracks mentions them up front.
//
// On a track lie spans (something took from Start to End), instants, and, on tracks of their own,
// counters (a value that holds until the next one: bytes in a buffer, bandwidth in use, power).
// Viewers want spans of one thread to nest or to be disjoint. A span that would overlap another
// one of its track without nesting in it is therefore put on a further lane, shown as
// "hbm (2)" right below its track. Lanes are chosen as spans come, so spans of one track that may
// nest should come in order of their start, the enclosing one first; other orders are shown
// correctly too, but on more lanes.
//
// Output is written as it comes: memory grows with the number of tracks and of open spans, not
// with the length of the run. The same calls give the same bytes.
//
// # Units
//
// Times are units.Time, integer picoseconds. The trace format counts microseconds and Perfetto
// whole nanoseconds: it rounds the start and the duration of a span separately, and drops a span that
// then reaches a nanosecond into its neighbour. In a trace the ends of spans are therefore cut to
// whole nanoseconds; where that cuts something off, the exact times are among the details shown
// with the span (start_ps, duration_ps) or instant (at_ps). The CSV file has picoseconds.
//
// # Sources
//
// Trace Event Format, Google, https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU:
// the JSON object form, phases X, i, C and M. What Perfetto does with times and overlaps is that of
// its trace processor (json CoerceToTs, SliceTracker::MaybeCloseStack).
//
// # Not modelled
//
// Flows (arrows between spans), asynchronous spans and stack samples.
package timeline
