package arch

import (
	"cmp"
	"slices"
	"strings"

	"github.com/stratasim/strata/sim/spec"
)

// Parts that a constant belongs to, beside the kernels of libraries.
const (
	Device = "device" // each device has its own
	Family = "family" // all devices of a family have the same
)

// MostFitted is how many constants of a part may be fitted. More of them would describe the rows that they were fitted on, not
// the machine. A framework's host is a device of its own.
func MostFitted(part string) int {
	switch {
	case part == Family:
		return 12
	case part == Device, strings.HasPrefix(part, hostPart):
		return 4
	}
	return 3 // of a kernel of a library
}

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
// fields; those that no answer depends on are left out. A source of a part counts for every leaf of it. If own is not nil, only leaves that it holds for are listed: those
// that an overlay sets.
func (m *Machine) Constants(own func(path string) bool) []Constant {
	var list []Constant
	spec.Walk(m, func(path, text string) {
		if own != nil && !own(path) || strings.HasSuffix(path, ".name") || strings.HasSuffix(path, ".description") || Aside(path) {
			return
		}
		source, _, ok := m.Sources.Of(path)
		kind, _, marked := strings.Cut(source, ":")
		if !ok || !marked || kind != Fitted && kind != Estimated {
			return
		}
		list = append(list, Constant{path, text, source, kind, KernelOf(path)})
	})
	return list
}

// KernelOf is the kernel of a library that a path is in, "" for none: one of products, rows, attention or experts, a protocol of a collective
// library, or a framework on the host. The share of the links that the network's own library reaches is a figure of the
// device.
func KernelOf(path string) string {
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

// hostPart begins the name of the part of a framework on the host.
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

// A Share is how many constants a part has.
type Share struct {
	Part      string // Family, Device, or the name of a kernel
	Fitted    int
	Most      int // that may be fitted
	Estimated int
}

// Shares counts constants by part: of a family root its kernels and all else together, of a member of a family what it has of
// its own. The first is the family or the device; kernels are in the order of the list.
func Shares(list []Constant, root bool) []Share {
	device := Device
	if root {
		device = Family
	}
	shares := []Share{{Part: device, Most: MostFitted(device)}}
	for _, c := range list {
		part := cmp.Or(c.Kernel, device)
		i := slices.IndexFunc(shares, func(s Share) bool { return s.Part == part })
		if i < 0 {
			shares, i = append(shares, Share{Part: part, Most: MostFitted(part)}), len(shares)
		}
		if c.Kind == Fitted {
			shares[i].Fitted++
		} else {
			shares[i].Estimated++
		}
	}
	return shares
}
