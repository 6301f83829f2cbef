package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

const modulePath = "github.com/stratasim/strata"

// projectRoot is the folder that holds go.mod.
func projectRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the folder of this test")
		}
		dir = up
	}
}

// projectFiles lists the files of the project, sorted, with slashes, relative to root: what git knows or would add. In an
// unpacked archive, where there is no git to ask, it is every file but hidden folders and what the archive cannot hold.
func projectFiles(t *testing.T, root string) []string {
	t.Helper()
	var files []string
	if _, err := os.Stat(filepath.Join(root, ".git")); err == nil {
		git := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
		git.Dir = root
		if out, err := git.Output(); err == nil {
			for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
				// A file that was deleted but not yet recorded as deleted is still listed.
				if info, err := os.Lstat(filepath.Join(root, filepath.FromSlash(name))); err == nil && info.Mode().IsRegular() {
					files = append(files, name)
				}
			}
			slices.Sort(files)
			return slices.Compact(files)
		}
	}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since the folder was read
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel == ".git" || rel == "bin" || rel == "out" {
				return fs.SkipDir
			}
			return nil
		}
		if d.Type().IsRegular() && !strings.Contains(d.Name(), ".db") {
			files = append(files, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return files
}

// A goPackage is a folder with Go files, as its source tells: what its files import under any build constraint.
type goPackage struct {
	dir         string            // "sim/units"
	name        string            // "units"
	imports     map[string]string // import path → file:line of the first import outside tests
	testImports map[string]string // the same for files of tests
	doc         string            // the package comment of doc.go
	hasDoc      bool              // there is a doc.go
}

func goPackages(t *testing.T, root string) map[string]*goPackage {
	t.Helper()
	packages := map[string]*goPackage{}
	fset := token.NewFileSet()
	for _, file := range projectFiles(t, root) {
		dir, base := path.Split(file)
		dir = strings.TrimSuffix(dir, "/")
		if !strings.HasSuffix(base, ".go") || slices.Contains(strings.Split(dir, "/"), "testdata") {
			continue
		}
		src, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		tree, err := parser.ParseFile(fset, file, src, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			t.Error(err)
			continue
		}
		if leftOut(tree) {
			continue
		}
		p := packages[dir]
		if p == nil {
			p = &goPackage{dir: dir, imports: map[string]string{}, testImports: map[string]string{}}
			packages[dir] = p
		}
		into := p.imports
		if strings.HasSuffix(base, "_test.go") {
			into = p.testImports
		} else {
			p.name = tree.Name.Name
		}
		if base == "doc.go" {
			p.hasDoc, p.doc = true, tree.Doc.Text()
		}
		for _, spec := range tree.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Error(err)
				continue
			}
			if _, seen := into[name]; !seen {
				at := fset.Position(spec.Pos())
				into[name] = fmt.Sprintf("%s:%d", at.Filename, at.Line)
			}
		}
	}
	return packages
}

// leftOut tells whether a file is built on no machine ("//go:build ignore"): a program that only `go run FILE` starts.
func leftOut(file *ast.File) bool {
	for _, group := range file.Comments {
		for _, line := range group.List {
			if line.Pos() < file.Package && constraint.IsGoBuild(line.Text) {
				expr, err := constraint.Parse(line.Text)
				return err == nil && !expr.Eval(func(tag string) bool { return tag != "ignore" })
			}
		}
	}
	return false
}

// Folders of the project and the folders whose packages they may import, beside their own. The graph has no cycle, so it
// can be drawn, and read from the left:
//
//	sim ← {memory, interconnect, traces} ← arch ← experiments ← cmd
var folders = []struct {
	name string
	may  []string
	why  string
}{
	{"sim", nil, "units, time and the event agenda know nothing of what is built on them"},
	{"memory", []string{"sim"}, "a part does not know the machine it is in, nor the other kinds of part"},
	{"interconnect", []string{"sim"}, "a part does not know the machine it is in, nor the other kinds of part"},
	{"traces", []string{"sim"}, "a workload is described without any machine, so that every machine can run it"},
	{"arch", []string{"sim", "memory", "interconnect", "traces"}, "a machine and its plan do not know which study asks"},
	{"experiments", []string{"sim", "memory", "interconnect", "traces", "arch"}, "studies can be used as a library, without the command line"},
	{"cmd", []string{"sim", "memory", "interconnect", "traces", "arch", "experiments"}, "the command line is the outermost layer"},
}

