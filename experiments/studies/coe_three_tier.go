package studies

import (
	"context"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

func init() {
	register(&Study{
		Name:  "coe-three-tier",
		Title: "a composition of experts on SN40L, DGX A100 and DGX H100, against table V of the SN40L paper",
		About: []string{
			"150 to 850 experts of Llama 2 7B in bf16 behind a router, on a node of eight SN40L (520 MiB of SRAM, 64 GiB of HBM and 1.5 TiB of DDR a socket) " +
				"and on DGX A100 and DGX H100, which keep what does not fit into HBM in the memory of their host (Prabhakar et al., MICRO 2024, arXiv 2405.07518).",
		},
		Run: coeThreeTier,
	})
}

// What the paper states about its machines, section VI and table V.
const (
	coePaper = "arXiv 2405.07518 (MICRO 2024)"
	// coeNodeCopy is the rate from DDR to HBM over a node of eight sockets: "over 1 TB/s".
	coeNodeCopy units.BytesPerSecond = 1e12
	// Rates from the host to the GPUs that it takes for its DGX figures.
	coeA100Copy units.BytesPerSecond = 32e9
	coeH100Copy units.BytesPerSecond = 64e9
	// Targets.
	coeSwitchTarget = 0.10
)

// coeThreeTier is the study.
func coeThreeTier(context.Context) ([]Row, error) {
	expert, err := llm.Preset("llama2-7b")
	if err != nil {
		return nil, err
	}
	size := traces.BF16.Bytes(expert.Parameters())
	machines := map[string]*arch.Machine{}
	for _, name := range []string{"sn40l", "a100-sxm-80gb", "h100-sxm"} {
		if machines[name], err = presets.Machine(name); err != nil {
			return nil, err
		}
	}
	var rows []Row
	for _, dgx := range []struct {
		name, preset string
		rate         units.BytesPerSecond
		published    float64
	}{{"DGX A100", "a100-sxm-80gb", coeA100Copy, 31}, {"DGX H100", "h100-sxm", coeH100Copy, 15}} {
		row := Row{Part: "Switching to another expert", Name: dgx.name + " over SN40L, stated rates", Unit: "x", Ours: float64(coeNodeCopy / dgx.rate), Basis: Derived,
			Published: dgx.published, Source: coePaper + ", table V (its text: 31x and 16x)", Target: coeSwitchTarget}
		rows = append(rows, row)
		ours := machines[dgx.preset].Below(1).Time(size).Seconds() / machines["sn40l"].Below(8).Time(size/8).Seconds()
		row.Name, row.Ours, row.Basis, row.Target = dgx.name+" over SN40L, our machines", ours, Predicted, 0
		rows = append(rows, row)
	}
	return rows, nil
}
