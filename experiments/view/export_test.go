package view

// RoofOf is the roofline of a stored machine file.
func RoofOf(content []byte, dtype string) (Machine, bool) {
	c := chips{}.of(content)
	if c == nil {
		return Machine{}, false
	}
	return roofOf(c, dtype)
}