// An importRule forbids imports to some packages.
type importRule struct {
	name       string
	applies    func(p *goPackage) bool
	forbids    func(importPath string) bool
	transitive bool // also through packages of the project that are imported
	tests      bool // files of tests too
	why        string
}

const akita = "github.com/sarchlab/akita"

func isUnder(importPath, parent string) bool {
	return importPath == parent || strings.HasPrefix(importPath, parent+"/")
}

// isComponent tells whether a folder holds components that own a clock and a queue: memory/memsim, interconnect/netsim.
// The folder sim itself is the shared vocabulary, not a component.
func isComponent(dir string) bool { return strings.HasSuffix(path.Base(dir), "sim") && dir != "sim" }

var importRules = []importRule{
	{
		name: "akita only where events are played",
		applies: func(p *goPackage) bool {
			return p.dir != "sim/kernel" && p.dir != "arch/event" && !isComponent(p.dir)
		},
		forbids: func(i string) bool { return isUnder(i, akita) },
		tests:   true,
		why:     "only sim/kernel, packages whose name ends in sim, and arch/event know the event engine: anything else could come to depend on its order of events or its float seconds",
	},
	{
		name:    "of akita only akita/v3/sim",
		applies: func(*goPackage) bool { return true },
		forbids: func(i string) bool { return isUnder(i, akita) && i != akita+"/v3/sim" },
		tests:   true,
		why:     "the other akita packages pull in web servers and database drivers",
	},
	{
		name:    "units stand alone",
		applies: func(p *goPackage) bool { return p.dir == "sim/units" },
		forbids: func(i string) bool { first, _, _ := strings.Cut(i, "/"); return strings.Contains(first, ".") },
		why:     "every package imports sim/units, so it imports the standard library only",
	},
	{
		name:    "the closed form stays free of the event engine",
		applies: func(p *goPackage) bool { return p.dir == "arch/analytic" },
		forbids: func(i string) bool {
			dir, own := strings.CutPrefix(i, modulePath+"/")
			return isUnder(i, akita) || own && (isUnder(dir, "sim/kernel") || isUnder(dir, "arch/event") || isComponent(dir))
		},
		transitive: true,
		why:        "an oracle that answers in microseconds must not simulate, and two fidelities that share an engine would not check each other",
	},
	{
		name:    "ranks know no kernels",
		applies: func(p *goPackage) bool { return p.dir == "arch/parallel" },
		forbids: func(i string) bool {
			dir, own := strings.CutPrefix(i, modulePath+"/")
			return own && !isUnder(dir, "sim") && !isUnder(dir, "interconnect")
		},
		why: "units of work come in as times, so that either fidelity can time them and a schedule can be tested without a machine",
	},
}

// checkImports returns one line for each import that the folders or a rule forbid.
func checkImports(packages map[string]*goPackage) []string {
	var problems []string
	complain := func(at, what, why string) {
		problems = append(problems, fmt.Sprintf("%s: %s\n\twhy not: %s", at, what, why))
	}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		p := packages[dir]
		top, _, _ := strings.Cut(dir, "/")
		var own []string // folders that this package may import
		why := ""
		for _, f := range folders {
			if f.name == top {
				own, why = append([]string{f.name}, f.may...), f.why
			}
		}
		if own == nil {
			complain(dir, "a Go package outside the folders of the project", "the folders are fixed; add the package to one of them")
			continue
		}
		for _, imports := range []map[string]string{p.imports, p.testImports} {
			for _, i := range slices.Sorted(maps.Keys(imports)) {
				if to, ok := strings.CutPrefix(i, modulePath+"/"); ok {
					if toTop, _, _ := strings.Cut(to, "/"); !slices.Contains(own, toTop) {
						complain(imports[i], fmt.Sprintf("%s imports %s, but %s may import only %s", dir, to, top, strings.Join(own, ", ")), why)
					}
				}
			}
		}
		for _, rule := range importRules {
			if !rule.applies(p) {
				continue
			}
			for _, at := range forbidden(packages, p, rule) {
				complain(at, "breaks the rule \""+rule.name+"\"", rule.why)
			}
		}
	}
	return problems
}

