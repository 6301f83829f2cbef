package main

import (
	"encoding/json"
	"io"
	"math"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/cost"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/sim/units"
)

// archCost is the command arch cost.
type archCost struct {
	set      []string
	form     string
	tokens   float64
	watts    float64
	problems experiments.Problems
}

func newArchCost() *cobra.Command {
	k := &archCost{}
	c := &cobra.Command{
		Use:   "cost NAME|FILE",
		Short: "Area of the dies, price of chip and node, cost of owning it",
		Long: `Estimate what a machine takes in silicon and in money: the area of its dies by part, next to the published one where there is
one; dies on a wafer, yield, cost of a good die; memory, package and price of a chip; price of a node, and what an hour of it costs to
own: capital, building, electricity, upkeep. Constants, their sources and errors are in docs/area.md. What they do not cover is an error
that names the field: --set chip.area.… and --set cost.own.… give it, or change what is usual.

With --tokens-per-second a million tokens of the node get a price too. -o json prints one object (strata.cost/1).`,
		Example: `strata arch cost a100-sxm-80gb
strata arch cost h100-sxm --set cost.own.electricity="0.12 USD/kWh" --set cost.own.years=5
strata arch cost a100-sxm-80gb --set chip.cores.count=64 --tokens-per-second 2000 --watts 2400`,
		Args:              cobra.ExactArgs(1),
		RunE:              k.run,
		ValidArgsFunction: completeArgs(machineNames),
	}
	fs := c.Flags()
	fs.StringArrayVar(&k.set, "set", nil, "change a figure first: `PATH=VALUE`")
	fs.Float64Var(&k.tokens, "tokens-per-second", 0, "`TOKENS` that a node makes in a second")
	fs.Float64Var(&k.watts, "watts", 0, "`WATTS` that the chips of a node draw together on average (default the usual share of their limits)")
	formFlag(c, &k.form, &k.problems)
	return c
}

func (k *archCost) run(c *cobra.Command, args []string) error {
	for _, f := range []struct {
		name  string
		value float64
	}{{"tokens-per-second", k.tokens}, {"watts", k.watts}} {
		if c.Flags().Changed(f.name) && !(f.value > 0 && f.value <= math.MaxInt32*1e3) {
			k.problems.Add(&experiments.Invalid{Field: f.name, Message: "must be more than 0, and no more than makes sense"})
		}
	}
	if err := k.problems.Err(); err != nil {
		return err
	}
	m, err := experiments.MachineOf(args[0], k.set)
	if err != nil {
		return argumentError(args[0], inputError(err))
	}
	e, err := cost.Of(m)
	if err != nil {
		return inputError(err)
	}
	if k.watts > 0 {
		e.Hour = e.At(e.Draw(units.Watts(k.watts)))
	}
	run := report.DesignRun{TokensPerSecond: k.tokens, Figures: e.Run(e.Node.Count, k.tokens, 0)}
	return printTo(c, func(w io.Writer) error {
		switch k.form {
		case "json":
			return costJSON(w, m, e, run)
		case "csv":
			return report.DesignTable(e, run).CSV(w)
		}
		return report.Design(w, m, e, run, styleOf(c))
	})
}

// costJSON writes an estimate for other programs.
func costJSON(w io.Writer, m *arch.Machine, e *cost.Estimate, run report.DesignRun) error {
	type component struct {
		Name    string  `json:"name"`
		Die     string  `json:"die"`
		Count   int64   `json:"count"`
		AreaMM2 float64 `json:"area_mm2"`
	}
	type die struct {
		Kind         string  `json:"kind"`
		Count        int64   `json:"count"`
		Nanometres   float64 `json:"nm"`
		AreaMM2      float64 `json:"area_mm2"`
		PublishedMM2 float64 `json:"published_mm2,omitempty"`
		BelowMM2     float64 `json:"published_below_mm2,omitempty"`
		PerWafer     float64 `json:"per_wafer"`
		WaferUSD     float64 `json:"wafer_usd"`
		Yield        float64 `json:"yield"`
		USD          float64 `json:"usd"`
	}
	type memory struct {
		Name   string  `json:"name"`
		Bytes  int64   `json:"bytes"`
		USD    float64 `json:"usd"`
		PerGiB float64 `json:"usd_per_gib"`
	}
	type chip struct {
		DiesUSD    float64  `json:"dies_usd"`
		Memory     []memory `json:"memory"`
		PackageUSD float64  `json:"package_usd"`
		TestUSD    float64  `json:"test_usd"`
		CostUSD    float64  `json:"cost_usd"`
		MarginUSD  float64  `json:"margin_usd"`
	}
	type node struct {
		Chips     int64   `json:"chips"`
		ChipsUSD  float64 `json:"chips_usd"`
		ServerUSD float64 `json:"server_usd"`
		MemoryUSD float64 `json:"memory_usd"`
		NICsUSD   float64 `json:"nics_usd"`
		USD       float64 `json:"usd"`
		Watts     float64 `json:"watts"`
	}
	type hour struct {
		Watts       float64 `json:"watts"`
		Capital     float64 `json:"capital"`
		Building    float64 `json:"building"`
		Electricity float64 `json:"electricity"`
		Upkeep      float64 `json:"upkeep"`
		Chip        float64 `json:"chip"`
	}
	out := struct {
		Schema              string      `json:"schema"`
		Arch                string      `json:"arch"`
		AreaMM2             float64     `json:"area_mm2"`
		ChipUSD             float64     `json:"chip_usd"`
		TCOUSDPerHour       float64     `json:"tco_usd_per_hour"`
		USDPerMillionTokens float64     `json:"usd_per_million_tokens,omitempty"`
		Cores               int64       `json:"cores"`
		Enabled             int64       `json:"enabled_cores"`
		Components          []component `json:"components"`
		Dies                []die       `json:"dies"`
		Chip                chip        `json:"chip"`
		Node                node        `json:"node"`
		Hour                hour        `json:"usd_per_hour"`
		Notes               []string    `json:"notes,omitempty"`
	}{Schema: "strata.cost/1", Arch: m.Name, AreaMM2: run.Figures.AreaMM2, ChipUSD: run.Figures.ChipUSD, TCOUSDPerHour: run.Figures.TCOUSDPerHour,
		USDPerMillionTokens: run.Figures.USDPerMillionTokens, Cores: e.Cores, Enabled: e.Enabled, Notes: e.Notes}
	for i := range e.Components {
		p := &e.Components[i]
		out.Components = append(out.Components, component{p.Name, p.Die, p.Count, float64(p.Area)})
	}
	for i := range e.Dies {
		d := &e.Dies[i]
		out.Dies = append(out.Dies, die{d.Kind, d.Count, float64(d.Node), float64(d.Area), float64(d.Published), float64(d.Below), d.PerWafer, float64(d.Wafer), d.Yield, float64(d.Cost)})
	}
	p, n, h := &e.Chip, &e.Node, &e.Hour
	out.Chip = chip{float64(p.Dies), []memory{}, float64(p.Package), float64(p.Test), float64(p.Cost), float64(p.Margin)}
	for i := range p.Memory {
		t := &p.Memory[i]
		out.Chip.Memory = append(out.Chip.Memory, memory{t.Name, int64(t.Capacity), float64(t.Price), float64(t.PerGiB)})
	}
	out.Node = node{n.Count, float64(n.Chips), float64(n.Server), float64(n.Memory), float64(n.NICs), float64(n.Price), float64(n.Power)}
	out.Hour = hour{float64(h.Power), float64(h.Capital), float64(h.Building), float64(h.Electricity), float64(h.Upkeep), float64(h.Chip)}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}
