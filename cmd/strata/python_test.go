package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// python finds a Python 3, if possible one that has the libraries that the client has adapters for: the first in PATH need
// not be the one whose packages the system installs.
func python(t *testing.T) string {
	t.Helper()
	first := ""
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		p := filepath.Join(dir, "python3")
		if exec.Command(p, "-c", "import sys; assert sys.version_info >= (3, 9)").Run() != nil {
			continue
		}
		if first == "" {
			first = p
		}
		if exec.Command(p, "-c", "import importlib.util as u; assert u.find_spec('optuna') and u.find_spec('deap')").Run() == nil {
			return p
		}
	}
	if first == "" {
		t.Skip("no Python 3.9 or newer on this machine to test the client with")
	}
	return first
}

// TestPython runs the tests of the Python client, its examples and the Python of the pages. Adapters are left out where their
// library is missing, each with a line that says so.
func TestPython(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a hundred processes")
	}
	c := exec.Command(python(t), filepath.Join("clients", "python", "test_strata.py"), "-v")
	c.Dir = projectRoot(t)
	c.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "STRATA=strata")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "skipped") {
			t.Log(strings.TrimSpace(line))
		}
	}
}