// forbidden lists the imports of p that a rule forbids, each with its place and, where others lie between, the way there.
func forbidden(packages map[string]*goPackage, p *goPackage, rule importRule) []string {
	var found []string
	seen := map[string]bool{p.dir: true}
	var walk func(q *goPackage, way string)
	look := func(imports map[string]string, way string) {
		for _, i := range slices.Sorted(maps.Keys(imports)) {
			if rule.forbids(i) {
				found = append(found, fmt.Sprintf("%s: %s → %s", imports[i], way, i))
				continue
			}
			dir, ok := strings.CutPrefix(i, modulePath+"/")
			if next := packages[dir]; ok && rule.transitive && next != nil && !seen[dir] {
				seen[dir] = true
				walk(next, way+" → "+dir)
			}
		}
	}
	walk = func(q *goPackage, way string) { look(q.imports, way) }
	walk(p, p.dir)
	if rule.tests {
		look(p.testImports, p.dir+" (test)")
	}
	return found
}

// TestImports holds the import graph: which folder may import which, and the rules for single packages.
func TestImports(t *testing.T) {
	packages := goPackages(t, projectRoot(t))
	if packages["cmd/strata"] == nil {
		t.Fatal("not even this package was found")
	}
	for _, problem := range checkImports(packages) {
		t.Error(problem)
	}
}

// TestImportRulesBite breaks each rule once, and shows that what is allowed passes.
func TestImportRulesBite(t *testing.T) {
	const own = modulePath + "/"
	pkg := func(dir string, imports ...string) *goPackage {
		p := &goPackage{dir: dir, imports: map[string]string{}, testImports: map[string]string{}}
		for _, i := range imports {
			into := p.imports
			if test, ok := strings.CutPrefix(i, "test:"); ok {
				into, i = p.testImports, test
			}
			into[i] = dir + "/x.go:1"
		}
		return p
	}
	for _, tt := range []struct {
		name     string
		packages []*goPackage
		want     []string // a part of each problem, in order
	}{
		{name: "allowed", packages: []*goPackage{
			pkg("sim/units", "math/bits", "test:github.com/rogpeppe/go-internal/testscript"),
			pkg("sim/kernel", own+"sim/units", akita+"/v3/sim"),
			pkg("memory/memsim", own+"memory", own+"sim/kernel", akita+"/v3/sim"),
			pkg("arch/analytic", own+"arch/plan", "test:"+own+"arch/event"),
			pkg("arch/plan", own+"traces"),
			pkg("cmd/strata", own+"experiments/store", own+"arch/eval"),
		}},
		{name: "upwards", packages: []*goPackage{pkg("sim/kernel", own+"memory")}, want: []string{"sim/kernel imports memory"}},
		{name: "sideways", packages: []*goPackage{pkg("memory", own+"interconnect")}, want: []string{"memory imports interconnect"}},
		{name: "upwards in a test", packages: []*goPackage{pkg("traces/llm", "test:"+own+"arch/eval")}, want: []string{"traces/llm imports arch/eval"}},
		{name: "new folder", packages: []*goPackage{pkg("util")}, want: []string{"outside the folders"}},
		{name: "akita in the vocabulary", packages: []*goPackage{pkg("sim", akita+"/v3/sim")}, want: []string{"akita only where"}},
		{name: "akita in a plan's test", packages: []*goPackage{pkg("arch/plan", "test:"+akita+"/v3/sim")}, want: []string{"akita only where"}},
		{name: "more of akita", packages: []*goPackage{pkg("sim/kernel", akita+"/v3/tracing")}, want: []string{"of akita only"}},
		{name: "units with a dependency", packages: []*goPackage{pkg("sim/units", "gonum.org/v1/gonum/mat")}, want: []string{"units stand alone"}},
		{name: "the closed form simulates", packages: []*goPackage{pkg("arch/analytic", own+"arch/event")}, want: []string{"closed form"}},
		{name: "ranks plan kernels", packages: []*goPackage{pkg("arch/parallel", own+"interconnect", own+"sim/portable", own+"arch/plan")}, want: []string{"ranks know no kernels"}},
		{name: "the closed form simulates by a detour",
			packages: []*goPackage{pkg("arch/analytic", own+"arch/plan"), pkg("arch/plan", own+"memory"), pkg("memory", own+"sim/kernel")},
			want:     []string{"arch/analytic → arch/plan → memory → " + own + "sim/kernel"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			packages := map[string]*goPackage{}
			for _, p := range tt.packages {
				packages[p.dir] = p
			}
			got := checkImports(packages)
			if len(got) != len(tt.want) {
				t.Fatalf("%d problems, want %d: %q", len(got), len(tt.want), got)
			}
			for i, want := range tt.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("problem %q does not say %q", got[i], want)
				}
			}
		})
	}
}

