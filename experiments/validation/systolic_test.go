package validation

import (
	"context"
	"encoding/json"
	"math"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
)

// TestScaleSim: cycles without stalls, words to and from the memory of the array and its use are those that SCALE-Sim
// v2 reports for every run of data/systolic, and so are the words that it fetches where bandwidth is unlimited. In mode
// serial the same products take all cycles of their folds.
func TestScaleSim(t *testing.T) {
	o := oracle.New(oracle.Options{})
	rows, fetched := 0, 0
	for _, r := range table(t, "systolic/scalesim_shared.csv") {
		n := func(column string) int64 { return int64(number(t, r[column])) }
		q := fields{"rows": n("array_rows"), "cols": n("array_cols"), "dataflow": r["dataflow"], "m": n("M"), "n": n("N"), "k": n("K"), "mode": "scalesim",
			"sram_kb": []int64{n("ifmap_sram_kb"), n("filter_sram_kb"), n("ofmap_sram_kb")}}
		if r["kind"] == "conv" {
			for ours, theirs := range map[string]string{"ifmap_h": "ifmap_h", "ifmap_w": "ifmap_w", "filter_h": "filter_h", "filter_w": "filter_w",
				"channels": "channels", "filters": "num_filters", "stride": "stride"} {
				q[ours] = n(theirs)
			}
		}
		var a map[string]any
		ask := func() {
			line, err := json.Marshal(fields{"systolic": q})
			if err != nil {
				t.Fatal(err)
			}
			text, err := o.Answer(context.Background(), line)
			if err != nil {
				t.Fatal(err)
			}
			a = map[string]any{}
			if err := json.Unmarshal(text, &a); err != nil || a["status"] != "ok" {
				t.Fatalf("%s: %s %v", r["id"], text, err)
			}
		}
		same := func(name string, want int64) {
			if got, ok := a[name].(float64); !ok || int64(got) != want {
				t.Errorf("%s: %s %v, SCALE-Sim has %d", r["id"], name, a[name], want)
			}
		}
		ask()
		rows++
		cycles := n("total_cycles") - n("stall_cycles")
		same("cycles", cycles)
		same("folds", n("folds"))
		for _, column := range []string{"sram_ifmap_reads", "sram_filter_reads", "sram_ofmap_writes"} {
			same(column, n(column))
		}
		near := []string{"mapping_eff_pct", "compute_util_pct"}
		if r["bw_mode"] == "CALC" {
			fetched++
			same("dram_ifmap_reads", n("dram_ifmap_reads"))
			same("dram_filter_reads", n("dram_filter_reads"))
			near = append(near, "overall_util_pct")
		}
		for _, column := range near { // percentages are sums of fractions there
			if got, ok := a[column].(float64); !ok || math.Abs(got-number(t, r[column])) > 1e-9 {
				t.Errorf("%s: %s %v, SCALE-Sim has %s", r["id"], column, a[column], r[column])
			}
		}
		q["mode"] = "serial"
		if r["kind"] == "conv" { // which the tool lets reach beyond the edge
			for _, name := range []string{"ifmap_h", "ifmap_w", "filter_h", "filter_w", "channels", "filters", "stride"} {
				delete(q, name)
			}
		}
		ask()
		same("cycles", n("folds")*n("cycles_per_fold"))
	}
	t.Logf("%d runs, the words fetched of %d, all as SCALE-Sim has them", rows, fetched)
}
