package arch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stratasim/strata/sim/spec"
)

// named is a kernel that is written once and used by name.
type named interface {
	names() (name, use string)
	anonymous() // drops a name that means nothing outside of Kernels
}

func (k *GemmKernel) names() (name, use string)      { return k.Name, k.Use }
func (k *RowKernel) names() (name, use string)       { return k.Name, k.Use }
func (k *AttentionKernel) names() (name, use string) { return k.Name, k.Use }
func (k *MoEKernel) names() (name, use string)       { return k.Name, k.Use }

func (k *GemmKernel) anonymous()      { k.Name = "" }
func (k *RowKernel) anonymous()       {}
func (k *AttentionKernel) anonymous() { k.Name = "" }
func (k *MoEKernel) anonymous()       { k.Name = "" }

// WriteOut puts the kernels that profiles refer to in the places where they do, so that each profile can be changed by
// itself. Those that requests refer to stay too.
func (m *Machine) WriteOut() {
	k := m.Runtime.Kernels
	if k == nil {
		return
	}
	m.Runtime.Profiles = slices.Clone(m.Runtime.Profiles)
	for i := range m.Runtime.Profiles {
		m.Runtime.Profiles[i] = *m.Resolved(&m.Runtime.Profiles[i])
	}
	m.Runtime.Kernels = nil
	if own := slices.DeleteFunc(slices.Clone(k.Attention), func(a AttentionKernel) bool { return a.Algorithm == "" }); len(own) > 0 {
		m.Runtime.Kernels = &Kernels{Attention: own}
	}
}

// validate reports kernels without a name, those that refer to others, and what is wrong with the rest.
func (k *Kernels) validate(report func(path, message, hint string)) {
	if k == nil {
		return
	}
	check := func(kind string, i int, n named) (at string, ok bool) {
		name, use := n.names()
		if at = fmt.Sprintf("runtime.kernels.%s[%s]", kind, name); name == "" {
			at = fmt.Sprintf("runtime.kernels.%s[%d]", kind, i)
		}
		switch {
		case use != "":
			report(at, "refers to another kernel", "describe it here")
		case name == "":
			report(at+".name", "is missing", "profiles refer to kernels by name")
		default:
			return at, true
		}
		return at, false
	}
	for i := range k.Gemm {
		if at, ok := check("gemm", i, &k.Gemm[i]); ok {
			k.Gemm[i].validate(at, report)
		}
	}
	for i := range k.Vector {
		check("vector", i, &k.Vector[i])
	}
	for i := range k.Attention {
		check("attention", i, &k.Attention[i])
	}
	for i := range k.MoE {
		if at, ok := check("moe", i, &k.MoE[i]); ok {
			k.MoE[i].validate(at, report)
		}
	}
}

// Resolved returns a profile of the machine with the kernels that it refers to in their places.
func (m *Machine) Resolved(p *Profile) *Profile {
	r, _ := m.resolve(p, "", func(string, string, string) {})
	return r
}

// resolve is Resolved that reports references to kernels that do not exist.
func (m *Machine) resolve(p *Profile, at string, report func(path, message, hint string)) (*Profile, bool) {
	k := m.Runtime.Kernels
	if k == nil {
		k = &Kernels{}
	}
	r, all := *p, true
	missing := func(where, use string, known []string) {
		hint := "runtime.kernels has none of this kind"
		if len(known) > 0 {
			hint = "there are " + strings.Join(known, ", ")
		}
		if s := spec.Suggest(use, known); s != "" {
			hint = fmt.Sprintf("did you mean %q?", s)
		}
		report(at+"."+where+".use", fmt.Sprintf("%.60q: no such kernel in runtime.kernels", use), hint)
		all = false
	}
	gemm := func(to *GemmKernel, where string) {
		if to.Use == "" {
			return
		}
		if !take(to, k.Gemm) {
			missing(where, to.Use, namesOf(k.Gemm))
		}
	}
	attention := func(to *AttentionKernel, where string) {
		if to.Use == "" {
			return
		}
		if !take(to, k.Attention) {
			missing(where, to.Use, namesOf(k.Attention))
		}
	}
	gemm(&r.Gemm, "gemm")
	r.GemmFor = slices.Clone(p.GemmFor)
	for i := range r.GemmFor {
		gemm(&r.GemmFor[i].Kernel, fmt.Sprintf("gemm_for[%s].kernel", r.GemmFor[i].Name))
	}
	r.Vector = slices.Clone(p.Vector)
	for i := range r.Vector {
		if v := &r.Vector[i]; v.Use != "" && !take(v, k.Vector) {
			missing(fmt.Sprintf("vector[%s]", v.Use), v.Use, namesOf(k.Vector))
		}
	}
	if p.Attention != nil {
		a := *p.Attention
		attention(&a, "attention")
		r.Attention = &a
	}
	r.AttentionFor = slices.Clone(p.AttentionFor)
	for i := range r.AttentionFor {
		attention(&r.AttentionFor[i].Kernel, fmt.Sprintf("attention_for[%s].kernel", r.AttentionFor[i].Name))
	}
	if p.MoE != nil {
		e := *p.MoE
		if e.Use != "" && !take(&e, k.MoE) {
			missing("moe", e.Use, namesOf(k.MoE))
		}
		r.MoE = &e
	}
	return &r, all
}

