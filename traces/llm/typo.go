package llm

// sameLetters reports whether one or two typing errors turn one key into the other. It is stricter
// than spec.Suggest, since what it says is an error rather than a hint.
func sameLetters(a, b string) bool { return len(a) <= 40 && len(b) <= 40 && distance(a, b) <= 2 }

// distance is Levenshtein's: insertions, deletions and replacements.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		last := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			d := last
			if a[i-1] != b[j-1] {
				d++
			}
			last = row[j]
			row[j] = min(d, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
