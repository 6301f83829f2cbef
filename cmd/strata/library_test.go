package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// goBlocks finds the Go code of a page.
func goBlocks(page string) []string {
	var blocks []string
	for i, part := range strings.Split(page, "\n```") {
		if code, ok := strings.CutPrefix(part, "go\n"); ok && i%2 == 1 {
			blocks = append(blocks, code)
		}
	}
	return blocks
}

// TestGoSnippets: the Go code of the pages stands in examples, which are tests; a whole program is run by TestModule.
func TestGoSnippets(t *testing.T) {
	root := projectRoot(t)
	var examples strings.Builder
	for _, file := range []string{"arch/eval/example_test.go", "experiments/example_test.go"} {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		examples.Write(text)
	}
	flat := func(s string) string { // whatever the depth that it stands at
		return regexp.MustCompile(`(?m)^\t+`).ReplaceAllString(s, "")
	}
	known := flat(examples.String())
	for page, least := range map[string]int{"docs/library.md": 6, "docs/costs.md": 1} {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(page)))
		if err != nil {
			t.Fatal(err)
		}
		blocks := goBlocks(string(text))
		if len(blocks) < least {
			t.Errorf("%s has %d pieces of Go", page, len(blocks))
		}
		for _, code := range blocks {
			if !strings.HasPrefix(code, "package main\n") && !strings.Contains(known, flat(code)) {
				t.Errorf("%s: no example has this:\n%s", page, code)
			}
		}
	}
}

// TestModule builds and runs the program of the page as a module of its own that requires this one, without a network.
func TestModule(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command on this machine to build a module with")
	}
	root := projectRoot(t)
	page, err := os.ReadFile(filepath.Join(root, "docs", "library.md"))
	if err != nil {
		t.Fatal(err)
	}
	var program string
	for _, code := range goBlocks(string(page)) {
		if strings.HasPrefix(code, "package main\n") {
			program = code
		}
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	// What the module requires is required here too, as go mod tidy would write it.
	own := strings.Replace(string(mod), "module "+modulePath, "module example.org/mine", 1) +
		"\nrequire " + modulePath + " v0.0.0\n\nreplace " + modulePath + " => " + filepath.ToSlash(root) + "\n"
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": own, "go.sum": string(sum), "main.go": program} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := exec.CommandContext(t.Context(), tool, "run", ".")
	run.Dir = dir
	run.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "GOTOOLCHAIN=local", "PWD="+dir)
	out, err := run.CombinedOutput()
	if err != nil && strings.Contains(string(out), "module lookup disabled by GOPROXY=off") {
		for _, line := range strings.Split(string(sum), "\n") { // a module that the project does not name is a mistake of the page
			if name, _, ok := strings.Cut(line, " "); ok && strings.Contains(string(out), name+"@") {
				t.Skipf("modules that the project needs are not in the module cache: %s", out)
			}
		}
	}
	if err != nil || !regexp.MustCompile(`^llama2-7b on a100-sxm-80gb: first token [0-9.]+ ms, then [0-9.]+ ms each\n$`).Match(out) {
		t.Errorf("%v\n%s", err, out)
	}
}
