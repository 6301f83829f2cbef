package eval

import (
	"fmt"
	"io"
	"strings"

	"github.com/stratasim/strata/arch/parallel"
	"github.com/stratasim/strata/sim/timeline"
)

// StepTimeline writes what the stages of a step of training did when, as a Chrome trace: a track for each class of ranks, and
// beside it its communication that runs beside kernels. The step must have been recorded (Training.Record).
func (r *Result) StepTimeline(w io.Writer) error {
	t := timeline.New(w)
	if r.Played == nil {
		return fmt.Errorf("no step was played")
	}
	count := map[int64]int{} // classes of a stage
	for i := range r.Played.Classes {
		count[r.Played.Classes[i].Stage]++
	}
	names := make([]string, len(r.Played.Classes))
	for i := range r.Played.Classes {
		c := &r.Played.Classes[i]
		if names[i] = fmt.Sprintf("stages/stage %d", c.Stage); count[c.Stage] > 1 {
			names[i] += fmt.Sprintf(", %d chips", c.Chips)
		}
		for _, before := range names[:i] {
			if before == names[i] {
				names[i] += fmt.Sprintf(" (class %d)", i)
			}
		}
	}
	track := func(s *parallel.Span) string {
		if s.Comm {
			return strings.Replace(names[s.Class], "stages/", "communication/", 1)
		}
		return names[s.Class]
	}
	t.Tracks(names...)
	for i := range r.Played.Spans {
		s := &r.Played.Spans[i]
		if i == maxTimelineSpans {
			t.Instant(timeline.Instant{Track: track(s), Name: fmt.Sprintf("%d more spans are left out", len(r.Played.Spans)-i), Category: "cut", At: s.Start})
			break
		}
		span := timeline.Span{Track: track(s), Name: s.Name, Category: "kernels", Start: s.Start, End: s.End}
		if s.Comm {
			span.Category = s.Kind.String()
			span.Args = []timeline.Arg{timeline.Text("kind", s.Kind.String())}
		}
		t.Span(span)
	}
	return t.Close()
}
