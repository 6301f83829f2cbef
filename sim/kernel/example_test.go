package kernel_test

import (
	"context"
	"fmt"

	"github.com/stratasim/strata/sim/kernel"
	"github.com/stratasim/strata/sim/units"
)

// channel moves bursts one after another.
type channel struct {
	engine *kernel.Engine
	left   int
	burst  units.Time
}

func (c *channel) Handle(now units.Time) error {
	fmt.Printf("burst done at %d ps\n", now)
	if c.left--; c.left > 0 {
		c.engine.At(now+c.burst, 0, c)
	}
	return nil
}

func Example() {
	e := kernel.New(kernel.Limits{})
	c := &channel{engine: e, left: 3, burst: 20 * units.Nanosecond}
	e.At(c.burst, 0, c)
	e.OnIdle(func() error {
		if c.left > 0 {
			return fmt.Errorf("channel: %d bursts are still waiting", c.left)
		}
		return nil
	})
	if err := e.Run(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// burst done at 20000 ps
	// burst done at 40000 ps
	// burst done at 60000 ps
}
