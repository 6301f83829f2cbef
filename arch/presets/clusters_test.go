package presets_test

import (
	"testing"

	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/units"
)

// The networks of all presets whose nodes are joined to others, with what is published of them: chips of a node, the links of
// a chip inside it, adapters of a node and the rate of each, in GB/s per direction, and how many nodes there are, 0 where
// that is left open. The rates are those of the standards: HDR and 200 Gbit/s Ethernet 25, NDR and 400 Gbit/s 50, EDR,
// Omni-Path and EFA of 100 Gbit/s 12.5.
var networks = []struct {
	machine   string
	chips     int64
	up        float64 // of a chip, all its links
	nics      int64
	bandwidth float64 // of one
	nodes     int64
	source    string
}{
	{"jean-zay", 8, 300, 4, 12.5, 0, "bigscience-workshop/bigscience, train/tr11-176B-ml/README.md: NVLink between eight A100 80 GB, four Omni-Path a node"},
	{"selene", 8, 300, 8, 25, 560, "Smith et al., arXiv 2201.11990, section 2.4: 560 DGX A100, eight HDR 200 Gbit/s"},
	{"dgx-a100-superpod", 8, 300, 8, 25, 140, "NVIDIA RA-09950-001: seven units of 20 DGX A100, eight HDR"},
	{"dgx-h100-superpod", 8, 450, 8, 50, 128, "NVIDIA RA-11333-001: four units of 32 DGX H100, eight NDR"},
	{"dgx-b200-superpod", 8, 900, 8, 50, 128, "NVIDIA DGX SuperPOD with DGX B200: four units of 32, eight NDR"},
	{"azure-a100", 8, 300, 8, 25, 0, "Microsoft Azure, ND A100 v4: 1.6 Tbit/s a virtual machine"},
	{"meta-rsc", 8, 300, 8, 25, 2000, "Meta, Introducing the AI Research SuperCluster (2022): 16000 GPUs, 1600 Gbit/s a node"},
	{"meta-h100-24k", 8, 450, 8, 50, 3072, "Llama Team, arXiv 2407.21783, section 3.3.1: 24576 H100, 400 Gbit/s each"},
	{"mosaic-a100-40gb", 8, 300, 8, 25, 0, "mosaicml/llm-foundry, scripts/train/benchmarking: 1600 Gbit/s, RoCE"},
	{"mosaic-a100-80gb", 8, 300, 8, 25, 0, "mosaicml/llm-foundry, scripts/train/benchmarking: 1600 Gbit/s, RoCE"},
	{"mosaic-h100", 8, 450, 8, 50, 0, "not published"},
	{"megascale", 8, 300, 8, 25, 0, "Jiang et al., arXiv 2402.15627, section 3.6: eight 200 Gbit/s"},
	{"gpt3-v100", 8, 150, 4, 12.5, 1250, "Microsoft, Build 2020: 10000 GPUs, 400 Gbit/s a server"},
	{"neox-a100", 8, 300, 4, 25, 12, "Black et al., arXiv 2204.06745, section 3.2: twelve nodes, four HDR"},
	{"aws-p4d", 8, 300, 4, 12.5, 0, "AWS, EC2 P4d: 400 Gbit/s"},
	{"aws-p5", 8, 450, 32, 12.5, 0, "AWS, EC2 P5: 3200 Gbit/s"},
	{"frontier", 8, 150, 4, 25, 9408, "Atchley et al., SC 2023: 9408 nodes, four Slingshot of 200 Gbit/s"},
	{"tpu-v3-pod", 1024, 4 * 70, 256, 12.5, 0, "Jouppi et al., ISCA 2023, table 4: 1024 chips, four links of 70 GB/s"},
	{"tpu-v4-pod", 4096, 6 * 45, 1024, 25, 0, "Jouppi et al., ISCA 2023, section 2; JAX scaling book: six links of 45 GB/s, 25 GB/s a host of four"},
	{"tpu-v4-pods", 3072, 6 * 45, 768, 25, 0, "Chowdhery et al., arXiv 2204.02311, section 4; JAX scaling book"},
	{"tpu-v5e-pod", 256, 4 * 45, 32, 25, 0, "JAX scaling book: 16x16, four links of 45 GB/s"},
	{"tpu-v5p-pod", 8960, 6 * 90, 2240, 25, 0, "JAX scaling book: 16x20x28, six links of 90 GB/s"},
	{"tpu-v6e-pod", 256, 4 * 90, 32, 25, 0, "JAX scaling book: 16x16, four links of 90 GB/s"},
	// Chips of one kind, in the nodes that they are sold in.
	{"a100-sxm-80gb", 8, 300, 8, 25, 0, "NVIDIA DGX A100 data sheet (2020)"},
	{"a100-sxm-40gb", 8, 300, 8, 25, 0, "NVIDIA DGX A100 data sheet (2020)"},
	{"a100-pcie-80gb", 2, 300, 2, 25, 0, "a NIC each assumed"},
	{"a30", 8, 31, 1, 25, 0, "one NIC a server assumed"},
	{"h100-sxm", 8, 450, 8, 50, 0, "NVIDIA DGX H100 data sheet (2023)"},
	{"h100-pcie", 2, 300, 2, 50, 0, "a NIC each assumed"},
	{"h200-sxm", 8, 450, 8, 50, 0, "NVIDIA DGX H200 data sheet (2024)"},
	{"gh200-144", 2, 450, 2, 50, 0, "NVIDIA GH200 NVL2 data sheet (2024); a NIC each assumed"},
	{"b200-sxm", 8, 900, 8, 50, 0, "NVIDIA DGX B200 data sheet (2024)"},
	{"gb200", 72, 900, 72, 50, 0, "NVIDIA GB200 NVL72 data sheet (2024)"},
	{"v100-sxm2-32", 8, 150, 4, 12.5, 0, "NVIDIA DGX-1 data sheet (2018): six links of 25 GB/s, four EDR"},
	{"mi210", 8, 31, 1, 25, 0, "one NIC a server assumed"},
	{"mi250x", 8, 3 * 50, 4, 25, 0, "AMD CDNA 2 white paper (2021): links of 50 GB/s, three of each die to other modules; as frontier"},
	{"mi300x", 8, 7 * 64, 8, 50, 0, "AMD Instinct MI300X Platform data sheet (2023): seven links of 64 GB/s"},
	{"gaudi2", 8, 21 * 12.5, 24, 12.5, 0, "Intel Gaudi 2 white paper (2022): 21 of 24 ports inside, three outside"},
	{"gaudi3", 8, 21 * 25, 24, 25, 0, "Intel Gaudi 3 white paper (2024): 21 of 24 ports inside, three outside"},
	{"trainium1", 16, 192, 8, 12.5, 0, "AWS Neuron documentation, Trn1: 384 GB/s a chip, 800 Gbit/s"},
	{"inferentia2", 12, 96, 1, 12.5, 0, "AWS Neuron documentation, Inf2: 192 GB/s a chip, 100 Gbit/s"},
	{"trainium2", 16, 4 * 128, 16, 25, 0, "AWS Neuron documentation, Trn2: 128 GB/s a link, 3.2 Tbit/s"},
	{"tpu-v3", 4, 2 * 70, 1, 12.5, 0, "as tpu-v3-pod, one board"},
	{"tpu-v4", 8, 3 * 45, 2, 25, 0, "as tpu-v4-pod, 2x2x2"},
	{"tpu-v5e", 8, 3 * 45, 1, 25, 0, "as tpu-v5e-pod, 2x4"},
	{"tpu-v5p", 8, 3 * 90, 2, 25, 0, "as tpu-v5p-pod, 2x2x2"},
	{"tpu-v6e", 8, 3 * 90, 1, 25, 0, "as tpu-v6e-pod, 2x4"},
}

