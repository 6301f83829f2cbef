package search_test

import (
	"fmt"

	"github.com/stratasim/strata/experiments/search"
)

func Example() {
	space := search.Space{
		{Name: "chips", Kind: search.Ordered, Choices: []string{"1", "2", "4", "8", "16"}},
		{Name: "topology", Kind: search.Categorical, Choices: []string{"ring", "mesh"}},
		{Name: "sram_kib", Kind: search.Integer, Low: 64, High: 4096, Log: true},
	}
	nsga2, err := search.NewNSGA2(space, search.Options{Seed: 1, Population: 20, Generations: 10})
	if err != nil {
		fmt.Println(err)
		return
	}
	n := 0
	for generation := nsga2.Ask(); generation != nil; generation = nsga2.Ask() {
		outcomes := make([]search.Outcome, len(generation))
		for i, c := range generation {
			chips, sram := float64(int(1)<<int(c[0])), c[2]
			time, area := 100/chips+1000/sram, chips*(10+sram/100)
			outcomes[i] = search.Outcome{Objectives: []float64{time, area}, Violation: max(0, area/500-1)}
		}
		n += len(outcomes)
		if err := nsga2.Tell(outcomes); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(n, "of", space.Count(), "candidates evaluated")
	// Output: 200 of 40330 candidates evaluated
}
