package validation

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch/eval"
)

// targets are the levels that were set beforehand for single kernels, in percent of the mean absolute error in the fidelity event.
var targets = []struct {
	name, suite, class string
	devices            []string // none means all
	most               float64
}{
	{"products, all devices", "kernels", "gemm", nil, 8},
	{"products, A100", "kernels", "gemm", []string{"A100-SXM-80GB"}, 7.5},
	{"products, H100", "kernels", "gemm", []string{"H100-SXM-80GB"}, 6.5},
	{"products, H200", "kernels", "gemm", []string{"H200-SXM"}, 7},
	{"products, B200", "kernels", "gemm", []string{"B200-SXM"}, 8},
	{"products, RTX PRO 6000", "kernels", "gemm", []string{"RTX-PRO-6000-Blackwell"}, 9},
	{"products, RTX A6000", "kernels", "gemm", []string{"RTX-A6000"}, 8},
	{"products, RTX 3090", "kernels", "gemm", []string{"RTX-3090"}, 12},
	{"products, A30", "kernels", "gemm", []string{"A30"}, 12},
	{"products, Arc Pro B60", "kernels", "gemm", []string{"Arc-Pro-B60"}, 11},
	{"products, TPU v6e, reference rows", "tpu", "gemm", []string{"TPU-v6e"}, 6},
	{"products, TPU v4", "tpu", "gemm", []string{"TPU-v4"}, 8},
	{"attention, prefill", "kernels", "attn_prefill", nil, 7},
	{"attention, decode", "kernels", "attn_decode", nil, 7},
	{"attention, mixed", "kernels", "attn_mixed", nil, 8},
	{"norms", "kernels", "norm", nil, 10},
	{"element-wise", "kernels", "elementwise", nil, 10},
	{"mixtures of experts", "kernels", "moe", nil, 13},
	{"A100, host-timed products", "kernels", "host_matmul", []string{"A100"}, 8},
	{"A100, host-timed softmax", "kernels", "host_softmax", []string{"A100"}, 9},
	{"A100, host-timed layer norm", "kernels", "host_layernorm", []string{"A100"}, 8},
	{"A100, host-timed GELU", "kernels", "host_gelu", []string{"A100"}, 5.5},
}

// trainingTargets are the levels that were set beforehand for steps of training, in percent of the mean absolute error.
var trainingTargets = []struct {
	name    string
	classes []string
	most    float64
}{
	{"llm-foundry: MPT under FSDP on A100 and H100", []string{"llm-foundry"}, 5},
	{"BigScience's sweep, rows with heads", []string{"bloom-sweep"}, 8},
	{"BigScience's sweep, all rows", []string{"bloom-sweep", "bloom-sweep-heads-assumed"}, 10},
	{"BLOOM-176B", []string{"bloom-176b"}, 7},
	{"MT-NLG 530B", []string{"mt-nlg-530b"}, 12},
	{"Megatron-LM 175B on 256 to 12 288 chips", []string{"megatron-175b"}, 5},
	{"OPT-175B", []string{"opt-175b"}, 9},
	{"LLaMA 7B to 65B", []string{"llama"}, 8},
	{"PaLM 540B on 6144 TPU v4", []string{"palm-540b"}, 5},
	{"PaLM 540B, two pods over one", []string{"palm-540b-pods"}, 2.6}, // 1.90 to 2.00
}

// page is the page with tables from measurements.
var page = filepath.Join("..", "..", "docs", "validation.md")

// between is what a table of the page stands between: <!-- table suite=kernels class=gemm by=device,dtype -->
// and <!-- end table -->.
var between = regexp.MustCompile(`(?s)<!-- table ([^>]*?) -->\n.*?<!-- end table -->`)

// TestDocumentedTables: the tables of the page are those that strata validate prints. With -update they are written anew.
func TestDocumentedTables(t *testing.T) {
	_, err := folder()
	skipWithout(t, err)
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	tables := 0
	fresh := between.ReplaceAllStringFunc(string(text), func(old string) string {
		tables++
		words := between.FindStringSubmatch(old)[1]
		return "<!-- table " + words + " -->\n\n" + documented(t, words) + "\n<!-- end table -->"
	})
	if tables < 10 {
		t.Errorf("%d tables", tables)
	}
	if fresh == string(text) {
		return
	}
	if !*update {
		a, b := strings.Split(string(text), "\n"), strings.Split(fresh, "\n")
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				t.Fatalf("%s:%d is not what is reached; go test -update writes the tables anew\n  %s\n  %s", page, i+1, a[i], b[min(i, len(b)-1)])
			}
		}
		t.Fatalf("%s lacks rows; go test -update writes the tables anew", page)
	}
	if err := os.WriteFile(page, []byte(fresh), 0o666); err != nil {
		t.Fatal(err)
	}
}

