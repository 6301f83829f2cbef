package spec_test

import (
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
)

// device has every kind of field and constraint that machine files have.
type device struct {
	Name        string                         `yaml:"name" spec:"required"`
	Description string                         `yaml:"description,omitempty"`
	Clock       units.Hertz                    `yaml:"clock" spec:"required,gt=0 Hz,max=100 GHz"`
	Cores       int64                          `yaml:"cores" spec:"min=0,max=1e6"`
	Small       int8                           `yaml:"small,omitempty"`
	Share       float64                        `yaml:"share,omitempty" spec:"max=1.5"`
	Efficiency  *float64                       `yaml:"efficiency,omitempty" spec:"gt=0,max=1"`
	Graphs      bool                           `yaml:"graphs,omitempty"`
	Mode        string                         `yaml:"mode,omitempty" spec:"oneof=|serial|chained"`
	Fusion      []string                       `yaml:"fusion,omitempty" spec:"oneof=norm-add|flash-attention,unique"`
	Splits      []int64                        `yaml:"splits,omitempty" spec:"min=1,max=4,gt=0"`
	Waits       []units.Time                   `yaml:"waits,omitempty" spec:"min=1 ns,max=3"`
	Tiers       []tier                         `yaml:"tiers" spec:"min=0,max=3,unique"`
	Rates       map[string]int64               `yaml:"rates,omitempty" spec:"min=1"`
	Energy      map[string]units.JoulesPerByte `yaml:"energy,omitempty" spec:"min=0 J/B"`
	Network     *network                       `yaml:"network,omitempty"`
	Cost        *cost                          `yaml:"cost,omitempty"`
	Notes       map[string]string              `yaml:"notes,omitempty" spec:"-"`
	Sources     spec.Sources                   `yaml:"sources,omitempty" spec:"-"`
	cached      int
}

type tier struct {
	Name      string               `yaml:"name" spec:"required"`
	Capacity  units.Bytes          `yaml:"capacity" spec:"required,gt=0"`
	Bandwidth units.BytesPerSecond `yaml:"bandwidth,omitempty" spec:"min=0 B/s"`
}

func (t tier) Validate(report func(path, message, hint string)) {
	if t.Bandwidth == 13 {
		report("bandwidth", "13 B/s brings bad luck", "take 12 B/s")
	}
	if t.Name == "void" {
		report("", "is a void", "")
	}
}

type network struct {
	Topology string `yaml:"topology" spec:"required,oneof=ring|switch"`
	Links    []link `yaml:"links,omitempty"`
}

type link struct {
	Lanes int64 `yaml:"lanes,omitempty"`
}

type cost struct {
	Hour units.DollarsPerHour `yaml:"hour" spec:"min=0 USD/h"`
}

func (d *device) Validate(report func(path, message, hint string)) {
	if d.cached != 0 {
		panic("a cached value came from a file")
	}
	for _, t := range d.Tiers {
		if d.Energy != nil && d.Energy[t.Name] == 0 {
			report("energy."+t.Name, "the tier costs nothing", "")
			report("network.links[0]", "may be wrong too", "")
		}
	}
}

// good is a file with every field.
const good = `# A device.
name: dev
description: "one: two"
clock: 1410 MHz
cores: 108
small: -128
share: 1.5
efficiency: 0.25
graphs: true
mode: chained
fusion: [norm-add]
splits: [1, 2]
waits: [2 ns]
tiers:
  - {name: sram, capacity: 40 MiB}
  - name: hbm
    capacity: 80 GiB
    bandwidth: 2039 GB/s
rates: {fp16: 1024}
energy: {sram: 1 pJ/B, hbm: 48 pJ/B}
network:
  topology: ring
  links: [{lanes: 4}, {}]
cost: {hour: 4.10 USD/h}
notes: {a.b: "c"}
sources:
  clock: data sheet
  tiers[hbm].bandwidth: data sheet
`

func pointer[T any](v T) *T { return &v }
