package validation

import (
	"fmt"
	"strconv"
	"strings"
)

// loadNetwork reads collectives: NCCL and vLLM's own as profilers see them, NCCL's tests, and LLMCompass's, timed by the host.
func loadNetwork(dir string, l *loaded) error {
	for _, file := range []string{"aic_network", "vidur_network"} {
		if err := loadKernelFile(dir, "kernels/"+file+".csv", l); err != nil {
			return err
		}
	}
	if err := loadHostTimed(dir, l, true); err != nil {
		return err
	}
	if err := loadBusBandwidth(dir, l); err != nil {
		return err
	}
	return loadAstra(dir, l)
}

// loadAstra reads what ASTRA-sim's analytical backends answer, which the modes of that name answer to the nanosecond.
func loadAstra(dir string, l *loaded) error {
	list, err := records(dir, "network/astrasim_collectives.csv")
	if err != nil {
		return err
	}
	names := strings.NewReplacer("FullyConnected", "fully-connected", "Ring", "ring", "Switch", "switch", "halvingDoubling", "halving-doubling", "doubleBinaryTree", "double-binary-tree")
	for i := range list {
		r := reading{record: &list[i]}
		split := func(column string) []string {
			return strings.FieldsFunc(names.Replace(r.get(column)), func(c rune) bool { return c == '/' || c == '_' || column == "dims" && c == 'x' })
		}
		numbers := func(column string) []float64 {
			var all []float64
			for _, text := range split(column) {
				x, err := strconv.ParseFloat(text, 64)
				if err != nil {
					r.fail(column, "%.20q is no number", text)
				}
				all = append(all, x)
			}
			return all
		}
		algorithm := split("algorithm")
		q := Fields{"mode": "astra-" + r.get("backend"), "topology": split("topology"), "dims": numbers("dims"), "link_gigabytes_per_second": numbers("bw_GBps"), "latency_ns": numbers("latency_ns"),
			"collective": strings.ReplaceAll(r.get("collective"), "_", "-"), "algorithm": algorithm, "bytes": r.integer("bytes"), "chunks": r.integer("chunks(preferred-dataset-splits)"), "active_chunks": r.integer("active_chunks_per_dim")}
		class := "astra_" + strings.ReplaceAll(algorithm[0], "-", "_")
		if len(algorithm) > 1 {
			class = "astra_dimensions"
		}
		c := Case{File: r.file, Line: r.line, Source: "astra-sim", Device: r.get("backend"), Name: strings.Join([]string{r.get("topology"), r.get("dims"), r.get("collective"), r.get("algorithm"), r.get("bytes")}, " "),
			Request: Fields{"network": q}, Columns: []Column{{"bytes", r.get("bytes")}, {"num_devices", r.get("npus")}, {"kernel", r.get("algorithm")}},
			Figures: []Figure{{Class: class, Field: "seconds", Scale: 1e9, Measured: r.number("simulated_ns"), Unit: "ns"}}}
		if r.err != nil {
			return r.err
		}
		l.add(c, "")
	}
	return nil
}

// node returns the preset of a system whose bus bandwidth was published, "" if it is another.
func node(system string) string {
	for _, m := range []struct{ part, arch string }{{"A100", "a100-sxm-80gb"}, {"H100", "h100-sxm"}, {"H200", "h200-sxm"}, {"B200", "b200-sxm"}} {
		if strings.Contains(system, m.part) {
			return m.arch
		}
	}
	return ""
}

// loadBusBandwidth reads bus bandwidths of NCCL's tests, as times.
func loadBusBandwidth(dir string, l *loaded) error {
	list, err := records(dir, "network/nccl_busbw.csv")
	if err != nil {
		return err
	}
	for i := range list {
		r := reading{record: &list[i]}
		system, class := r.get("system"), r.get("collective")
		arch := node(system)
		kind, known := collectiveKinds[class]
		switch {
		case strings.Contains(system, "HDR200") || strings.Contains(system, "CX6") || strings.Contains(system, "RoCE"):
			l.leave("other network interfaces than the machine's")
			continue
		case arch == "":
			l.leave("no machine for " + system)
			continue
		case !known || r.get("bytes") == "" || strings.ContainsAny(r.get("bytes"), "gG"):
			l.leave("collective or size not said")
			continue
		case strings.Contains(r.get("algorithm"), "nvlstree"):
			l.leave("trees between switches that reduce")
			continue
		}
		bytes, n, rate := r.integer("bytes"), r.integer("ranks"), r.number("busbw_GBps")
		if r.err != nil {
			return r.err
		}
		op := Fields{"kind": kind, "bytes": bytes, "ranks": n}
		if a := r.get("algorithm"); class == "all_reduce" && (a == "ring" || strings.Contains(a, "NVLS off") || strings.Contains(a, "NVLS=0")) {
			op["algorithm"] = "ring"
		}
		figure := class
		if r.optional("nodes", 1) > 1 {
			figure += "_nodes"
		}
		moved := float64(bytes) * float64(n-1) / float64(n)
		if class == "all_reduce" {
			moved *= 2
		}
		l.add(Case{File: r.file, Line: r.line, Source: "nccl_busbw", Device: system, Arch: arch, Name: fmt.Sprintf("%s %d B, %d ranks", class, bytes, n),
			Request: Fields{"op": op, "framework": "nccl-tests", "host_sync": true},
			Columns: []Column{{"bytes", r.get("bytes")}, {"num_devices", r.get("ranks")}, {"kernel", r.get("algorithm")}},
			Work:    linkRoofline(arch, moved, n),
			Figures: []Figure{{Class: figure, Field: "seconds", Scale: 1e6, Measured: moved / rate / 1e3, Unit: "us"}}}, "")
	}
	return nil
}
