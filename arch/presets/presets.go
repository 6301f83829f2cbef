package presets

import (
	"embed"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/sim/spec"
)

//go:embed *.yaml
var files embed.FS

// Names lists the presets in alphabetical order.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // the files are part of the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	sort.Strings(names)
	return names
}

// Unknown says that there is no preset of that name.
type Unknown struct {
	Name string
	Near string // the nearest name, "" if none is near
}

func (e *Unknown) Error() string {
	if e.Near != "" {
		return fmt.Sprintf("unknown machine %.80q; did you mean %q?", e.Name, e.Near)
	}
	names := Names()
	if part := strings.ToLower(e.Name); len(part) > 1 {
		if some := slices.DeleteFunc(Names(), func(n string) bool { return !strings.Contains(n, part) }); len(some) > 0 {
			names = some
		}
	}
	return fmt.Sprintf("unknown machine %.80q; known: %s", e.Name, strings.Join(names, ", "))
}

// Source returns the file of a preset.
func Source(name string) ([]byte, error) {
	data, err := files.ReadFile(name + ".yaml")
	if err != nil {
		return nil, &Unknown{name, spec.Suggest(name, Names())}
	}
	return data, nil
}

// Machine returns a preset, a new one for each call: the caller may change it.
func Machine(name string) (*arch.Machine, error) {
	data, err := Source(name)
	if err != nil {
		return nil, err
	}
	return arch.Load(name+".yaml", data, Machine)
}

// Constants lists the constants of a preset that no data sheet gives: all of them for the root of a family, those of its own for
// another member. Root is the root of the family, the preset itself if it is that.
func Constants(name string) (list []arch.Constant, root string, err error) {
	data, err := Source(name)
	if err != nil {
		return nil, "", err
	}
	m, err := Machine(name)
	if err != nil {
		return nil, "", err
	}
	base, own, err := arch.OwnLeaves(name+".yaml", data)
	if err != nil {
		return nil, "", err
	}
	if base == "" {
		return m.Constants(nil), name, nil
	}
	if _, root, err = Constants(base); err != nil {
		return nil, "", err
	}
	return m.Constants(own), root, nil
}
