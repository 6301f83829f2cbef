package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checkedPages are the pages whose console blocks show what commands print, to the letter.
var checkedPages = []string{"docs/area.md", "docs/coe.md", "docs/costs.md", "docs/fusion.md", "docs/mapping.md", "docs/network.md", "docs/studies.md", "docs/validation.md", "docs/workloads.md"}

// A session is a command of a console block and the output below it.
type session struct {
	line   int
	text   string
	output []string
}

// sessions finds the commands of the console blocks of a page with the lines below each, up to the next command.
func sessions(page string) []session {
	var list []session
	inside := false
	lines := strings.Split(page, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside:
		case strings.HasPrefix(line, "$ "):
			s := session{line: i + 1, text: line[2:]}
			if here := heredoc.FindStringSubmatch(line); here != nil {
				for end := false; !end && i+1 < len(lines); {
					i++
					s.text += "\n" + lines[i]
					end = lines[i] == here[1]
				}
			}
			list = append(list, s)
		case len(list) > 0:
			s := &list[len(list)-1]
			s.output = append(s.output, line)
		}
	}
	return list
}

// differs compares output with what a page shows, in which a line "…" stands for any lines. It returns the first line of
// the page that is not there.
func differs(shown []string, output string) (string, bool) {
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	if output == "" {
		lines = nil
	}
	skip := false
	for _, s := range shown {
		if s == "…" {
			skip = true
			continue
		}
		for skip && len(lines) > 0 && lines[0] != s {
			lines = lines[1:]
		}
		if len(lines) == 0 || lines[0] != s {
			return s, true
		}
		lines, skip = lines[1:], false
	}
	if len(lines) > 0 && !skip {
		return "the end, but there is more: " + lines[0], true
	}
	return "", false
}

// refreshed is what a page shows, with the lines that are not printed any more replaced by those that are most like them: with
// the longest common beginning, in the order of the output. Lines "…" stay.
func refreshed(shown []string, output string) []string {
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	list := slices.Clone(shown)
	for i, s := range list {
		if s == "…" {
			continue
		}
		best, most := -1, -1
		for k, l := range lines {
			n := 0
			for n < len(l) && n < len(s) && l[n] == s[n] {
				n++
			}
			if l == s {
				n = len(s) + 1
			}
			if n > most {
				best, most = k, n
			}
			if l == s {
				break
			}
		}
		if best < 0 {
			break
		}
		list[i], lines = lines[best], lines[best+1:]
	}
	return list
}

// TestDocumentedOutput: what the pages show is what their commands print. With -update lines that are not are replaced.
func TestDocumentedOutput(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh on this machine to run documented commands with")
	}
	root := projectRoot(t)
	for _, page := range checkedPages {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(page)))
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		lines, stale := strings.Split(string(text), "\n"), false
		for _, s := range sessions(string(text)) {
			sh := exec.CommandContext(t.Context(), "sh", "-c", s.text)
			sh.Dir = dir
			sh.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+dir, "PWD="+dir)
			var stdout, stderr strings.Builder
			sh.Stdout, sh.Stderr = &stdout, &stderr
			if err := sh.Run(); err != nil {
				t.Fatalf("%s:%d: %s\n%v\n%s", page, s.line, s.text, err, stderr.String())
			}
			line, bad := differs(s.output, stdout.String())
			switch {
			case bad && *update:
				stale = true
				copy(lines[s.line+strings.Count(s.text, "\n"):], refreshed(s.output, stdout.String()))
			case bad:
				t.Errorf("%s:%d: %s\nprints not: %s\nbut\n%s", page, s.line, s.text, line, stdout.String())
			}
		}
		if stale {
			if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(page)), []byte(strings.Join(lines, "\n")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestRefreshed(t *testing.T) {
	got := refreshed([]string{"a  1.5 ms", "…", "b  20 %", "c", "…"}, "a  1.6 ms\nx\nb  30 %\nc\nd\n")
	if want := []string{"a  1.6 ms", "…", "b  30 %", "c", "…"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestDiffers(t *testing.T) {
	for _, tt := range []struct {
		shown, output string
		bad           bool
	}{
		{"a\nb", "a\nb\n", false}, {"a\n…", "a\nb\nc\n", false}, {"…\nc", "a\nb\nc\n", false}, {"a\n…\nc", "a\nc\n", false}, {"…", "", false},
		{"a", "a\nb\n", true}, {"a\nc", "a\nb\nc\n", true}, {"…\nd", "a\nb\n", true}, {"a", "", true},
	} {
		if line, bad := differs(strings.Split(tt.shown, "\n"), tt.output); bad != tt.bad {
			t.Errorf("%q against %q: %t, %s", tt.shown, tt.output, bad, line)
		}
	}
}
