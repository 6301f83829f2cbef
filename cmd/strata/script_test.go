package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // for sql
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/experiments/view/viewtest"
)

// update rewrites what tests compare with: the files inside scripts, and every golden file of this package.
var update = flag.Bool("update", false, "rewrite the expected output in testdata instead of comparing with it")

// TestMain lets this test binary be the strata command: scripts and documentation find it in PATH under that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"strata": func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs testdata/script/*.txtar. Beside the usual commands of testscript there is
//
//	exits CODE COMMAND [ARGUMENTS]
//
// which runs a command and demands that exit code; stdout and stderr can be looked at afterwards,
//
//	sql FILE STATEMENT
//
// which changes a database as another program would,
//
//	rows FILE FILE
//
// which demands that two databases have the same rows in all tables but meta, and
//
//	fill FILE SIZE [TEXT]
//
// which writes a file of so many MB: TEXT, then one letter over and over, without the end of a line, and
//
//	points FILE SWEEP N
//
// which puts a made sweep of N points into a database (package viewtest).
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "sql": execSQL, "fill": fill, "rows": rows, "points": putPoints},
		Setup: func(e *testscript.Env) error {
			examples, err := filepath.Abs(filepath.Join("..", "..", "docs", "examples"))
			if err != nil {
				return err
			}
			e.Setenv("EXAMPLES", examples) // what docs/examples has
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "root" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return os.Geteuid() == 0, nil // who may read and write everything
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENTS]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%s did not run: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func rows(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: rows FILE FILE")
	}
	ts.Check(sameRows(ts.MkAbs(args[0]), ts.MkAbs(args[1])))
}

func execSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql FILE STATEMENT")
	}
	db, err := sql.Open("sqlite3", ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = db.Exec(args[1])
	ts.Check(errors.Join(err, db.Close()))
}

func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: fill FILE SIZE [TEXT]")
	}
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = f.WriteString(strings.Join(args[2:], ""))
	for part := strings.Repeat("a", 1e6); size > 0 && err == nil; size-- {
		_, err = f.WriteString(part)
	}
	ts.Check(errors.Join(err, f.Close()))
}

func putPoints(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: points FILE SWEEP N")
	}
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	s, err := store.Open(ts.MkAbs(args[0]), store.Options{ModelVersion: "made"})
	ts.Check(err)
	err = viewtest.Fill(context.Background(), s, args[1], n, false)
	ts.Check(errors.Join(err, s.Close()))
}

// A docCommand is a command line that a page of documentation tells its reader to type.
type docCommand struct {
	line int // in the page, from 1
	text string
	// shown, if the block promises to show what the commands print, is that text, from line from of the page on.
	shown *string
	from  int
}

var (
	// A strata command, at the start of a line or behind a pipe, perhaps with settings of the environment before it.
	strataCommand = regexp.MustCompile(`(?:^|[|;&]\s*)(?:\w+=\S*\s+)*(?:strata|go run \./cmd/strata)(?:\s|$)`)
	// A command that writes a file which a strata command of the same page reads.
	fileCommand = regexp.MustCompile(`^(?:cat|printf|echo)\s.*>`)
	goRun       = regexp.MustCompile(`go run \./cmd/strata\b`)
	heredoc     = regexp.MustCompile(`<<-?\s*['"]?(\w+)['"]?`)
)

