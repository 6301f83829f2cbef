package arch

import (
	"slices"
	"strings"

	"github.com/stratasim/strata/sim/spec"
)

// How many constants may be fitted: of a family of devices, of each of its devices, and of a kernel of a library. More of them
// would describe the rows that they were fitted on, not the machine.
const (
	MostOfFamily = 12
	MostOfDevice = 4
	MostOfKernel = 3
)

// Kinds of constants.
const (
	Fitted    = "fitted"    // to measurements
	Estimated = "estimated" // from relatives, or by reasoning
)

// A Constant is a leaf of a machine that no data sheet gives, as its source says.
type Constant struct {
	Path   string
	Value  string
	Source string
	Kind   string // Fitted or Estimated
	// Kernel is the kernel of a library that the constant is of, such as "gemm[cublas]", "" for none.
	Kernel string
}

// Constants lists the leaves of a machine whose source begins with "fitted:" or "estimated:", in the order of the machine's
// fields. A source of a part counts for every leaf of it. If own is not nil, only leaves that it holds for are listed: those
// that an overlay sets.
func (m *Machine) Constants(own func(path string) bool) []Constant {
	var list []Constant
	spec.Walk(m, func(path, text string) {
		if own != nil && !own(path) || strings.HasSuffix(path, ".name") || strings.HasSuffix(path, ".description") {
			return
		}
		source, _, ok := m.Sources.Of(path)
		kind, _, marked := strings.Cut(source, ":")
		if !ok || !marked || kind != Fitted && kind != Estimated {
			return
		}
		list = append(list, Constant{path, text, source, kind, kernelOf(path)})
	})
	return list
}

// kernelOf is the kernel of a library that a path is in: one of products, rows, attention or experts, a protocol of a collective
// library, or a framework on the host. The share of the links that the network's own library reaches is a figure of the
// device.
func kernelOf(path string) string {
	if rest, ok := strings.CutPrefix(path, "runtime.kernels."); ok {
		if i := strings.IndexByte(rest, ']'); i > 0 {
			return rest[:i+1]
		}
	}
	if rest, ok := strings.CutPrefix(path, "system.scale_up.library.protocols["); ok && !strings.HasSuffix(path, ".efficiency") {
		name, _, _ := strings.Cut(rest, "]")
		return "collective[" + name + "]"
	}
	if rest, ok := strings.CutPrefix(path, "runtime.profiles["); ok {
		profile, rest, _ := strings.Cut(rest, "].")
		if name, ok := strings.CutPrefix(rest, "collective.protocols["); ok {
			name, _, _ = strings.Cut(name, "]")
			return "collective[" + profile + " " + name + "]"
		}
		if strings.HasPrefix(rest, "host.") {
			return hostPart + profile + "]"
		}
	}
	return ""
}

// hostPart begins the name of the part of a framework on the host. The host is a device of its own.
const hostPart = "host["

// OwnLeaves says what a machine file sets itself: for an overlay its base and the leaves that it sets, for a whole machine "" and
// nil.
func OwnLeaves(file string, data []byte) (base string, own func(path string) bool, err error) {
	if err := spec.Decode(file, data, &Machine{}); !isOverlay(err) {
		return "", nil, err
	}
	var o Overlay
	if err := spec.Decode(file, data, &o); err != nil {
		return "", nil, err
	}
	var paths []string
	for p := range o.Set {
		paths = append(paths, p)
	}
	return o.Base, func(path string) bool { return slices.Contains(paths, path) }, nil
}

// A Share is how much of what may be fitted a part has.
type Share struct {
	Part   string // "family", "device", or the name of a kernel
	Fitted int
	Most   int
}

// Shares counts fitted constants by part: of a family root its kernels and all else together, of a member of a family what it has
// of its own.
func Shares(list []Constant, root bool) []Share {
	rest := Share{"family", 0, MostOfFamily}
	if !root {
		rest = Share{"device", 0, MostOfDevice}
	}
	var kernels []Share
	for _, c := range list {
		if c.Kind != Fitted {
			continue
		}
		if c.Kernel == "" {
			rest.Fitted++
			continue
		}
		i := slices.IndexFunc(kernels, func(s Share) bool { return s.Part == c.Kernel })
		if i < 0 {
			most := MostOfKernel
			if strings.HasPrefix(c.Kernel, hostPart) {
				most = MostOfDevice
			}
			kernels, i = append(kernels, Share{c.Kernel, 0, most}), len(kernels)
		}
		kernels[i].Fitted++
	}
	return append([]Share{rest}, kernels...)
}
