package oracle_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments/oracle"
)

// secondsOf asks for an operator; ok is false if the machine does not run it.
func secondsOf(t *testing.T, o *oracle.Oracle, machine, op string) (seconds, floor float64, ok bool) {
	t.Helper()
	var a struct {
		Status  string
		Seconds float64
		Floor   float64 `json:"floor_seconds"`
		Error   struct{ Code, Message string }
	}
	line := fmt.Sprintf(`{"arch":%q,"op":{%s},"fidelity":"analytic"}`, machine, op)
	if err := json.Unmarshal([]byte(answer(t, o, line)), &a); err != nil {
		t.Fatal(err)
	}
	if a.Status != "ok" {
		if a.Status != "infeasible" && a.Status != "unsupported" {
			t.Fatalf("%s: %s: %s", line, a.Status, a.Error.Message)
		}
		return 0, 0, false
	}
	return a.Seconds, a.Floor, true
}

// Sizes that nobody measured: an operator never takes less than the floor of its plan, one that is larger in a dimension
// does not take less than a smaller one by more than steps explain (of tiles, of splits, of operands that no longer are copied on chip
// whole and so come while the product runs), and its time does not jump by more than steps of tiles in few thread blocks, of a
// working set that outgrows a cache in which repeated kernels find it, or of experts that get more than one row explain.
func TestSensible(t *testing.T) {
	o := oracle.New(oracle.Options{})
	seen := map[string]bool{}
	for _, machine := range presets.Names() {
		m, err := presets.Machine(machine)
		if err != nil {
			t.Fatal(err)
		}
		chip := *m // clusters of one chip have its operators
		chip.Name, chip.System, chip.Cost = "", arch.System{}, nil
		if is := chip.Hash(); seen[is] {
			continue
		} else {
			seen[is] = true
		}
		n, worst := 0, map[string]string{}
		for _, c := range []struct {
			name, op string
			sizes    []int64
			less     float64 // share by which a larger one may take less
			more     float64 // factor by which it may take longer than in proportion
		}{
			{"m", `"kind":"gemm","m":%d,"n":5120,"k":3584`, sweep(1, 20000), 0.15, 1.6},
			{"n", `"kind":"gemm","m":77,"n":%d,"k":3584`, sweep(64, 40000), 0.25, 1.6},
			{"k", `"kind":"gemm","m":333,"n":1792,"k":%d`, sweep(64, 40000), 0.3, 1.6},
			{"batch of products", `"kind":"gemm","batch":%d,"m":200,"n":200,"k":96`, sweep(1, 3000), 0.25, 1.9},
			{"cached tokens", `"kind":"attention","batch":5,"heads":24,"kv_heads":8,"head_dim":96,"q_len":1,"past_len":%d`, sweep(1, 90000), 0.4, 1.6},
			{"sequences", `"kind":"attention","batch":%d,"heads":24,"kv_heads":8,"head_dim":96,"q_len":1,"past_len":3000`, sweep(1, 400), 0.15, 1.6},
			{"new tokens", `"kind":"attention","batch":3,"heads":24,"kv_heads":8,"head_dim":96,"q_len":%d`, sweep(2, 20000), 0.15, 2.2},
			{"rows", `"kind":"rmsnorm","rows":%d,"cols":5000`, sweep(1, 60000), 0.1, 1.6},
			{"columns", `"kind":"layernorm","rows":600,"cols":%d`, sweep(8, 60000), 0.1, 1.6},
			{"softmax", `"kind":"softmax","rows":%d,"cols":2000`, sweep(1, 60000), 0.1, 2.2},
			{"elements", `"kind":"gelu","rows":%d,"cols":5000`, sweep(1, 60000), 0.1, 2.2},
			{"tokens", `"kind":"moe","tokens":%d,"hidden":3072,"intermediate":1024,"experts":32,"top_k":4`, sweep(1, 20000), 0.15, 2.5},
		} {
			var before, at float64
			for _, size := range c.sizes {
				op := fmt.Sprintf(c.op, size)
				s, floor, ok := secondsOf(t, o, machine, op)
				if !ok {
					continue
				}
				n++
				if s < floor {
					t.Errorf("%s: %s: %g s, the floor is %g s", machine, op, s, floor)
				}
				if before > 0 {
					if less := 1 - s/before; less > c.less && worst[c.name] == "" {
						worst[c.name] = fmt.Sprintf("%s: %.1f %% less than of %g", op, 100*less, at)
					}
					if more := s / before / (float64(size) / at); more > c.more && s > 20e-6 && size != 2 && worst[c.name+" jump"] == "" {
						worst[c.name+" jump"] = fmt.Sprintf("%s: %.2f times as long as of %g, for %.2f times the size", op, s/before, at, float64(size)/at)
					}
				}
				before, at = s, float64(size)
			}
		}
		for name, text := range worst {
			t.Errorf("%s: %s: %s", machine, name, text)
		}
		if n < 300 {
			t.Errorf("%s: only %d sizes", machine, n)
		}
	}
}

// sweep is sizes from least to most, each some 13 % above the one before, with neighbours of powers of two.
func sweep(least, most int64) (sizes []int64) {
	for n := least; n <= most; n = max(n+1, n*113/100) {
		sizes = append(sizes, n)
	}
	return sizes
}