// docCommands finds the commands of a Markdown page that the test has to run. In a block marked
// "sh" each line is a command; in one marked "console" the lines that start with "$ " are, and the rest is output. Lines
// that end in a backslash go on, here-documents are taken whole. A block marked "console output" shows all that its
// commands print. Blocks marked "sh notest" or "console notest" are left out. A strata command that stands in any other block is an error: nobody would notice when it breaks.
func docCommands(page string) (commands []docCommand, err error) {
	lines := strings.Split(page, "\n")
	for i := 0; i < len(lines); i++ {
		fence := strings.TrimLeft(lines[i], " ")
		if !strings.HasPrefix(fence, "```") {
			continue
		}
		ticks := fence[:len(fence)-len(strings.TrimLeft(fence, "`"))]
		words := strings.Fields(fence[len(ticks):])
		kind := ""
		if len(words) > 0 {
			kind = words[0]
		}
		end := i + 1
		for end < len(lines) && strings.TrimSpace(lines[end]) != ticks {
			end++
		}
		if end == len(lines) {
			return nil, fmt.Errorf("line %d: a block that never ends", i+1)
		}
		known := kind == "sh" || kind == "console"
		for n := i + 1; n < end; n++ {
			text := strings.TrimSpace(lines[n])
			prompt := strings.HasPrefix(text, "$ ")
			if !known {
				if (prompt && strataCommand.MatchString(text[2:])) || strings.HasPrefix(text, "go run ./cmd/strata") {
					return nil, fmt.Errorf("line %d: a strata command in a block marked %q: mark it sh or console (or \"sh notest\")", n+1, kind)
				}
				continue
			}
			if kind == "console" && !prompt {
				continue
			}
			text = strings.TrimPrefix(text, "$ ")
			first := n
			for strings.HasSuffix(text, "\\") && n+1 < end {
				n++
				text = strings.TrimSuffix(text, "\\") + strings.TrimPrefix(strings.TrimSpace(lines[n]), "> ")
			}
			wanted := strataCommand.MatchString(text) || fileCommand.MatchString(text)
			if here := heredoc.FindStringSubmatch(text); here != nil {
				for n+1 < end {
					n++
					text += "\n" + lines[n]
					if strings.TrimSpace(lines[n]) == here[1] {
						break
					}
				}
			}
			if wanted && !slices.Contains(words, "notest") {
				command := docCommand{line: first + 1, text: goRun.ReplaceAllString(text, "strata")}
				if slices.Contains(words, "output") {
					last := n + 1
					for last < end && !strings.HasPrefix(lines[last], "$ ") {
						last++
					}
					shown := strings.Join(lines[n+1:last], "\n")
					command.shown, command.from = &shown, n+1
				}
				commands = append(commands, command)
			}
		}
		i = end
	}
	return commands, nil
}

// TestDocumentedCommands runs every strata command of the README and of docs. Each must end with exit code 0, and print
// what a block marked "console output" shows; with -update the block is made to show it.
//
// The commands of a page run one after the other in one new folder in which the files of the project can be seen, so
// that a page can name them as its reader would, and what a command writes at the top goes away with the folder.
func TestDocumentedCommands(t *testing.T) {
	root := projectRoot(t)
	pages := []string{"README.md"}
	var tops []string // files and folders at the top of the project, but none that it does not own
	for _, file := range projectFiles(t, root) {
		if top, _, _ := strings.Cut(file, "/"); !slices.Contains(tops, top) {
			tops = append(tops, top)
		}
		if strings.HasPrefix(file, "docs/") && strings.HasSuffix(file, ".md") {
			pages = append(pages, file)
		}
	}
	for _, page := range pages {
		t.Run(page, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(page)))
			if err != nil {
				t.Fatal(err)
			}
			commands, err := docCommands(string(text))
			if err != nil {
				t.Fatalf("%s: %v", page, err)
			}
			if page == "README.md" && len(commands) == 0 {
				t.Fatal("the README tells no strata command to run: has its block been marked differently?")
			}
			if len(commands) == 0 {
				return
			}
			if _, err := exec.LookPath("sh"); err != nil {
				t.Skip("no sh on this machine to run documented commands with")
			}
			moved := 0 // lines by which the page has grown
			dir := t.TempDir()
			for _, name := range tops {
				if err := os.Symlink(filepath.Join(root, name), filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			for _, c := range commands {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				sh := exec.CommandContext(ctx, "sh", "-c", c.text)
				sh.Dir = dir
				sh.Env = append(os.Environ(), "PWD="+dir, "HOME="+dir, "LC_ALL=C.UTF-8")
				var stdout, stderr strings.Builder
				sh.Stdout, sh.Stderr = &stdout, &stderr
				err := sh.Run()
				cancel()
				if err != nil {
					t.Fatalf("%s:%d: %s\n%v\n%s", page, c.line, c.text, err, stderr.String())
				}
				printed := strings.TrimRight(stdout.String(), "\n")
				switch {
				case c.shown == nil || printed == strings.TrimRight(*c.shown, "\n"):
				case *update:
					lines := strings.Split(string(text), "\n")
					old := strings.Count(*c.shown, "\n") + 1
					if *c.shown == "" {
						old = 0
					}
					from := c.from + moved
					lines = slices.Replace(lines, from, from+old, strings.Split(printed, "\n")...)
					moved += strings.Count(printed, "\n") + 1 - old
					text = []byte(strings.Join(lines, "\n"))
					if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(page)), text, 0o644); err != nil {
						t.Fatal(err)
					}
				default:
					t.Errorf("%s:%d: %s\nprints\n%s\nthe page shows\n%s\n(go test ./cmd/strata -run 'TestDocumentedCommands/%s' -update writes what it prints)",
						page, c.line, c.text, printed, *c.shown, page)
				}
			}
		})
	}
}

