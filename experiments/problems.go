package experiments

import "strings"

// Problems are several errors of one request, so that whoever wrote it can mend them all at once.
type Problems []error

// Add notes an error; nil is nothing to note. Problems of problems are taken apart.
func (p *Problems) Add(err error) {
	switch e := err.(type) {
	case nil:
	case Problems:
		*p = append(*p, e...)
	default:
		*p = append(*p, err)
	}
}

// Err returns the problems as an error: nil for none, and a single one by itself.
func (p Problems) Err() error {
	switch len(p) {
	case 0:
		return nil
	case 1:
		return p[0]
	}
	return p
}

// Error gives one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, e := range p {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems.
func (p Problems) Unwrap() []error { return p }