// docProblems says what a package comment lacks. A reader wants to know what a number stands for before believing it, so
// a package of a model has sections with text in them; for plumbing a few lines are enough.
func docProblems(text string, model bool) []string {
	var problems []string
	lines := 0
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			lines++
		}
	}
	if lines < 3 {
		problems = append(problems, fmt.Sprintf("a package comment of %d lines: say in at least 3 what it is for and how it is used", lines))
	}
	if !model {
		return problems
	}
	filled := map[string]bool{}
	heading := ""
	for _, block := range new(comment.Parser).Parse(text).Content {
		if h, ok := block.(*comment.Heading); ok {
			heading = ""
			for _, part := range h.Text {
				if plain, ok := part.(comment.Plain); ok {
					heading += string(plain)
				}
			}
		} else if heading != "" {
			filled[heading] = true
		}
	}
	for _, any := range [][]string{{"Model"}, {"Units"}, {"Sources", "References"}, {"Not modelled"}} {
		if !slices.ContainsFunc(any, func(h string) bool { return filled[h] }) {
			problems = append(problems, fmt.Sprintf("no section \"# %s\" with text under it", strings.Join(any, "\" or \"# ")))
		}
	}
	return problems
}

// TestPackageComments asks every package for a doc.go that says what it models and what it does not.
func TestPackageComments(t *testing.T) {
	packages := goPackages(t, projectRoot(t))
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		p := packages[dir]
		if p.name == "" {
			continue // tests only
		}
		if !p.hasDoc {
			t.Errorf("%s: no doc.go", dir)
			continue
		}
		top, _, _ := strings.Cut(dir, "/")
		model := slices.Contains([]string{"sim", "memory", "interconnect", "traces", "arch"}, top)
		for _, problem := range docProblems(p.doc, model) {
			t.Errorf("%s/doc.go: %s", dir, problem)
		}
	}
}

func TestDocProblems(t *testing.T) {
	const whole = "Package x is a part.\n\nIt serves.\n\n# Model\n\nA server.\n\n# Units\n\nBytes.\n\n# References\n\nA paper.\n\n# Not modelled\n\nHeat.\n"
	for _, tt := range []struct {
		name, text string
		model      bool
		want       int
	}{
		{"complete", whole, true, 0},
		{"sources for references", strings.Replace(whole, "References", "Sources", 1), true, 0},
		{"a section is missing", strings.Replace(whole, "# Units\n\nBytes.\n\n", "", 1), true, 1},
		{"a section is empty", strings.Replace(whole, "Heat.\n", "", 1), true, 1},
		{"no sections", "Package x\nis\na part.\n", true, 4},
		{"plumbing needs none", "Package x\nis\na part.\n", false, 0},
		{"too short", "Package x is a part.\n", false, 1},
		{"empty", "", true, 5},
	} {
		if got := docProblems(tt.text, tt.model); len(got) != tt.want {
			t.Errorf("%s: %q, want %d problems", tt.name, got, tt.want)
		}
	}
}

