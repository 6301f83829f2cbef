package arch

import "fmt"

// validateOnChip reports levels on chip that the planner has no use for, and names that stand for
// something else in a program.
func (m *Machine) validateOnChip(report func(path, message, hint string)) {
	var private, shared []string
	for i := range m.Chip.Memory {
		t := &m.Chip.Memory[i]
		at := fmt.Sprintf("chip.memory[%s]", t.Name)
		if m.Chip.Network != nil && t.Name == NetworkResource || m.Chip.Dies != nil && t.Name == DieResource {
			report(at+".name", fmt.Sprintf("%q stands for what lies between cores and memories", t.Name), "take another name")
		}
		switch {
		case t.Kind != "sram":
		case t.Private():
			if len(private) > 0 {
				report(at+".scope", fmt.Sprintf("a second on-chip tier private to each core, after %s: only one is modelled, and this one would stand idle", private[0]),
					"leave out the smaller one, or give one tier what both come to")
			}
			private = append(private, t.Name)
		default:
			if len(shared) > 1 {
				report(at+".scope", fmt.Sprintf("a third on-chip tier shared by all cores, after %s and %s: only two are modelled, and this one would stand idle", shared[0], shared[1]),
					"leave out the smallest one, or give one tier what two come to")
			}
			shared = append(shared, t.Name)
		}
	}
	if inner, outer := m.SharedSRAM(), m.OuterSRAM(); outer != nil && outer.Capacity <= inner.Capacity {
		report(fmt.Sprintf("chip.memory[%s].capacity", outer.Name), fmt.Sprintf("not more than the %s of %s, which lies between it and the cores", inner.Capacity, inner.Name),
			"tiers go from the core outwards: put the larger one after the smaller one")
	}
	if d := m.Chip.Dies; d != nil && d.Count >= 2 && m.Chip.Cores.Count < d.Count {
		report("chip.dies.count", fmt.Sprintf("%d dies for %d cores", d.Count, m.Chip.Cores.Count), "each die has cores")
	}
}

// Validate reports what is missing.
func (d Dies) Validate(report func(path, message, hint string)) {
	if d.Count == 0 {
		report("count", "required", `e.g. "count: 2"`)
	}
	if d.Link == 0 {
		report("link", "required", `e.g. "link: 10 TB/s"`)
	}
}

// validateFetch reports kernels that meet banks of a memory that has none.
func (m *Machine) validateFetch(p *Profile, at string, report func(path, message, hint string)) {
	check := func(k *GemmKernel, at string) {
		if t := m.PrivateSRAM(); k.Fetch != nil && (t == nil || t.Banks == 0) {
			report(at+".fetch", "the private memory of a core has no banks", "add banks and bank_width to the on-chip tier of scope private")
		}
	}
	check(&p.Gemm, at+".gemm")
	for i := range p.GemmFor {
		check(&p.GemmFor[i].Kernel, fmt.Sprintf("%s.gemm_for[%s].kernel", at, p.GemmFor[i].Name))
	}
}

// Validate reports what is missing.
func (f Fetch) Validate(report func(path, message, hint string)) {
	if f.Rows == 0 {
		report("rows", "required", `e.g. "rows: 8"`)
	}
	if f.Bytes == 0 {
		report("bytes", "required", `e.g. "bytes: 16 B"`)
	}
}
