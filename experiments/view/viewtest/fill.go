package viewtest

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/stratasim/strata/experiments/store"
)

// Spec is the file of the sweep that Fill makes.
const Spec = `name: %s
description: memory and clocks of two machines, by batch and type
axes:
  - {name: machine, path: arch, values: [a100-sxm-80gb, h100-sxm]}
  - {name: bandwidth, path: "chip.memory[hbm].bandwidth", range: {from: 1 TB/s, to: 6 TB/s}}
  - {name: clock, path: chip.clock, range: {from: 1 GHz, to: 2 GHz}}
  - {name: batch, path: batch, values: [1, 4, 16, 64, 256]}
  - {name: dtype, path: dtype, values: [bf16, fp8]}
objectives:
  - {column: tokens_per_second}
  - {column: joules_per_token, goal: min}
  - {column: usd_per_million_tokens}
`

// chip is the part of a machine file that rooflines read.
const chip = `name: %s
chip:
  clock: %.0f Hz
  cores:
    count: %d
    matrix:
      kind: mma
      fma_per_cycle:
        bf16: %d%s
  memory:
    - name: l2
      kind: sram
      capacity: 40 MiB
    - name: hbm
      kind: hbm
      capacity: 80 GiB
      bandwidth: %.0f B/s
system:
  chips: 1
`

// Hostile is a name that would be markup if it were not taken for text.
const Hostile = `</script><img src=x onerror="document.title='broken'">&amp;`

// Fill puts a sweep of n points into a database. Of 40, 35 are ok and one has each of the other statuses that there are.
func Fill(ctx context.Context, s *store.Store, sweep string, n int, hostile bool) error {
	machines := []string{"a100-sxm-80gb", "h100-sxm"}
	file := fmt.Sprintf(Spec, sweep)
	if err := s.PutSweep(ctx, store.Sweep{Name: sweep, Spec: file, Kind: "sweep", SpecHash: "0123", Count: int64(n)}); err != nil {
		return err
	}
	var rows []store.Row
	var points []store.Point
	for i := range n {
		row, point := one(sweep, i, machines, hostile)
		if row != nil {
			rows = append(rows, *row)
		}
		points = append(points, point)
		if len(points) == 500 || i == n-1 {
			if err := s.PutPoints(ctx, rows, points); err != nil {
				return err
			}
			rows, points = rows[:0], points[:0]
		}
	}
	return nil
}

// spread is the i-th number of a sequence that fills 0 to 1 evenly (additive recurrence).
func spread(i int, step float64) float64 { return math.Mod(0.5+float64(float64(i+1)*step), 1) }

var (
	batches   = []float64{1, 4, 16, 64, 256}
	dtypes    = []string{"bf16", "fp8"}
	failures  = []struct{ status, reason string }{{"infeasible", "each chip of %s needs %d GiB of hbm and has 80 GiB"}, {"rejected", "constraint average_watts < 700 is not met: %s, %d W"}, {"invalid", "dtype: the matrix unit of %s has no rate for fp8 (point %d)"}, {"timeout", "no answer of %s after %d s"}, {"error", "%s: internal: %d"}}
	causes    = []string{"compute", "sram", "hbm", "ddr", "link", "launch", "dependency", "idle"}
	component = []string{"matrix", "vector", "sram", "hbm", "leakage", "idle"}
)

