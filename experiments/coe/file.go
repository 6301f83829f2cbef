package coe

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces/llm"
)

// file is a composition file.
type file struct {
	Experts    []expert    `yaml:"experts" spec:"required,min=1,max=64"`
	Router     *router     `yaml:"router"`
	Requests   int64       `yaml:"requests" spec:"required,min=1,max=1000000"`
	Warmup     int64       `yaml:"warmup" spec:"min=0,max=1000000"`
	Seed       int64       `yaml:"seed" spec:"min=0"`
	Batch      int64       `yaml:"batch" spec:"min=0,max=4096"`
	Prompt     int64       `yaml:"prompt" spec:"required,min=1,max=2147483648"`
	Generate   int64       `yaml:"generate" spec:"required,min=1,max=32768"`
	Popularity *popularity `yaml:"popularity"`
	Cache      *cache      `yaml:"cache"`
	Switch     *switching  `yaml:"switch"`
}

// expert is experts of one model.
type expert struct {
	Model  string   `yaml:"model" spec:"required"`
	Count  int64    `yaml:"count" spec:"required,min=1,max=100000"`
	Weight *float64 `yaml:"weight" spec:"gt=0,max=1000000"`
}

// router is a model that reads the prompts, or a time.
type router struct {
	Model  string      `yaml:"model"`
	Time   *units.Time `yaml:"time" spec:"min=0 ns,max=1000 s"`
	Source string      `yaml:"source"`
}

type popularity struct {
	Kind     string   `yaml:"kind" spec:"required,oneof=uniform|zipf|in-turn|recorded"`
	Exponent *float64 `yaml:"exponent" spec:"gt=0,max=20"`
	List     []int64  `yaml:"list" spec:"min=0,max=100000"`
	File     string   `yaml:"file"`
}

type cache struct {
	Policy  string `yaml:"policy" spec:"oneof=|lru|pinned|belady"`
	Experts int64  `yaml:"experts" spec:"min=0,max=100000"`
}

type switching struct {
	From     string                `yaml:"from"`
	Rate     *units.BytesPerSecond `yaml:"rate" spec:"gt=0 B/s,max=1000 TB/s"`
	Source   string                `yaml:"source"`
	Prefetch bool                  `yaml:"prefetch"`
}

// Validate implements the interface of package spec.
func (r *router) Validate(report func(path, message, hint string)) {
	switch {
	case r.Model == "" && r.Time == nil:
		report("", "what is the router?", "a model, or the time that it takes for a batch")
	case r.Model != "" && r.Time != nil:
		report("time", "there is a model too", "give one of them")
	case r.Time != nil && r.Source == "":
		report("source", "where is the time from?", `e.g. source: "measured on our node"`)
	}
}

// Validate implements the interface of package spec.
func (p *popularity) Validate(report func(path, message, hint string)) {
	if (p.Kind == Zipf) != (p.Exponent != nil) {
		report("exponent", "it goes with kind zipf, which needs it", "e.g. popularity: {kind: zipf, exponent: 1}")
	}
	lists := 0
	if len(p.List) > 0 {
		lists++
	}
	if p.File != "" {
		lists++
	}
	switch {
	case p.Kind == Recorded && lists != 1:
		report("", "which experts do the requests pick?", "give list, numbers from 0 on, or file, a CSV file with a column expert")
	case p.Kind != Recorded && lists > 0:
		report("kind", "a list of experts goes with kind recorded", "")
	}
}

// Validate implements the interface of package spec.
func (s *switching) Validate(report func(path, message, hint string)) {
	if s.Rate != nil && s.Source == "" {
		report("source", "where is the rate from?", `e.g. source: "arXiv 2405.07518: over 1 TB/s"`)
	}
}

// Validate implements the interface of package spec.
func (f *file) Validate(report func(path, message, hint string)) {
	var all int64
	for i := range f.Experts {
		all += f.Experts[i].Count
	}
	if all > maxExperts {
		report("experts", fmt.Sprintf("%d experts in all, at most %d", all, maxExperts), "")
	}
	if f.Cache != nil && f.Cache.Experts > all {
		report("cache.experts", fmt.Sprintf("%d: there are only %d experts", f.Cache.Experts, all), "")
	}
	if f.Warmup+f.Requests > maxRequests {
		report("warmup", fmt.Sprintf("%d requests with those of the warm-up, at most %d", f.Warmup+f.Requests, maxRequests), "")
	}
	if f.Popularity == nil || f.Popularity.Kind != Recorded {
		return
	}
	if i := slices.IndexFunc(f.Popularity.List, func(e int64) bool { return e < 0 || e >= all }); i >= 0 {
		report("popularity.list", fmt.Sprintf("%d: experts are numbered from 0 to %d, in the order of the file", f.Popularity.List[i], all-1), "")
	}
}

// Bounds.
const (
	maxExperts  = 100_000
	maxRequests = 1_000_000
	// MaxFile bounds files of recorded requests, in bytes.
	MaxFile = 64 << 20
)

