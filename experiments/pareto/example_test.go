package pareto_test

import (
	"fmt"

	"github.com/stratasim/strata/experiments/pareto"
)

func Example() {
	objectives := []pareto.Objective{{Name: "latency", Direction: pareto.Min}, {Name: "throughput", Direction: pareto.Max}}
	designs := [][]float64{{10, 100}, {20, 300}, {20, 200}, {40, 350}} // ms, tokens/s
	var points []pareto.Point
	for _, d := range designs {
		values, err := pareto.Minimised(objectives, d)
		if err != nil {
			fmt.Println(err)
			return
		}
		points = append(points, pareto.Point{Objectives: values})
	}
	front, _ := pareto.Front(points)
	ref, _ := pareto.Reference(points)
	volume, _ := pareto.Hypervolume(points, ref)
	worst, _ := pareto.Minimised(objectives, ref)
	fmt.Println("front:", front)
	fmt.Printf("volume: %g ms·tokens/s up to %g\n", volume, worst)
	// Output:
	// front: [0 1 3]
	// volume: 5575 ms·tokens/s up to [43 75]
}
