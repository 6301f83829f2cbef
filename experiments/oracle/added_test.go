package oracle_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/traces/llm"
)

const tiny = `{"model_type":"llama","hidden_size":1024,"intermediate_size":4096,"num_hidden_layers":2,"num_attention_heads":8,"vocab_size":32000,"max_position_embeddings":2048}`

// TestAdded: an id stands for what was added, in every place where a name may stand.
func TestAdded(t *testing.T) {
	o := oracle.New(oracle.Options{})
	source, err := presets.Source("a100-sxm-80gb")
	if err != nil {
		t.Fatal(err)
	}
	arch, model := fmt.Sprintf("sha256:%x", sha256.Sum256(source)), fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(tiny)))
	named := []struct{ id, plain string }{
		{`{"arch":"` + arch + `","op":{"kind":"gelu","rows":64,"cols":64}}`, `{"arch":"a100-sxm-80gb","op":{"kind":"gelu","rows":64,"cols":64}}`},
		{`{"arch":"` + arch + `","model":"` + model + `","phase":"decode"}`, `{"arch":"a100-sxm-80gb","model":` + tiny + `,"phase":"decode"}`},
		{`{"arch":{"base":"` + arch + `","set":{"chip.memory[hbm].bandwidth":"1 TB/s"}},"model":"llama2-7b","phase":"decode"}`,
			`{"arch":{"base":"a100-sxm-80gb","set":{"chip.memory[hbm].bandwidth":"1 TB/s"}},"model":"llama2-7b","phase":"decode"}`},
		{`{"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"decode","draft":"` + model + `","draft_tokens":2,"acceptance":0.5}`,
			`{"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"decode","draft":` + tiny + `,"draft_tokens":2,"acceptance":0.5}`},
	}
	before := make([]string, len(named))
	for i, n := range named {
		before[i] = answer(t, o, n.id)
		if e := decode(t, before[i]).Error; e == nil || !strings.HasPrefix(e.Code, "unknown-") || !strings.Contains(e.Hint, "again") {
			t.Errorf("%s: %+v", n.id, e)
		}
	}
	id, m, err := o.AddMachine(source)
	if err != nil || id != arch || m.Name != "a100-sxm-80gb" {
		t.Fatal(id, err)
	}
	if again, same, err := o.AddMachine(source); err != nil || again != id || same != m {
		t.Error("added twice")
	}
	if id, _, err := o.AddModel([]byte(tiny)); err != nil || id != model {
		t.Fatal(id, err)
	}
	for i, n := range named {
		if got, want := answer(t, o, n.id), answer(t, o, n.plain); got != want || !strings.HasPrefix(got, `{"status":"ok"`) {
			t.Errorf("%s\n%s, want\n%s", n.id, got, want)
		}
		// As if it had never been added.
		if got := answer(t, oracle.New(oracle.Options{}), n.id); got != before[i] {
			t.Errorf("elsewhere: %s", got)
		}
	}
	if _, err := o.Machine(arch); err != nil {
		t.Error(err)
	}
	if _, err := o.Model(model); err != nil {
		t.Error(err)
	}
	if _, err := o.Machine("../presets/a100-sxm-80gb"); err == nil || err.Code != "unknown-arch" {
		t.Error(err)
	}
	if s := o.Stats(); s.Machines != 1 || s.Models != 1 || s.Answers[oracle.OK] != 8 || s.Answers[oracle.Invalid] != 4 || s.Entries == 0 || s.Bytes <= 0 || s.Hits == 0 && s.Misses == 0 {
		t.Errorf("%+v", s)
	}
}

func TestAddedIsWrong(t *testing.T) {
	o := oracle.New(oracle.Options{})
	var machine *spec.Error
	if _, _, err := o.AddMachine([]byte("name: x\nchip:\n  clock: 1\n")); !errors.As(err, &machine) || len(machine.Problems) < 2 {
		t.Error(err)
	}
	if _, _, err := o.AddMachine([]byte("base: ../../go.mod\n")); !errors.As(err, &machine) || !strings.Contains(err.Error(), "unknown machine") {
		t.Error(err)
	}
	var model llm.Errors
	if _, _, err := o.AddModel([]byte(`{"model_type":"llama","hidden_size":-1}`)); !errors.As(err, &model) || len(model) < 2 {
		t.Error(err)
	}
}

// TestAddedIsForgotten: what is added has a bounded size; the oldest goes, and its id is then unknown, also to requests that were answered.
func TestAddedIsForgotten(t *testing.T) {
	o := oracle.New(oracle.Options{})
	o.KeepAdded(200 << 10)
	text := func(i int) []byte { return fmt.Appendf(nil, "base: a100-sxm-80gb\nname: m%d\n", i) }
	first, _, err := o.AddMachine(text(0))
	if err != nil {
		t.Fatal(err)
	}
	line := `{"arch":"` + first + `","op":{"kind":"gelu","rows":64,"cols":64}}`
	if r := ask(t, o, line); r.Status != "ok" {
		t.Fatal(r.Error)
	}
	for i := 1; i < 20; i++ {
		if _, _, err := o.AddMachine(text(i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := o.Stats().Machines; n != 12 {
		t.Errorf("%d machines of 16 KiB are kept in 200", n)
	}
	if r := ask(t, o, line); r.Error == nil || r.Error.Code != "unknown-arch" {
		t.Errorf("%+v", r)
	}
	if _, _, err := o.AddMachine(text(0)); err != nil {
		t.Fatal(err)
	}
	if r := ask(t, o, line); r.Status != "ok" {
		t.Error(r.Error)
	}
}
