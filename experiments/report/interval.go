package report

import (
	"fmt"
	"strings"

	"github.com/stratasim/strata/arch/eval"
)

// Interval says an interval in two texts: its ends, and its level with what it rests on.
func Interval(i *eval.Interval) (ends, rests string) {
	low, high := Seconds(i.Seconds[0]), Seconds(i.Seconds[1])
	if number, unit, _ := strings.Cut(low, " "); strings.HasSuffix(high, " "+unit) {
		low = number
	}
	var rows int
	var devices []string
	for k := range i.Basis {
		b := &i.Basis[k]
		switch {
		case b.Note == "average power":
		case b.Device != "*":
			rows += b.Rows
			if len(devices) == 0 {
				devices = append(devices, b.Device)
			}
		}
	}
	first := &i.Basis[0]
	text := Percent(i.Level)
	text = strings.Replace(text, ".0 %", " %", 1) + ", "
	switch {
	case rows == 0 && first.Share == 0:
		text += fmt.Sprintf("%s; from %d that were held out in turn", first.Note, first.Devices)
	case rows == 0:
		text += first.Note + "; from others that were held out in turn"
	case first.Runtime != "":
		text += fmt.Sprintf("from %s on %s under %s", numbered(rows, "measured run", "measured runs"), devices[0], first.Runtime)
	case first.Share > 0:
		text += fmt.Sprintf("from %s of %s, and what whole models were off elsewhere", numbered(rows, "measured kernel", "measured kernels"), devices[0])
	default:
		text += fmt.Sprintf("from %s of %s", numbered(rows, "measured kernel", "measured kernels"), devices[0])
	}
	return low + " to " + high, text
}

func numbered(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Outside lists what lies beyond what was measured, the first few in full; "" if nothing does.
func Outside(i *eval.Interval) string {
	const most = 3
	list := i.Outside
	if len(list) > most {
		return strings.Join(list[:most], "; ") + fmt.Sprintf("; and %d more", len(list)-most)
	}
	return strings.Join(list, "; ")
}

// interval prints it below the figures.
func (r *runReport) interval() {
	i := r.a.Interval
	if i == nil {
		return
	}
	ends, rests := Interval(i)
	r.b.WriteString(wrap(fmt.Sprintf("  %-14s %s  ", "interval", pad(ends, 14)), rests))
	if text := Outside(i); text != "" {
		r.b.WriteString(wrap(fmt.Sprintf("  %-14s ", "outside"), text))
	}
}
