package validation

import (
	"fmt"
	"strings"
)

// loadDRAM reads what Ramulator 2.1 and DRAMsim3 answer for streams of accesses.
func loadDRAM(dir string, l *loaded) error {
	list, err := records(dir, "dram/dram_efficiency.csv")
	if err != nil {
		return err
	}
	for i := range list {
		r := reading{record: &list[i]}
		controller, _, _ := strings.Cut(strings.ToLower(r.get("simulator")), "@")
		if r.get("refresh") == "pb" && strings.HasPrefix(r.get("standard"), "HBM3") {
			l.leave("per-bank refresh of HBM3, an artefact of the reference's front end")
			continue
		}
		var a, b float64
		if _, err := fmt.Sscanf(r.get("rw_mix"), "%g:%g", &a, &b); err != nil || a+b <= 0 {
			r.fail("rw_mix", "%.20q is no mix of reads and writes, such as 2:1", r.get("rw_mix"))
		}
		q := Fields{"standard": r.get("standard"), "channels": r.integer("channels"), "mapping": r.get("mapping"), "refresh": r.get("refresh"), "kind": r.get("kind"), "streams": r.integer("streams"),
			"chunk_bytes": r.integer("chunk_B"), "stride_bytes": r.integer("stride_B"), "read_fraction": a / (a + b), "controller": controller, "requests": r.integer("requests64"), "seed": r.integer("seed")}
		if load := r.get("load"); load == "sat" {
			q["load"] = load
		} else {
			q["load"] = r.number("load")
		}
		class := "fraction"
		switch mapping := r.get("mapping"); {
		case r.get("outstanding") != "":
			q["outstanding"], class = r.integer("outstanding"), "idle"
		case r.get("load") != "sat":
			class = "loaded"
		case r.get("refresh") == "pb":
			class = "fraction_per_bank_refresh"
		case mapping != "bgint" && mapping != "rorabacobgch":
			class = "fraction_other_mapping"
		}
		c := Case{File: r.file, Line: r.line, Source: controller, Device: r.get("standard"), Name: strings.Join([]string{r.get("pattern"), r.get("mapping"), r.get("rw_mix")}, " "), Request: Fields{"dram": q}}
		for _, name := range []string{"channels", "pattern", "streams", "rw_mix", "kind", "chunk_B", "stride_B", "mapping", "refresh", "load", "outstanding"} {
			c.Columns = append(c.Columns, Column{name, r.get(name)})
		}
		if class != "idle" {
			c.Figures = append(c.Figures, Figure{Class: class, Field: "fraction_of_peak", Measured: r.number("fraction"), Unit: "of peak"})
		}
		latency := "latency_saturated"
		if class == "idle" || class == "loaded" {
			latency = "latency_" + class
		}
		if class == "fraction" {
			if n := r.number("acts_per_64B"); n > 0 {
				c.Figures = append(c.Figures, Figure{Class: "rows_opened", Field: "activates_per_line", Measured: n, Unit: "a line", Played: true})
			}
		}
		if ns := r.number("avg_latency_ns"); ns > 0 {
			c.Figures = append(c.Figures, Figure{Class: latency, Field: "latency_ns", Measured: ns, Unit: "ns"})
		}
		if r.get("energy_pJ_per_bit") != "" {
			if pj := r.number("energy_pJ_per_bit"); pj > 0 {
				c.Figures = append(c.Figures, Figure{Class: "energy", Field: "picojoules_per_bit", Measured: pj, Unit: "pJ/bit", Played: true})
			}
		}
		if r.err != nil {
			return r.err
		}
		l.add(c, "")
	}
	return nil
}
