package validation

import (
	"fmt"
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
	return loadBusBandwidth(dir, l)
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
		case r.optional("nodes", 1) > 1 || r.optional("ranks", 1) > 8:
			l.leave("collectives that cross nodes or pairs")
			continue
		case arch == "":
			l.leave("no machine for " + system)
			continue
		case !known || r.get("bytes") == "" || r.get("bytes") == "large":
			l.leave("collective or size not said")
			continue
		case strings.Contains(r.get("algorithm"), "NVLS off"), strings.Contains(r.get("algorithm"), "NVLS=0"):
			l.leave("algorithm picked by hand")
			continue
		}
		bytes, n, rate := r.integer("bytes"), r.integer("ranks"), r.number("busbw_GBps")
		if r.err != nil {
			return r.err
		}
		moved := float64(bytes) * float64(n-1) / float64(n)
		if class == "all_reduce" {
			moved *= 2
		}
		l.add(Case{File: r.file, Line: r.line, Source: "nccl_busbw", Device: system, Arch: arch, Name: fmt.Sprintf("%s %d B, %d ranks", class, bytes, n),
			Request: Fields{"op": Fields{"kind": kind, "bytes": bytes, "ranks": n}, "framework": "nccl-tests", "host_sync": true},
			Columns: []Column{{"bytes", r.get("bytes")}, {"num_devices", r.get("ranks")}, {"kernel", r.get("algorithm")}},
			Work:    linkRoofline(arch, moved, n),
			Figures: []Figure{{Class: class, Field: "seconds", Scale: 1e6, Measured: moved / rate / 1e3, Unit: "us"}}}, "")
	}
	return nil
}
