package workload

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stratasim/strata/sim/spec"
)

// Lengths of one request, in tokens.
type Lengths struct {
	Prompt, Generate int64
}

// Entry is distinct lengths and how many requests have them.
type Entry struct {
	Lengths
	Weight int64
}

// Workload is requests of certain lengths.
type Workload struct {
	Name     string  // of the file
	Requests int64   // the sum of all weights
	Seed     int64   // of the draws; 0 if nothing was drawn
	Batch    int64   // requests at a time, 0 if the file does not say it
	Round    int64   // lengths that vary are rounded up to a multiple of it; 0 for not at all
	Entries  []Entry // distinct, ascending
	Notes    []string
	List     string // file of the list that an empirical workload names, "" for none; not part of the content
}

// Bounds of workloads.
const (
	maxRequests = 10_000_000 // of one list, weights included up to 10⁹ each
	maxWeight   = 1_000_000_000
	// MaxFile bounds files of lists, in bytes.
	MaxFile = 256 << 20
)

// Read reads a workload file: a list if its name ends in .csv, else YAML. open opens a file that it names, in the folder of
// the file itself. The error is of type *spec.Error and has every problem with its line.
func Read(name string, data []byte, open func(name string) ([]byte, error)) (*Workload, error) {
	if strings.EqualFold(filepath.Ext(name), ".csv") {
		entries, notes, err := readList(name, data)
		if err != nil {
			return nil, err
		}
		return finish(&Workload{Name: name, Notes: notes}, count(entries))
	}
	var f file
	lines, err := spec.DecodeLines(name, data, &f)
	if err != nil {
		return nil, err
	}
	w := &Workload{Name: name, Batch: f.Batch, Round: f.Round}
	bad := func(path, message, hint string) error {
		return &spec.Error{Problems: []spec.Problem{{File: name, Line: max(lines[path], 1), Path: path, Message: message, Hint: hint}}}
	}
	var entries []Entry
	switch {
	case f.Prompt != nil:
		w.Seed = f.Seed
		answers := quantile(func(float64) (int64, bool) { return 0, false })
		if f.Generate != nil {
			answers = f.Generate.quantileOf(1)
		}
		list, prompts, generated := draw(f.Requests, f.Seed, f.Prompt.quantileOf(1), answers)
		for _, l := range []struct {
			what string
			n    int64
		}{{"prompts", prompts}, {"answers", generated}} {
			if l.n > 0 {
				w.Notes = append(w.Notes, fmt.Sprintf("%d of %d %s were drawn beyond the limits and take the limit", l.n, f.Requests, l.what))
			}
		}
		return finish(w, list)
	case f.Empirical != "":
		w.List = filepath.Join(filepath.Dir(name), f.Empirical)
		list, err := open(w.List)
		if err != nil {
			return nil, bad("empirical", fmt.Sprintf("%s cannot be read: %v", f.Empirical, cause(err)), "a path from the folder of this file")
		}
		if entries, w.Notes, err = readList(f.Empirical, list); err != nil {
			return nil, err
		}
	default:
		for i := range f.List {
			l := &f.List[i]
			entries = append(entries, Entry{Lengths{l.Prompt, l.Generate}, max(l.Weight, 1)})
		}
	}
	if f.Requests > 0 {
		w.Seed = f.Seed
		return finish(w, drawFrom(f.Requests, f.Seed, entries))
	}
	return finish(w, count(entries))
}

// cause is an error without the name of the file, which is not that of the reader's.
func cause(err error) error {
	for u := errors.Unwrap(err); u != nil; u = errors.Unwrap(err) {
		err = u
	}
	return err
}

func count(entries []Entry) map[Lengths]int64 {
	list := make(map[Lengths]int64, len(entries))
	for _, e := range entries {
		list[e.Lengths] += e.Weight
	}
	return list
}

// finish puts distinct lengths in order.
func finish(w *Workload, list map[Lengths]int64) (*Workload, error) {
	for l, n := range list {
		w.Entries = append(w.Entries, Entry{l, n})
		w.Requests += n
	}
	sortEntries(w.Entries)
	return w, nil
}

func sortEntries(list []Entry) {
	slices.SortFunc(list, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Prompt, b.Prompt), cmp.Compare(a.Generate, b.Generate))
	})
}

// columnNames are the columns of a list with what they are called elsewhere: the traces of Azure's inference services
// (github.com/Azure/AzurePublicDataset, AzureLLMInferenceDataset2023) call them so.
var columnNames = map[string]string{"prompt": "prompt", "generate": "generate", "weight": "weight",
	"ContextTokens": "prompt", "GeneratedTokens": "generate", "TIMESTAMP": "time"}