// Text that a file of the project must not hold. The words are put together here so that this file passes its own test.
var unwanted = []struct {
	what    string
	pattern *regexp.Regexp
	but     *regexp.Regexp // a line that matches this is fine
}{
	{
		what:    "an absolute path: it exists on one machine only",
		pattern: regexp.MustCompile("(?:^|[\\s\"'`(=:,<>\\[|])/(?:home|root|work|tmp|opt|mnt|usr|var|Users|private)/[^\\s\"'`]"),
		but:     regexp.MustCompile(`^#! ?/usr/bin/env `),
	},
	{
		what:    "the host of a package registry: it is a setting of the reader's machine",
		pattern: regexp.MustCompile(`(?:proxy\.golang|sum\.golang|registry\.npmjs|registry\.yarnpkg|deb\.debian|files\.pythonhosted|pypi|crates|goproxy)` + `\.(?:org|io|com|cn)\b`),
	},
	{
		what:    "a note of work left undone: finish it, or say under \"Not modelled\" what is missing",
		pattern: regexp.MustCompile(`\b(?:TO` + `DO|FIX` + `ME)\b`),
	},
}

func unwantedLines(text []byte) []string {
	if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 {
		return nil // not text
	}
	var problems []string
	n := 0
	for line := range bytes.Lines(text) {
		n++
		for _, u := range unwanted {
			if found := u.pattern.Find(line); found != nil && (u.but == nil || !u.but.Match(line)) {
				problems = append(problems, fmt.Sprintf("%d: %q: %s", n, bytes.TrimSpace(found), u.what))
			}
		}
	}
	return problems
}

// TestTreeIsClean looks for text that does not belong in a project: paths of one machine, registries, unfinished work.
func TestTreeIsClean(t *testing.T) {
	root := projectRoot(t)
	for _, file := range projectFiles(t, root) {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, problem := range unwantedLines(text) {
			t.Errorf("%s:%s", file, problem)
		}
	}
}

func TestUnwantedLines(t *testing.T) {
	slash := "/"
	for _, tt := range []struct {
		line string
		bad  bool
	}{
		{"open(\"" + slash + "home/ada/x.yaml\")", true},
		{slash + "work/main", true},
		{"see " + slash + "tmp/a", true},
		{"#!" + slash + "usr/bin/env bash", false},
		{"https://example.org/home/page", false},
		{`{"path":"/op/m"}`, false},
		{"a relative/work/path", false},
		{"https://proxy.golang" + ".org", true},
		{"golang.org/x/tools", false},
		{"// TO" + "DO: later", true},
		{"a to-do list; todos", false},
		{"TO" + "DO\x00", false},
	} {
		if got := unwantedLines([]byte(tt.line + "\n")); (len(got) > 0) != tt.bad {
			t.Errorf("%q: %q, want bad = %t", tt.line, got, tt.bad)
		}
	}
}

// TestChangelog: whoever compares numbers of two versions finds the section that explains the difference.
func TestChangelog(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(projectRoot(t), "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^##+ Changed numbers$`).Match(text) {
		t.Error(`CHANGELOG.md has no section "Changed numbers"`)
	}
}

// TestReadmeCommands: the README tells how to test and how to run, and what it tells to test with is there.
func TestReadmeCommands(t *testing.T) {
	root := projectRoot(t)
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{`\./test`, `go run \./cmd/strata run .*`} {
		if !regexp.MustCompile(`(?m)^` + command + `$`).Match(text) {
			t.Errorf("README.md has no line that is the command %s", command)
		}
	}
	for _, script := range []string{"test", ".ci/run"} {
		if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(script))); err != nil {
			t.Error(err)
		} else if info.Mode()&0o111 == 0 && filepath.Separator == '/' {
			t.Errorf("%s cannot be executed", script)
		}
	}
}

