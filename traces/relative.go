package traces

// Relative is what the distance between a query and a key adds to their score.
type Relative uint8

// The relative positions: none; a bias read from a table that all sequences share (T5); the product of
// the query with projected distances (Transformer-XL), which are kept like keys that all sequences share.
const (
	NoRelative Relative = iota
	Bias
	Projected
	numRelatives = iota
)

var relativeNames = [numRelatives]string{"none", "bias", "projected"}

// String returns the name used in files.
func (r Relative) String() string {
	return nameOf(r, len(relativeNames), func(i int) string { return relativeNames[i] }, "relative")
}

// ParseRelative reads the name of relative positions.
func ParseRelative(s string) (Relative, error) {
	i, err := parseName(s, "relative positions", relativeNames[:])
	return Relative(i), err
}