// documented is a table of the page: what=targets, what=left, what=rows, or errors by some columns.
func documented(t *testing.T, words string) string {
	o := map[string]string{}
	for w := range strings.FieldsSeq(words) {
		k, v, _ := strings.Cut(w, "=")
		o[k] = v
	}
	switch o["what"] {
	case "targets":
		return targetTable(t)
	case "training-targets":
		return trainingTable(t)
	case "left":
		return leftTable(t, strings.Split(o["suite"], ","))
	}
	fidelity := eval.Event
	if o["fidelity"] != "" {
		fidelity = o["fidelity"]
	}
	r := *resultOf(t, o["suite"], fidelity)
	r.Rows = slices.Clone(r.Rows)
	for _, key := range []string{"class", "device", "source"} {
		if o[key] != "" {
			list := strings.Split(o[key], ",")
			r.Rows = slices.DeleteFunc(r.Rows, func(row Row) bool { return !slices.Contains(list, row.Key(key)) })
		}
	}
	if o["what"] == "rows" {
		var b strings.Builder
		b.WriteString("| | predicted | published | error |\n|---|---:|---:|---:|\n")
		for i := range r.Rows {
			row := &r.Rows[i]
			published := fmt.Sprintf("%.4g", row.Measured)
			if row.High > 0 {
				published += fmt.Sprintf(" to %.4g", row.High)
			}
			fmt.Fprintf(&b, "| %s | %.4g %s | %s | %+.1f %% |\n", strings.TrimSpace(row.Name+" "+map[bool]string{true: "on " + row.Device}[row.Class == "decode"]), row.Predicted, row.Unit, published, 100*row.Error())
		}
		return b.String()
	}
	by := strings.Split(o["by"], ",")
	var b strings.Builder
	roofline := false
	groups := Groups([]*Result{&r}, by, 1)
	for i := range groups {
		roofline = roofline || !math.IsNaN(groups[i].Roofline)
	}
	fmt.Fprintf(&b, "| %s | rows | mean | median | p90 | bias |", strings.Join(by, " | "))
	rule := "|" + strings.Repeat("---|", len(by)) + "---:|---:|---:|---:|---:|"
	if roofline {
		b.WriteString(" roofline | calibrated |")
		rule += "---:|---:|"
	}
	b.WriteString("\n" + rule + "\n")
	for i := range groups {
		g := &groups[i]
		fmt.Fprintf(&b, "| %s | %d | %.1f %% | %.1f %% | %.1f %% | %+.1f %% |", strings.Join(g.Keys, " | "), g.N, 100*g.Mean, 100*g.Median, 100*g.P90, 100*g.Bias)
		if roofline {
			b.WriteString(" " + share(g.Roofline) + " | " + share(g.Calibrated) + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// share is a share in percent, or nothing where it is not known.
func share(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*v)
}

// targetTable sets what is reached beside what was aimed at.
func targetTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| kernels | rows | target | event | analytic | bias | roofline | calibrated |\n|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, a := range targets {
		var s [2]Summary
		for i, fidelity := range []string{eval.Event, eval.Analytic} {
			r := resultOf(t, a.suite, fidelity)
			var rows []*Row
			for k := range r.Rows {
				if row := &r.Rows[k]; row.Class == a.class && (a.devices == nil || slices.Contains(a.devices, row.Device)) {
					rows = append(rows, row)
				}
			}
			s[i] = summarise(rows, 0)
		}
		if s[0].N == 0 {
			fmt.Fprintf(&b, "| %s | 0 | %g %% | | | | | |\n", a.name, a.most)
			continue
		}
		met := ""
		if s[0].Mean > a.most/100 {
			met = " (above)"
		}
		fmt.Fprintf(&b, "| %s | %d | %g %% | %.1f %%%s | %.1f %% | %+.1f %% | %s | %s |\n", a.name, s[0].N, a.most, 100*s[0].Mean, met, 100*s[1].Mean, 100*s[0].Bias, share(s[0].Roofline), share(s[0].Calibrated))
	}
	return b.String()
}

// trainingTable sets what is reached in training beside what was aimed at.
func trainingTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| steps | rows | target | mean | median | p90 | bias |\n|---|---:|---:|---:|---:|---:|---:|\n")
	r := resultOf(t, "training", eval.Event)
	for _, a := range trainingTargets {
		var rows []*Row
		for k := range r.Rows {
			if row := &r.Rows[k]; slices.Contains(a.classes, row.Class) {
				rows = append(rows, row)
			}
		}
		s := summarise(rows, 0)
		if s.N == 0 {
			fmt.Fprintf(&b, "| %s | 0 | %g %% | | | | |\n", a.name, a.most)
			continue
		}
		met := ""
		if s.Mean > a.most/100 {
			met = " (above)"
		}
		fmt.Fprintf(&b, "| %s | %d | %g %% | %.1f %%%s | %.1f %% | %.1f %% | %+.1f %% |\n", a.name, s.N, a.most, 100*s.Mean, met, 100*s.Median, 100*s.P90, 100*s.Bias)
	}
	return b.String()
}

// leftTable lists what was left out of suites.
func leftTable(t *testing.T, suites []string) string {
	var b strings.Builder
	b.WriteString("| suite | rows | left out because |\n|---|---:|---|\n")
	for _, s := range suites {
		for _, l := range resultOf(t, s, eval.Event).Left {
			fmt.Fprintf(&b, "| %s | %d | %s |\n", s, l.Rows, l.Reason)
		}
	}
	return b.String()
}
