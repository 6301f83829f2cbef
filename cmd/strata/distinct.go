package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/traces/llm"
)

// named is a file that a flag names.
type named struct{ flag, path string }

// inputs are the files that a command reads: none for "", names of presets and standard input.
func inputs(arch, model, draft, trace, mapping string) []named {
	var list []named
	if _, err := presets.Machine(arch); arch != "" && err != nil {
		list = append(list, named{"arch", arch})
	}
	for _, of := range []named{{"model", model}, {"draft", draft}} {
		if _, err := llm.Preset(of.path); of.path != "" && err != nil {
			list = append(list, of)
		}
	}
	if trace != "" && trace != "-" {
		list = append(list, named{"trace", trace})
	}
	if mapping != "" {
		list = append(list, named{"mapping", mapping})
	}
	return list
}

// checkOutputs notes outputs that were given as "", that are what the command reads or another of its outputs, and
// timelines in the place of a database: writing them would destroy what is there. The path of an output is "" if it is
// not asked for.
func checkOutputs(c *cobra.Command, problems *experiments.Problems, outputs, inputs []named) {
	add := func(flag, hint, format string, args ...any) {
		problems.Add(&experiments.Invalid{Field: flag, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	for i, out := range outputs {
		if out.path == "" {
			if c.Flags().Changed(out.flag) {
				add(out.flag, "perhaps a variable of the shell is not set", "the name of the file is empty")
			}
			continue
		}
		twice := false
		for _, other := range slices.Concat(inputs, outputs[:i]) {
			twice = checkDistinct(problems, []named{out}, other) || twice
		}
		if twice {
			continue
		}
		if f, ok := c.InOrStdin().(*os.File); ok {
			in, err := f.Stat()
			here, e := os.Stat(out.path)
			if err == nil && e == nil && in.Mode().IsRegular() && os.SameFile(in, here) {
				add(out.flag, "give another name", "%s is the file on standard input", out.path)
				continue
			}
		}
		if out.flag != "db" && isDatabase(out.path) {
			add(out.flag, "give another name", "%s is an SQLite database, which would be lost", out.path)
		}
	}
}

// checkDistinct notes outputs that are the file of another flag, and reports whether there are any.
func checkDistinct(problems *experiments.Problems, outputs []named, other named) (twice bool) {
	for _, out := range outputs {
		if out.path != "" && other.path != "" && sameFile(out.path, other.path) {
			problems.Add(&experiments.Invalid{Field: out.flag, Message: fmt.Sprintf("%s is the file of --%s", out.path, other.flag), Hint: "give another name"})
			twice = true
		}
	}
	return twice
}

// isDatabase reports whether the name is that of an SQLite database, or of the file that one keeps beside it.
func isDatabase(name string) bool {
	const magic = "SQLite format 3\x00"
	for _, suffix := range []string{"", "-wal", "-journal", "-shm"} {
		if len(name) <= len(suffix) || name[len(name)-len(suffix):] != suffix {
			continue
		}
		file := name[:len(name)-len(suffix)]
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
			continue
		}
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		head := make([]byte, len(magic))
		_, err = io.ReadFull(f, head)
		f.Close()
		if err == nil && bytes.Equal(head, []byte(magic)) {
			return true
		}
	}
	return false
}

// sameFile reports whether two names lead to one file, which need not be there yet.
func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	y, e := os.Stat(b)
	if err == nil && e == nil {
		return os.SameFile(x, y) && (x.Mode().IsRegular() || x.Mode()&os.ModeNamedPipe != 0)
	}
	return destination(a) == destination(b)
}

// destination follows the links of a name, also where the last one leads to a file that is not there.
func destination(name string) string {
	for range 40 { // as many as Linux follows
		target, err := os.Readlink(name)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(name), target)
		}
		name = target
	}
	if abs, err := filepath.Abs(name); err == nil {
		name = abs
	}
	dir, base := filepath.Split(name)
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return filepath.Join(dir, base)
}
