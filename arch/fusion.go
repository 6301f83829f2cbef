package arch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stratasim/strata/sim/spec"
)

// Fusions lists what runtimes do in one kernel, by the names that Profile.Fusion has.
func Fusions() []string {
	return []string{"flash-attention", "norm-add", "parallel-gemm", "gated-mlp", "decoder-pipeline"}
}

// Words that stand for all fusions that a machine can do, and for none.
const (
	FuseAll  = "all"
	FuseNone = "none"
)

// Standard is the algorithm of attention that leaves scores in memory, between kernels of a framework.
const Standard = "standard"

// Algorithms lists the algorithms of attention.
func Algorithms() []string { return []string{Standard, "flash1", "flash2", "flash3"} }

// Unable says that a machine cannot run operators in the way that was asked for.
type Unable struct{ Message, Hint string }

func (e *Unable) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return fmt.Sprintf("%s (%s)", e.Message, e.Hint)
}

// ParseFusions reads a list of fusions with commas between them, "all" or "none", and returns the one way to write it.
func ParseFusions(text string) (string, error) {
	if text == FuseAll || text == FuseNone || text == "" {
		return text, nil
	}
	var list []string
	for _, name := range strings.Split(text, ",") {
		name = strings.TrimSpace(name)
		if name == FuseAll || name == FuseNone {
			return "", &Unable{fmt.Sprintf("%s among other fusions", name), name + " stands alone"}
		}
		if !slices.Contains(Fusions(), name) {
			hint := "there are " + strings.Join(Fusions(), ", ") + "; or all, or none"
			if near := spec.Suggest(name, append(Fusions(), FuseAll, FuseNone)); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			return "", &Unable{fmt.Sprintf("%.60q is no fusion", name), hint}
		}
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ","), nil
}

// Fused returns a resolved profile of the machine with the fusions of a list in place of its own: see ParseFusions; "" leaves
// it as it is. Kernels that a fusion needs and the profile does not describe are those of the default profile, or of the
// first that has them. The error is an *Unable where no profile of the machine describes how.
func (m *Machine) Fused(p *Profile, what string) (*Profile, error) {
	what, err := ParseFusions(what)
	if err != nil || what == "" {
		return p, err
	}
	q := *p
	q.Fusion = nil
	if what == FuseNone {
		return &q, nil
	}
	wanted := strings.Split(what, ",")
	if what == FuseAll {
		wanted = Fusions()
	}
	for _, name := range wanted {
		if !m.lend(&q, name) {
			if what == FuseAll {
				continue
			}
			can := slices.DeleteFunc(Fusions(), func(f string) bool { try := *p; return !m.lend(&try, f) })
			missing := "a fused attention kernel"
			if name == "decoder-pipeline" {
				missing = "blocks as pipelines on chip"
			}
			return nil, &Unable{fmt.Sprintf("%s cannot do %s: no runtime profile of it describes %s", m.Name, name, missing), "it can do " + strings.Join(can, ", ")}
		}
		q.Fusion = append(q.Fusion, name)
	}
	if q.Fuses("decoder-pipeline") && !q.Fuses("flash-attention") {
		return nil, &Unable{"decoder-pipeline needs flash-attention: scores do not leave the chip in a pipeline", "add flash-attention"}
	}
	return &q, nil
}

// lend gives a profile the kernels that a fusion needs from other profiles, and reports whether it has them then.
func (m *Machine) lend(p *Profile, fusion string) bool {
	has := func(p *Profile) bool {
		switch fusion {
		case "flash-attention":
			return p.Attention != nil
		case "decoder-pipeline":
			return p.Pipeline != nil && m.SharedSRAM() != nil
		}
		return true
	}
	if has(p) {
		return true
	}
	try := func(from *Profile) bool {
		if !has(from) {
			return false
		}
		from = m.Resolved(from)
		if fusion == "flash-attention" {
			p.Attention, p.AttentionFor = from.Attention, from.AttentionFor
		} else {
			p.Pipeline = from.Pipeline
		}
		return true
	}
	if usual, err := m.Profile(""); err == nil && try(usual) {
		return true
	}
	for i := range m.Runtime.Profiles {
		if try(&m.Runtime.Profiles[i]) {
			return true
		}
	}
	return false
}

// Attending returns a resolved profile of the machine whose attention runs by an algorithm; "" leaves it as it is. The
// error is an *Unable where the machine has no kernel of it.
func (m *Machine) Attending(p *Profile, algorithm string) (*Profile, error) {
	if algorithm == "" {
		return p, nil
	}
	q := *p
	q.Fusion = slices.DeleteFunc(slices.Clone(p.Fusion), func(f string) bool { return f == "flash-attention" })
	if algorithm == Standard {
		// A kernel for each line of code: those of the framework that runs operators one by one.
		if eager, err := m.Profile(m.Runtime.HostTimed); err == nil && m.Runtime.HostTimed != "" {
			q.Vector = m.Resolved(eager).Vector
		}
		return &q, nil
	}
	known := []string{Standard}
	try := func(k *AttentionKernel) bool {
		if k == nil || k.Algorithm == "" {
			return false
		}
		if k.Algorithm != algorithm {
			if !slices.Contains(known, k.Algorithm) {
				known = append(known, k.Algorithm)
			}
			return false
		}
		own := *k
		own.anonymous()
		q.Attention, q.AttentionFor, q.Fusion = &own, nil, append(q.Fusion, "flash-attention")
		return true
	}
	if try(p.Attention) {
		return &q, nil
	}
	for i := range p.AttentionFor {
		if try(&p.AttentionFor[i].Kernel) {
			return &q, nil
		}
	}
	if k := m.Runtime.Kernels; k != nil {
		for i := range k.Attention {
			if try(&k.Attention[i]) {
				return &q, nil
			}
		}
	}
	slices.Sort(known)
	hint := "it has " + strings.Join(known, ", ") + "; without an algorithm its runtime's own kernel runs"
	if near := spec.Suggest(algorithm, Algorithms()); near != "" && !slices.Contains(Algorithms(), algorithm) {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return nil, &Unable{fmt.Sprintf("%s has no attention kernel of algorithm %.60q", m.Name, algorithm), hint}
}