func one(sweep string, i int, machines []string, hostile bool) (*store.Row, store.Point) {
	k := i % 2
	machine, model := machines[k], "llama2-7b"
	if hostile {
		model = Hostile
	}
	bandwidth, clock := 1e12+float64(5e12*spread(i, 0.6180339887)), 1e9+float64(1e9*spread(i, 0.7548776662))
	batch, dtype := batches[(i/2)%5], dtypes[(i/10)%2]
	parameters, err := json.Marshal(map[string]any{"machine": machine, "bandwidth": math.Round(bandwidth), "clock": math.Round(clock), "batch": batch, "dtype": dtype})
	if err != nil {
		panic(err) // plain values
	}
	key := fmt.Sprintf("%08x%056x", uint32(i)*2654435761, i)
	p := store.Point{Sweep: sweep, Index: int64(i), Key: key, Status: "ok", Parameters: string(parameters)}
	if k := i % 40; k >= 35 {
		f := failures[k-35]
		p.Status, p.Reason = f.status, fmt.Sprintf(f.reason, machine, 81+i%100)
		if hostile {
			p.Reason += Hostile
		}
		if p.Status != "infeasible" {
			p.Key = ""
			return nil, p
		}
	}
	peak := []float64{312e12 / 1.41e9, 989e12 / 1.83e9}[k] * clock
	width := 2.0
	if dtype == "fp8" {
		width = 1
		peak *= 2
	}
	memory, compute := 14e9*width/2/bandwidth+batch*0.5e9/bandwidth, batch*14e9/(peak*0.7)
	step := math.Pow(math.Pow(memory, 4)+math.Pow(compute, 4), 0.25) + 30e-6
	joules := 14e9*width*4e-12*8/2 + batch*14e9*0.4e-12*math.Pow(clock/1.4e9, 2) + step*90
	tokens := batch / step
	usd := (1 + float64(bandwidth/2e12) + float64(clock/1e9)) * []float64{0.8, 1.6}[k]
	r := &store.Row{Key: key, Values: store.Values{
		"status": "ok", "model_version": "made", "created_by": "viewtest", "arch": machine, "model": model, "phase": "decode", "fidelity": "analytic", "runtime": "compiled",
		"parallel": "tp1", "tp": 1, "pp": 1, "chips": 1, "batch": int64(batch), "prompt": 2048, "generate": 1, "dtype": dtype, "weight_dtype": dtype,
		"arch_hash": fmt.Sprint("a", i), "graph_hash": "g", "request": fmt.Sprintf(`{"machine_input":"machine-%d"}`, i),
	}, Inputs: []store.Input{{Hash: fmt.Sprint("machine-", i), Kind: "machine", Name: machine,
		Content: fmt.Appendf(nil, chip, machine, clock, []int{108, 132}[k], []int{1024, 2048}[k], []string{"", "\n        fp8: 4096"}[k], bandwidth)}}, Brief: true}
	if p.Status != "ok" {
		r.Values["status"], r.Values["reason"] = p.Status, p.Reason
		return r, p
	}
	bound := "hbm"
	if compute > memory {
		bound = "compute"
	}
	for name, v := range map[string]float64{"seconds": step, "tpot_seconds": step, "floor_seconds": step * 0.97, "tokens_per_second": tokens, "mfu": batch * 14e9 / step / peak,
		"hfu": batch * 14.2e9 / step / peak, "joules": joules, "joules_per_token": joules / batch, "average_watts": joules / step, "peak_watts": joules / step * 1.1,
		"usd_per_hour": usd, "usd_per_million_tokens": usd / 3600 / tokens * 1e6} {
		r.Values[name] = v
	}
	r.Values["bound_by"], r.Values["weight_bytes"], r.Values["kv_bytes"] = bound, int64(14e9*width/2), int64(batch*0.5e9)
	busy := step - 30e-6
	for _, c := range causes {
		r.Stalls = append(r.Stalls, store.Values{"cause": c, "seconds": map[string]float64{"compute": busy * compute / (memory + compute), "hbm": busy * memory / (memory + compute), "launch": 30e-6}[c]})
	}
	for n, c := range component {
		r.Energy = append(r.Energy, store.Values{"component": c, "joules": joules * float64(n+1) / 21})
	}
	r.Memory = []store.Values{{"tier": "hbm", "kind": "hbm", "capacity_bytes": int64(80 << 30), "peak_bytes": int64(20 << 30), "read_bytes": int64(14e9*width/2 + batch*0.5e9), "written_bytes": int64(batch * 1e6)}}
	return r, p
}
