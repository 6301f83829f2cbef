package validation

import (
	"fmt"
	"maps"
)

// loadSystolic reads what SCALE-Sim v2 answers: cycles without stalls, folds, words to and from the memory of the array, its
// use and, where bandwidth is unlimited, the words that it fetches. In mode serial the same products take all cycles of their
// folds. Percentages are sums of fractions there.
func loadSystolic(dir string, l *loaded) error {
	list, err := records(dir, "systolic/scalesim_shared.csv")
	if err != nil {
		return err
	}
	for i := range list {
		r := reading{record: &list[i]}
		product := Fields{"rows": r.integer("array_rows"), "cols": r.integer("array_cols"), "dataflow": r.get("dataflow"), "m": r.integer("M"), "n": r.integer("N"), "k": r.integer("K"),
			"sram_kb": []int64{r.integer("ifmap_sram_kb"), r.integer("filter_sram_kb"), r.integer("ofmap_sram_kb")}}
		as := maps.Clone(product)
		as["mode"] = "scalesim"
		if r.get("kind") == "conv" {
			for ours, theirs := range map[string]string{"ifmap_h": "ifmap_h", "ifmap_w": "ifmap_w", "filter_h": "filter_h", "filter_w": "filter_w",
				"channels": "channels", "filters": "num_filters", "stride": "stride"} {
				as[ours] = r.integer(theirs)
			}
		}
		c := Case{File: r.file, Line: r.line, ID: r.get("id"), Source: "scale-sim-v2", Device: r.get("array_rows") + "x" + r.get("array_cols"),
			Name: fmt.Sprintf("%s %s %s", r.get("layer"), r.get("dataflow"), r.get("bw_mode"))}
		for _, name := range []string{"kind", "dataflow", "M", "N", "K"} {
			c.Columns = append(c.Columns, Column{name, r.get(name)})
		}
		figure := func(name string, measured float64, unit string) {
			c.Figures = append(c.Figures, Figure{Class: name, Field: name, Measured: measured, Unit: unit})
		}
		figure("cycles", r.number("total_cycles")-r.number("stall_cycles"), "cycles")
		figure("folds", r.number("folds"), "folds")
		for _, name := range []string{"sram_ifmap_reads", "sram_filter_reads", "sram_ofmap_writes"} {
			figure(name, r.number(name), "words")
		}
		percentages := []string{"mapping_eff_pct", "compute_util_pct"}
		if r.get("bw_mode") == "CALC" {
			figure("dram_ifmap_reads", r.number("dram_ifmap_reads"), "words")
			figure("dram_filter_reads", r.number("dram_filter_reads"), "words")
			percentages = append(percentages, "overall_util_pct")
		}
		for _, name := range percentages {
			figure(name, r.number(name), "%")
		}
		serial := c
		c.Request = Fields{"systolic": as}
		product["mode"] = "serial"
		serial.Request = Fields{"systolic": product}
		serial.Figures = []Figure{{Class: "cycles_serial", Field: "cycles", Measured: r.number("folds") * r.number("cycles_per_fold"), Unit: "cycles"}}
		if r.err != nil {
			return r.err
		}
		l.add(c, "")
		l.add(serial, "")
	}
	return nil
}