// readList reads a CSV list: columns prompt, generate, and perhaps weight.
func readList(name string, data []byte) ([]Entry, []string, error) {
	var problems []spec.Problem
	problem := func(line int, field, hint, format string, args ...any) {
		problems = append(problems, spec.Problem{File: name, Line: line, Path: field, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	fail := func() ([]Entry, []string, error) { return nil, nil, &spec.Error{Problems: problems} }
	if !utf8.Valid(data) {
		problem(1, "", "", "not a text in UTF-8")
		return fail()
	}
	c := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	c.Comment, c.TrimLeadingSpace, c.ReuseRecord = '#', true, true
	var columns []string
	var list []Entry
	var notes []string
	const most = 50 // problems that help anybody
	for len(problems) < most {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if bad := (*csv.ParseError)(nil); errors.As(err, &bad) {
			problem(bad.Line, "", "", "%v", bad.Err)
			return fail()
		}
		if err != nil {
			problem(1, "", "", "%v", err)
			return fail()
		}
		line, _ := c.FieldPos(0)
		if columns == nil {
			for i, f := range fields {
				f = strings.TrimSpace(f)
				to, ok := columnNames[f]
				switch {
				case !ok:
					hint := "columns: prompt, generate, and perhaps weight"
					if near := spec.Suggest(f, []string{"prompt", "generate", "weight"}); near != "" {
						hint = fmt.Sprintf("did you mean %q?", near)
					}
					problem(line, "", hint, "column %d is called %q", i+1, shorten(f))
				case slices.Contains(columns, to):
					problem(line, f, "", "the column is there twice")
				case to == "time":
					notes = append(notes, "times of arrival are not used: requests are timed by themselves")
				}
				columns = append(columns, to)
			}
			if len(problems) == 0 && !slices.Contains(columns, "prompt") {
				problem(line, "prompt", "the first line names the columns", "no such column")
			}
			if len(problems) > 0 {
				return fail()
			}
			continue
		}
		if len(list) == maxRequests {
			problem(line, "", "give requests of the same length a weight", "more than %d rows", maxRequests)
			return fail()
		}
		e := Entry{Weight: 1}
		for i, name := range columns {
			if name == "time" {
				continue
			}
			text := strings.TrimSpace(fields[i])
			into, least, limit := &e.Prompt, int64(0), int64(maxLength)
			switch name {
			case "generate":
				into = &e.Generate
			case "weight":
				into, least, limit = &e.Weight, 1, maxWeight
			}
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < least || n > limit {
				problem(line, name, "", "%q: must be a whole number from %d to %d", shorten(text), least, limit)
			}
			*into = n
		}
		list = append(list, e)
	}
	if len(problems) == 0 && len(list) == 0 {
		problem(1, "", "a line prompt,generate and then a line for each request", "no requests in the file")
	}
	if len(problems) > 0 {
		return fail()
	}
	return list, notes, nil
}

func shorten(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// stored is a workload as it is kept.
type stored struct {
	Name     string     `json:"name"`
	Seed     int64      `json:"seed"`
	Round    int64      `json:"round,omitempty"`
	Requests [][3]int64 `json:"requests"` // prompt, generate, how many
}

// Content is all that figures of the workload depend on: the lengths that were drawn or read, as JSON. The batch is not
// among it: a point says it itself.
func (w *Workload) Content() []byte {
	s := stored{w.Name, w.Seed, w.Round, make([][3]int64, len(w.Entries))}
	for i, e := range w.Entries {
		s.Requests[i] = [3]int64{e.Prompt, e.Generate, e.Weight}
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // plain data always encodes
	}
	return text
}

// Restore reads what Content wrote.
func Restore(content []byte) (*Workload, error) {
	var s stored
	if err := json.Unmarshal(content, &s); err != nil {
		return nil, fmt.Errorf("stored workload: %w", err)
	}
	w := &Workload{Name: s.Name, Seed: s.Seed, Round: s.Round}
	list := map[Lengths]int64{}
	for i, r := range s.Requests {
		if r[0] < 0 || r[0] > maxLength || r[1] < 0 || r[1] > maxLength || r[2] < 1 {
			return nil, fmt.Errorf("stored workload: request %d is out of range", i+1)
		}
		list[Lengths{r[0], r[1]}] += r[2]
	}
	if len(list) == 0 {
		return nil, errors.New("stored workload: no requests")
	}
	return finish(w, list)
}

// Key identifies the workload by its content.
func (w *Workload) Key() string {
	sum := sha256.Sum256(w.Content())
	return hex.EncodeToString(sum[:])
}

// For returns the workload in a phase: prefill and decode do not generate, so lengths that differ in that alone are the
// same; and a length that is to be rounded is rounded up, or down with down, but never to nothing. What is the same for all
// requests is left as it is: rounding it would make nothing fewer.
func (w *Workload) For(generates, down bool) []Entry {
	list := make(map[Lengths]int64, len(w.Entries))
	prompts, answers := false, false // whether they vary
	for _, e := range w.Entries {
		prompts, answers = prompts || e.Prompt != w.Entries[0].Prompt, answers || e.Generate != w.Entries[0].Generate
	}
	round := func(n int64, varies bool) int64 {
		if w.Round < 2 || n == 0 || !varies {
			return n
		}
		if down {
			return max(n/w.Round*w.Round, 1)
		}
		return (n + w.Round - 1) / w.Round * w.Round
	}
	for _, e := range w.Entries {
		l := Lengths{Prompt: round(e.Prompt, prompts)}
		if generates {
			l.Generate = round(e.Generate, answers)
		}
		list[l] += e.Weight
	}
	entries := make([]Entry, 0, len(list))
	for l, n := range list {
		entries = append(entries, Entry{l, n})
	}
	sortEntries(entries)
	return entries
}