var (
	inlineLink = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)`)
	linkTarget = regexp.MustCompile(`^ {0,3}\[[^\]]+\]:\s+<?([^\s>]+)>?`)
	codeSpan   = regexp.MustCompile("`+[^`]*`+")
	mdHeading  = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*$`)
)

// A markdownLink is the target of a link and the line that it is on.
type markdownLink struct {
	line   int
	target string
}

// readMarkdown returns the links of a page, outside code, and the anchors of its headings.
func readMarkdown(text string) (links []markdownLink, anchors map[string]bool) {
	anchors = map[string]bool{}
	fence := ""
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		trimmed := strings.TrimLeft(line, " ")
		if ticks := trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, "`"))]; len(ticks) >= 3 {
			switch {
			case fence == "":
				fence = ticks
			case strings.TrimSpace(trimmed) == fence:
				fence = ""
			}
			continue
		}
		if fence != "" {
			continue
		}
		if h := mdHeading.FindStringSubmatch(line); h != nil {
			anchors[anchor(h[1])] = true
		}
		line = codeSpan.ReplaceAllString(line, "")
		for _, m := range inlineLink.FindAllStringSubmatch(line, -1) {
			links = append(links, markdownLink{n, m[1]})
		}
		if m := linkTarget.FindStringSubmatch(line); m != nil {
			links = append(links, markdownLink{n, m[1]})
		}
	}
	return links, anchors
}

// anchor is the name that a heading gets in a link, by the rule that forges share: small letters, no punctuation, hyphens
// for spaces.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// TestLinks follows the links between the project's own pages.
func TestLinks(t *testing.T) {
	root := projectRoot(t)
	anchorsOf := map[string]map[string]bool{}
	linksOf := map[string][]markdownLink{}
	for _, file := range projectFiles(t, root) {
		if !strings.HasSuffix(file, ".md") || strings.Contains(file, "testdata/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
		if err != nil {
			t.Error(err)
			continue
		}
		linksOf[file], anchorsOf[file] = readMarkdown(string(text))
	}
	for _, file := range slices.Sorted(maps.Keys(linksOf)) {
		for _, link := range linksOf[file] {
			at := fmt.Sprintf("%s:%d: %s", file, link.line, link.target)
			u, err := url.Parse(link.target)
			if err != nil {
				t.Errorf("%s: %v", at, err)
				continue
			}
			if u.Scheme != "" || u.Host != "" {
				continue // the world outside
			}
			to := file
			if u.Path != "" {
				to = path.Join(path.Dir(file), u.Path)
			}
			if path.IsAbs(u.Path) || to == ".." || strings.HasPrefix(to, "../") {
				t.Errorf("%s: leads out of the project", at)
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(to))); err != nil {
				t.Errorf("%s: there is no %s", at, to)
				continue
			}
			if anchors, page := anchorsOf[to]; page && u.Fragment != "" && !anchors[u.Fragment] {
				t.Errorf("%s: %s has no heading with that name", at, to)
			}
		}
	}
}

func TestReadMarkdown(t *testing.T) {
	page := "# The `run` command, in short\n[a](b.md) ![p](<c.png>) [d](e.md#f \"title\")\n```\n[no](x.md)\n# no\n```\n`[T any](no)`\n[ref]: g.md\n"
	links, anchors := readMarkdown(page)
	want := []markdownLink{{2, "b.md"}, {2, "c.png"}, {2, "e.md#f"}, {8, "g.md"}}
	if !slices.Equal(links, want) {
		t.Errorf("links %v, want %v", links, want)
	}
	if len(anchors) != 1 || !anchors["the-run-command-in-short"] {
		t.Errorf("anchors %v", anchors)
	}
}