// take replaces a reference by the kernel of that name, and reports whether there is one.
func take[K any, P interface {
	*K
	named
}](to P, from []K) bool {
	_, use := to.names()
	for i := range from {
		if name, _ := P(&from[i]).names(); name == use {
			*to = from[i]
			to.anonymous()
			return true
		}
	}
	return false
}

func namesOf[K any, P interface {
	*K
	named
}](from []K) (names []string) {
	for i := range from {
		name, _ := P(&from[i]).names()
		names = append(names, name)
	}
	return names
}

// writeOut puts a kernel in the place of the reference that a path goes through, if it goes through one, so that what
// the path leads to can be changed for that profile alone.
func (m *Machine) writeOut(path string) {
	for i := range m.Runtime.Profiles {
		p := &m.Runtime.Profiles[i]
		rest, ok := strings.CutPrefix(path, "runtime.profiles["+p.Name+"].")
		if !ok || strings.HasSuffix(rest, ".use") {
			continue
		}
		r := m.Resolved(p)
		next := *p
		put := func(at, kind, use string, write func()) {
			if _, below := strings.CutPrefix(rest, at+"."); use == "" || !below {
				return
			}
			write()
			if m.Sources = cloneSources(m.Sources); m.Sources != nil {
				at = fmt.Sprintf("runtime.profiles[%s].%s", p.Name, at)
				m.Sources[at] = fmt.Sprintf("as runtime.kernels.%s[%s]", kind, use)
			}
		}
		put("gemm", "gemm", p.Gemm.Use, func() { next.Gemm = r.Gemm })
		for i := range p.GemmFor {
			put(fmt.Sprintf("gemm_for[%s].kernel", p.GemmFor[i].Name), "gemm", p.GemmFor[i].Kernel.Use, func() {
				next.GemmFor = slices.Clone(next.GemmFor)
				next.GemmFor[i] = r.GemmFor[i]
			})
		}
		for i := range p.Vector {
			put(fmt.Sprintf("vector[%s]", p.Vector[i].Use), "vector", p.Vector[i].Use, func() {
				next.Vector = slices.Clone(next.Vector)
				next.Vector[i] = r.Vector[i]
			})
		}
		if p.Attention != nil {
			put("attention", "attention", p.Attention.Use, func() { next.Attention = r.Attention })
		}
		for i := range p.AttentionFor {
			put(fmt.Sprintf("attention_for[%s].kernel", p.AttentionFor[i].Name), "attention", p.AttentionFor[i].Kernel.Use, func() {
				next.AttentionFor = slices.Clone(next.AttentionFor)
				next.AttentionFor[i] = r.AttentionFor[i]
			})
		}
		if p.MoE != nil {
			put("moe", "moe", p.MoE.Use, func() { next.MoE = r.MoE })
		}
		m.Runtime.Profiles = slices.Clone(m.Runtime.Profiles)
		m.Runtime.Profiles[i] = next
	}
}

func cloneSources(s spec.Sources) spec.Sources {
	if s == nil {
		return nil
	}
	c := make(spec.Sources, len(s)+1)
	for k, v := range s {
		c[k] = v
	}
	return c
}