func TestNetworks(t *testing.T) {
	listed := map[string]bool{}
	for _, c := range networks {
		listed[c.machine] = true
		m := preset(t, c.machine)
		out := m.System.ScaleOut
		if out == nil {
			t.Errorf("%s has no network between nodes", c.machine)
			continue
		}
		if m.System.Chips != c.chips || float64(m.System.ScaleUp.Bandwidth) != c.up*1e9 {
			t.Errorf("%s: %d chips, %v; want %d, %g GB/s (%s)", c.machine, m.System.Chips, m.System.ScaleUp.Bandwidth, c.chips, c.up, c.source)
		}
		if out.NICs != c.nics || float64(out.Bandwidth) != c.bandwidth*1e9 || out.Nodes != c.nodes {
			t.Errorf("%s: %d of %v, %d nodes; want %d of %g GB/s, %d (%s)", c.machine, out.NICs, out.Bandwidth, out.Nodes, c.nics, c.bandwidth, c.nodes, c.source)
		}
		// A gradient over four nodes, all chips of which take part: no faster than the adapters' rate or the links', and no slower
		// than half of the slower one's payload. On two nodes a tree sends each byte once where a ring sends it twice.
		const size, nodes = 64 << 30, 4
		cost, err := m.Cluster().Collective(nil, interconnect.AllReduce, interconnect.Group{Ranks: nodes * c.chips, Stride: 1}, size, "")
		if err != nil {
			t.Errorf("%s: %v", c.machine, err)
			continue
		}
		n := float64(nodes * c.chips)
		bus := 2 * (n - 1) / n * size / (float64(cost.Time) / float64(units.Second)) / 1e9
		// What a rank sends out of its node, all ranks of the node send once; inside, one in so many bytes needs no link.
		wire := min(float64(c.nics)*c.bandwidth, c.up*float64(c.chips)/float64(c.chips-1))
		if bus > wire || bus < 0.5*wire*out.Efficiency {
			t.Errorf("%s: %.1f GB/s of bus bandwidth over %d nodes, the wire has %.1f", c.machine, bus, nodes, wire)
		}
		// One node more than there are is refused.
		if c.nodes > 0 {
			if _, err := m.Cluster().Collective(nil, interconnect.AllReduce, interconnect.Group{Ranks: (c.nodes + 1) * c.chips, Stride: 1}, size, ""); err == nil {
				t.Errorf("%s: %d nodes of %d", c.machine, c.nodes+1, c.nodes)
			}
		}
	}
	for _, name := range presets.Names() {
		if m := preset(t, name); m.System.ScaleOut != nil && !listed[name] {
			t.Errorf("%s has a network between nodes and is not in the table", name)
		}
	}
}
