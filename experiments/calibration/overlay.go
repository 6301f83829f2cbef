package calibration

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/sim/spec"
)

// Overlay writes a machine file that sets what was fitted on top of a machine: a preset, or the file of an overlay of one, whose
// changes it takes over. The file loads, or there is an error.
func Overlay(machine string, file []byte, r *Result, d *Data) ([]byte, error) {
	base, set, sources := machine, map[string]string{}, map[string]string{}
	if file != nil {
		var o arch.Overlay
		if err := spec.Decode(machine, file, &o); err != nil {
			return nil, fmt.Errorf("%s: only a preset, or an overlay with the key base, can be written as an overlay: give constants that were fitted to the file itself", machine)
		}
		base = o.Base
		maps.Copy(set, o.Set)
		maps.Copy(sources, o.Sources)
	}
	m, err := presets.Machine(base)
	if err != nil {
		return nil, err
	}
	var classes []string
	fitted := 0
	for _, l := range r.Lines {
		if !slices.Contains(classes, l.Class) {
			classes = append(classes, l.Class)
		}
		if l.Half == "fitted on" {
			fitted += l.Rows
		}
	}
	for i := range r.Constants {
		c := &r.Constants[i]
		if c.Machine != "" && c.Machine != machine {
			continue
		}
		set[c.Path] = c.Text()
		text := fmt.Sprintf("fitted: %s rows of %s, the first, the third and so on (%d of %d); mean error of all %.1f %% before, %.1f %% after", strings.Join(classes, ", "), clean(d.File), fitted, len(d.Rows), 100*r.Total[0].Mean, 100*r.Total[1].Mean)
		switch {
		case c.AtBound:
			text += "; at a bound"
		case c.Low95 == c.Low95:
			text += fmt.Sprintf("; 95 %% interval %s to %s", c.text(c.Low95), c.text(c.High95))
		default:
			text += "; undetermined by these rows"
		}
		sources[c.Path] = text
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by strata calibrate from %s.\nbase: %s\nname: %s-fitted\ndescription: %q\nset:\n", clean(d.File), base, m.Name, m.Description+", with constants fitted to measurements")
	for _, p := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(&b, "  %s: %q\n", p, set[p])
	}
	b.WriteString("sources:\n")
	for _, p := range slices.Sorted(maps.Keys(sources)) {
		fmt.Fprintf(&b, "  %s: %q\n", p, sources[p])
	}
	text := []byte(b.String())
	if _, err := arch.Load("overlay.yaml", text, presets.Machine); err != nil {
		return nil, fmt.Errorf("internal: the overlay does not load: %w", err)
	}
	return text, nil
}

// clean is the name of a file without its folder, which says nothing elsewhere.
func clean(file string) string {
	return file[strings.LastIndexAny(file, `/\`)+1:]
}