// Is reports whether a workload file is one of a composition: whether it has experts.
func Is(data []byte) bool {
	if text := bytes.TrimLeft(data, " \t\r\n"); bytes.HasPrefix(text, []byte("{")) {
		return inFlow.Match(text)
	}
	return inBlock.Match(data)
}

// The member experts in a file that is written as blocks, and in one that is written like JSON.
var (
	inBlock = regexp.MustCompile(`(?m)^["']?experts["']? *:`)
	inFlow  = regexp.MustCompile(`[{,]\s*["']?experts["']?\s*:`)
)

// Read reads a composition file. model finds a model by what the file calls it, and open opens a file that it names, in the folder
// of the file itself. The error is of type *spec.Error and has every problem with its line.
func Read(name string, data []byte, model func(name string) (*llm.Model, error), open func(name string) ([]byte, error)) (*Composition, error) {
	var f file
	lines, err := spec.DecodeLines(name, data, &f)
	if err != nil {
		return nil, err
	}
	var problems []spec.Problem
	bad := func(path, message, hint string) {
		problems = append(problems, spec.Problem{File: name, Line: max(lines[path], 1), Path: path, Message: message, Hint: hint})
	}
	find := func(path, what string) *llm.Model {
		m, err := model(what)
		if err != nil {
			bad(path, err.Error(), "")
			return nil
		}
		if m.Kind != llm.Decoder {
			bad(path, fmt.Sprintf("%s is an %s, which does not answer prompts", m.Name, m.Kind), "")
		}
		return m
	}
	c := &Composition{Name: name, Requests: f.Requests, Warmup: f.Warmup, Seed: f.Seed, Batch: f.Batch, Prompt: f.Prompt, Generate: f.Generate,
		Popularity: Uniform, Policy: LRU}
	for i := range f.Experts {
		e := &f.Experts[i]
		k := Kind{Model: find(fmt.Sprintf("experts[%d].model", i), e.Model), Count: e.Count, Weight: float64(e.Count)}
		if e.Weight != nil {
			k.Weight = *e.Weight
		}
		c.Kinds = append(c.Kinds, k)
	}
	if r := f.Router; r != nil {
		c.RouterSource = r.Source
		if r.Model != "" {
			c.Router = find("router.model", r.Model)
		} else {
			c.RouterTime = *r.Time
		}
	}
	if f.Cache != nil {
		c.Resident = f.Cache.Experts
		if f.Cache.Policy != "" {
			c.Policy = f.Cache.Policy
		}
	}
	if s := f.Switch; s != nil {
		c.From, c.RateSource, c.Prefetch = s.From, s.Source, s.Prefetch
		if s.Rate != nil {
			c.Rate = *s.Rate
		}
	}
	if p := f.Popularity; p != nil {
		c.Popularity = p.Kind
		if p.Exponent != nil {
			c.Exponent = *p.Exponent
		}
		c.Recorded = p.List
		if p.File != "" {
			c.List = filepath.Join(filepath.Dir(name), p.File)
			text, err := open(c.List)
			if err != nil {
				for u := errors.Unwrap(err); u != nil; u = errors.Unwrap(err) {
					err = u
				}
				bad("popularity.file", fmt.Sprintf("%s cannot be read: %v", p.File, err), "a path from the folder of this file")
			} else {
				list, wrong := readList(p.File, text, c.Experts())
				problems = append(problems, wrong...)
				c.Recorded = list
			}
		}
	}
	if len(problems) > 0 {
		return nil, &spec.Error{Problems: problems}
	}
	return c, nil
}

// readList reads a CSV list of picked experts, in its column "expert".
func readList(name string, data []byte, experts int64) ([]int64, []spec.Problem) {
	var problems []spec.Problem
	bad := func(line int, message, hint string) {
		problems = append(problems, spec.Problem{File: name, Line: line, Path: "expert", Message: message, Hint: hint})
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	r.Comment, r.TrimLeadingSpace, r.ReuseRecord = '#', true, true
	column, list := -1, []int64(nil)
	for len(problems) < 50 {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			line, cause := 1, err
			if p := (*csv.ParseError)(nil); errors.As(err, &p) {
				line, cause = p.Line, p.Err
			}
			bad(line, cause.Error(), "")
			return nil, problems
		}
		line, _ := r.FieldPos(0)
		if column < 0 {
			if column = slices.IndexFunc(fields, func(f string) bool { return strings.TrimSpace(f) == "expert" }); column < 0 {
				bad(line, "no such column", "the first line names the columns; one is expert")
				return nil, problems
			}
			continue
		}
		if len(list) == maxRequests {
			bad(line, fmt.Sprintf("more than %d requests", maxRequests), "")
			break
		}
		text := strings.TrimSpace(fields[column])
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || n >= experts {
			bad(line, fmt.Sprintf("%.40q: must be the number of an expert, from 0 to %d", text, experts-1), "")
		}
		list = append(list, n)
	}
	if len(problems) == 0 && len(list) == 0 {
		bad(1, "no requests in the file", "a line expert, and then a line for each request")
	}
	return list, problems
}
