package spec

import "strings"

// Suggest returns the known name that is most likely meant by a name that is not known, "" when none
// is near. Near is, without regard to case: the same; then the only one that begins with the name;
// then the one with the fewest typing errors (a letter too many, missing, wrong, or two swapped), at
// most about one in three letters; then the only one that contains the name or is contained in it.
// Among equals the first wins.
func Suggest(name string, known []string) string {
	if len(name) > maxSuggest {
		return ""
	}
	want := strings.ToLower(name)
	best, fewest := "", len(name)+1
	for _, k := range known {
		low := strings.ToLower(k)
		if low == want {
			return k
		}
		limit := min(typos(want, low), fewest-1)
		a, b := []rune(want), []rune(low)
		if len(k) > maxSuggest || limit < 1 || max(len(a), len(b))-min(len(a), len(b)) > limit {
			continue // each letter that one has more is an error
		}
		if d := distance(a, b); d <= limit {
			best, fewest = k, d
		}
	}
	if k := only(known, func(low string) bool { return strings.HasPrefix(low, want) }); k != "" && len(want) >= 3 {
		return k
	}
	if best != "" || len(want) < 3 {
		return best
	}
	return only(known, func(low string) bool {
		return strings.Contains(low, want) || len(low) >= 3 && strings.Contains(want, low)
	})
}

// maxSuggest bounds the length of names that are compared, since the work grows with its square.
const maxSuggest = 200

// typos is the number of errors forgiven between two texts.
func typos(a, b string) int {
	switch n := max(len(a), len(b)); {
	case n < 2:
		return 0
	case n < 6:
		return 1
	default:
		return max(2, n/3)
	}
}

// only returns the one known name that fits, "" when there are none or several.
func only(known []string, fits func(lower string) bool) string {
	found := ""
	for _, k := range known {
		if !fits(strings.ToLower(k)) {
			continue
		}
		if found != "" {
			return ""
		}
		found = k
	}
	return found
}

// distance returns the number of single-letter insertions, deletions, replacements and swaps of
// neighbours that lead from a to b, no part being edited twice ("optimal string alignment").
func distance(a, b []rune) int {
	before := make([]int, len(b)+1) // row i-2 of the table
	last := make([]int, len(b)+1)   // row i-1
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
