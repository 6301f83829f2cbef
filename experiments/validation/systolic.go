package validation

import "fmt"

// loadSystolic reads what SCALE-Sim v2 answers: cycles without stalls, accesses to SRAM and the efficiency of the mapping.
func loadSystolic(dir string, l *loaded) error {
	list, err := records(dir, "systolic/scalesim_shared.csv")
	if err != nil {
		return err
	}
	for i := range list {
		r := reading{record: &list[i]}
		dims := Fields{"rows": r.integer("array_rows"), "cols": r.integer("array_cols"), "dataflow": r.get("dataflow"), "m": r.integer("M"), "n": r.integer("N"), "k": r.integer("K"),
			"mode": "scalesim", "sram_kb": []int64{r.integer("ifmap_sram_kb"), r.integer("filter_sram_kb"), r.integer("ofmap_sram_kb")}}
		c := Case{File: r.file, Line: r.line, ID: r.get("id"), Source: "scale-sim-v2", Device: r.get("array_rows") + "x" + r.get("array_cols"),
			Name:    fmt.Sprintf("%s %s %s", r.get("layer"), r.get("dataflow"), r.get("bw_mode")),
			Request: Fields{"systolic": dims},
			Figures: []Figure{{Class: "cycles", Field: "cycles", Measured: r.number("total_cycles") - r.number("stall_cycles"), Unit: "cycles"}}}
		for _, name := range []string{"kind", "dataflow", "M", "N", "K"} {
			c.Columns = append(c.Columns, Column{name, r.get(name)})
		}
		if r.err != nil {
			return r.err
		}
		l.add(c, "")
	}
	return nil
}
