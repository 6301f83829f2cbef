package report

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Width is how many columns a report may take.
const Width = 100

// Style says what a terminal can show.
type Style struct {
	Unicode bool // block characters and symbols; else ASCII
	Color   bool // ANSI colours
}

// plain replaces symbols by ASCII that reads the same.
var plain = strings.NewReplacer("→", "->", "←", "<-", "−", "-", "–", "-", "—", "-", "×", "x", "·", "|", "…", "...", "µ", "u", "±", "+-", "≥", ">=", "≤", "<=",
	"█", "#", "▉", "#", "▊", "#", "▋", "#", "▌", "#", "▍", ".", "▎", ".", "▏", ".", "─", "-", "│", "|", "┌", "+", "┐", "+", "└", "+", "┘", "+", "┬", "+", "┴", "+", "├", "+", "┤", "+", "∞", "inf", "Σ", "sum ", "√", "sqrt ", "°", " deg", "•", "*", "ᵀ", "T", "∘", "o", "²", "^2", "½", "1/2", "“", `"`, "”", `"`, "’", "'", "≈", "~")

// ASCII replaces the symbols of a report. What it does not know becomes a question mark.
func ASCII(text string) string {
	text = plain.Replace(text)
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return '?'
		}
		return r
	}, text)
}

// Text returns the text as the style shows it.
func (s Style) Text(text string) string {
	if s.Unicode {
		return text
	}
	return ASCII(text)
}

// write writes a finished report.
func (s Style) write(w io.Writer, text string) error {
	_, err := io.WriteString(w, s.Text(text))
	return err
}

func (s Style) sgr(code, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s Style) bold(text string) string { return s.sgr("1", text) }

// wrap breaks text into lines of at most Width columns. The first line starts with first, the others with as many
// spaces. A word longer than a line is left whole.
func wrap(first, text string) string {
	var b strings.Builder
	indent := utf8.RuneCountInString(first)
	b.WriteString(first)
	column, start := indent, true
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		if !start && column+1+n > Width {
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column, start = indent, true
		}
		if !start {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
		start = false
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

// cut shortens text to n columns.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

// pad fills text up to n columns.
func pad(text string, n int) string {
	return text + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(text)))
}
