package uncertainty

import (
	"reflect"
	"slices"
	"sync"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
)

// chip is what stands for a machine in a table.
type chip struct {
	name    string // the preset that has the chip first: clusters have that of a single server
	changed bool   // the machine is no preset as it is shipped
}

// mostChips bounds the machines that are remembered: a search may ask about a million.
const mostChips = 4096

var chips = struct {
	sync.RWMutex
	of map[string]chip // by the machine's hash
}{of: map[string]chip{}}

// chipOf finds the chip of a machine whose hash is known.
func chipOf(m *arch.Machine, hash string) chip {
	chips.RLock()
	c, ok := chips.of[hash]
	chips.RUnlock()
	if ok {
		return c
	}
	c = chip{name: m.Name, changed: true}
	if preset, err := presets.Machine(m.Name); err == nil {
		c = chip{ChipOf(m.Name), preset.Hash() != hash}
	} else {
		for _, name := range presets.Names() { // a file of one's own may have the chip of a preset
			if p, err := presets.Machine(name); err == nil && ChipOf(name) == name && reflect.DeepEqual(p.Chip, m.Chip) {
				c.name = name
				break
			}
		}
	}
	chips.Lock()
	defer chips.Unlock()
	if len(chips.of) >= mostChips {
		clear(chips.of)
	}
	chips.of[hash] = c
	return c
}

var chipNames sync.Map // by preset

// ChipOf is the preset that a preset has its chip from: itself, or its base where that has the same chip.
func ChipOf(preset string) string {
	if name, ok := chipNames.Load(preset); ok {
		return name.(string)
	}
	name := preset
	for {
		base := sameChip(name)
		if base == "" {
			break
		}
		name = base
	}
	if slices.Contains(presets.Names(), preset) {
		chipNames.Store(preset, name)
	}
	return name
}

// sameChip is the base of a preset if that has the same chip, else "".
func sameChip(preset string) string {
	m, err := presets.Machine(preset)
	if err != nil {
		return ""
	}
	data, err := presets.Source(preset)
	if err != nil {
		return ""
	}
	base, _, err := arch.OwnLeaves(preset+".yaml", data)
	if err != nil || base == "" {
		return ""
	}
	if b, err := presets.Machine(base); err != nil || !reflect.DeepEqual(b.Chip, m.Chip) {
		return ""
	}
	return base
}
