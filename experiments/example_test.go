package experiments_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/store"
)

// A point is what the command line runs: names and files in, a row of the results database out, which can be run again
// from the database alone.
func ExamplePoint() {
	machine, changes, err := experiments.ChangedMachine("a100-sxm-80gb", []string{"chip.memory[hbm].bandwidth=3 TB/s"})
	if err != nil {
		log.Fatal(err)
	}
	model, err := experiments.ModelOf("llama2-7b")
	if err != nil {
		log.Fatal(err)
	}
	p := &experiments.Point{Machine: machine, Model: model, Options: experiments.Options{Phase: "decode", Batch: 4, Set: changes}}
	p.Defaults()
	r, err := p.Request()
	if err != nil {
		log.Fatal(err)
	}
	r.Advise = true // rows have advice
	res, err := eval.Run(context.Background(), r)
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "strata")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := store.Open(filepath.Join(dir, "results.db"), store.Options{ModelVersion: eval.Version, Tool: "example"})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	row, err := experiments.Record(p, &r, &res.Answer, "example")
	if err != nil {
		log.Fatal(err)
	}
	if err := db.Put(context.Background(), row); err != nil {
		log.Fatal(err)
	}
	again, err := experiments.Rerun(context.Background(), db, row.Key, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Notes[0])
	fmt.Println("the same when it is run again:", again.Same())
	// Output:
	// changed: chip.memory[hbm].bandwidth=3 TB/s
	// the same when it is run again: true
}