// TestDocCommands shows which commands of a page are found.
func TestDocCommands(t *testing.T) {
	fence := "```"
	for _, tt := range []struct {
		name, page string
		want       []docCommand
		wrong      string // part of the error
	}{
		{name: "sh", page: fence + "sh\nstrata version\n./test\ngo run ./cmd/strata version --json\n" + fence,
			want: []docCommand{{line: 2, text: "strata version"}, {line: 4, text: "strata version --json"}}},
		{name: "console: only prompts", page: "text\n" + fence + "console\n$ strata version\nstrata 1\n$ ls\n" + fence,
			want: []docCommand{{line: 3, text: "strata version"}}},
		{name: "shown", page: fence + "console output\n$ strata a\n1\n2\n$ strata b\n" + fence,
			want: []docCommand{{line: 2, text: "strata a shows 1\n2", from: 2}, {line: 5, text: "strata b shows ", from: 5}}},
		{name: "goes on", page: fence + "sh\nstrata run \\\n  --batch 8\n" + fence, want: []docCommand{{line: 2, text: "strata run --batch 8"}}},
		{name: "pipe", page: fence + "console\n$ echo '{}' | strata estimate -\n" + fence,
			want: []docCommand{{line: 2, text: "echo '{}' | strata estimate -"}}},
		{name: "here-document", page: fence + "sh\ncat > a.yaml <<'EOF'\nstrata: 1\nEOF\nstrata arch check a.yaml\n" + fence,
			want: []docCommand{{line: 2, text: "cat > a.yaml <<'EOF'\nstrata: 1\nEOF"}, {line: 5, text: "strata arch check a.yaml"}}},
		{name: "notest", page: fence + "sh notest\nstrata sweep submit big.yaml\n" + fence},
		{name: "not a command", page: fence + "sh\ncd strata && ls\ngit clone strata\n" + fence},
		{name: "other block", page: fence + "text\nstrata run  one run\n" + fence},
		{name: "command in other block", page: fence + "bash\n$ strata run\n" + fence, wrong: "line 2"},
		{name: "open block", page: "\n" + fence + "sh\nstrata run\n", wrong: "line 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := docCommands(tt.page)
			if (err != nil) != (tt.wrong != "") || (err != nil && !strings.Contains(err.Error(), tt.wrong)) {
				t.Fatalf("error %v, want one with %q", err, tt.wrong)
			}
			for i := range got {
				if got[i].shown != nil {
					got[i].text += " shows " + *got[i].shown
					got[i].shown = nil
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
