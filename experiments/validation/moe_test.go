package validation

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
)

// moeRequest turns a row of aiconfigurator's mixtures of experts into an operator.
func moeRequest(t *testing.T, row map[string]string) fields {
	t.Helper()
	m := moeShape.FindStringSubmatch(row["shape"])
	if m == nil {
		t.Fatalf("shape %q", row["shape"])
	}
	op := fields{"kind": "moe", "dtype": row["dtype"]}
	for i, name := range []string{"tokens", "hidden", "intermediate", "top_k", "experts", "tp", "ep"} {
		n, err := strconv.ParseInt(m[i+1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		op[name] = n
	}
	if m[8] != "" {
		op["skew"] = number(t, m[8])
	}
	return op
}

// TestMoEKernels: the fused mixtures of experts of vLLM, replayed as graphs (aiconfigurator). Constants were
// fitted on every other row; the gates are of the rows that were not used.
func TestMoEKernels(t *testing.T) {
	g := newGates("A100-SXM-80GB bf16, fitted on", 0.25, "A100-SXM-80GB bf16", 0.27,
		"H100-SXM-80GB bf16, fitted on", 0.10, "H100-SXM-80GB bf16", 0.105, "H100-SXM-80GB fp8, fitted on", 0.12, "H100-SXM-80GB fp8", 0.12,
		"H200-SXM bf16, fitted on", 0.135, "H200-SXM bf16", 0.13, "H200-SXM fp8, fitted on", 0.145, "H200-SXM fp8", 0.155)
	o := oracle.New(oracle.Options{})
	n, left := map[string]int{}, map[string]int{}
	for _, row := range table(t, "kernels/aic_moe.csv") {
		device := row["device"]
		arch := map[string]string{"A100-SXM-80GB": "a100-sxm-80gb", "H100-SXM-80GB": "h100-sxm", "H200-SXM": "h200-sxm"}[device]
		if arch == "" {
			left["other chips"]++
			continue
		}
		if row["flag"] != "" {
			left["marked by their source"]++
			continue
		}
		set := device + " " + row["dtype"]
		if n[set]++; n[set]%2 == 1 {
			set += ", fitted on"
		}
		op := moeRequest(t, row)
		if !aligned(op) {
			left["unaligned"]++
			continue
		}
		seconds := ask(t, o, fields{"arch": arch, "op": op, "framework": row["framework"], "kernel": row["kernel"]})
		g.add(t, set, strings.TrimPrefix(row["shape"], "T"), seconds, 1e-6*number(t, row["measured_us"]))
	}
	t.Logf("left out: %v", left)
	g.check(t)
}

// aligned reports whether the rows of the experts' matrices begin at multiples of 16 bytes. Where they do
// not, the kernels load element by element and take 6 to 40 times as long.
func aligned(op fields) bool {
	bytes := int64(2)
	if op["dtype"] == "fp8" {
		bytes = 1
	}
	return op["intermediate"].(int64)/op["tp"].(int64)*bytes%16 == 0
}
