package main

import (
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/experiments/report"
)

// isTerminal reports whether what is written there is seen by a person as it comes.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// styleOf says what standard output can show: colour on a terminal unless NO_COLOR is set, symbols where the locale is
// UTF-8.
func styleOf(c *cobra.Command) report.Style {
	return report.Style{Unicode: utf8Locale(os.Getenv), Color: os.Getenv("NO_COLOR") == "" && isTerminal(c.OutOrStdout())}
}

// utf8Locale reads the locale as the C library does: LC_ALL, then LC_CTYPE, then LANG, the first that is set.
func utf8Locale(env func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(env(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}
