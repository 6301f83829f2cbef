package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces/llm"
)

// The values below note what is wrong with a flag instead of returning it: a command line is checked as a whole, and
// everything wrong with it is said at once.

// maxCount bounds counts: it is the largest dimension that an operator graph takes.
const maxCount = 1 << 31

// count is a flag that holds a whole number.
type count struct {
	name     string
	into     *int64
	min      int64
	problems *experiments.Problems
	max      int64 // 0 means maxCount
	hint     string
}

func (c *count) Set(text string) error {
	n, err := strconv.ParseInt(text, 10, 64) // out of range, n is the limit that it is beyond
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		c.problems.Add(&experiments.Invalid{Field: c.name, Message: fmt.Sprintf("%q: must be a whole number in plain digits, such as 512", shorten(text))})
		return nil
	}
	most := c.max
	if most == 0 {
		most = maxCount
	}
	if n < c.min || n > most {
		c.problems.Add(&experiments.Invalid{Field: c.name, Message: fmt.Sprintf("%s: must be from %d to %d", shorten(text), c.min, most), Hint: c.hint})
		return nil
	}
	*c.into = n
	return nil
}

func (c *count) String() string {
	if c.into == nil || *c.into == 0 {
		return ""
	}
	return strconv.FormatInt(*c.into, 10)
}

func (c *count) Type() string { return "N" }

// optionalCount is a flag that holds a whole number from 0, or nothing.
type optionalCount struct {
	name     string
	into     **int64
	max      int64
	problems *experiments.Problems
}

func (c *optionalCount) Set(text string) error {
	n := int64(-1)
	if err := (&count{name: c.name, into: &n, max: c.max, problems: c.problems}).Set(text); err != nil || n < 0 {
		return err
	}
	*c.into = &n
	return nil
}

func (c *optionalCount) String() string {
	if c.into == nil || *c.into == nil {
		return ""
	}
	return strconv.FormatInt(**c.into, 10)
}

func (c *optionalCount) Type() string { return "N" }

// share is a flag that holds a number from 0 to 1, or nothing.
type share struct {
	name     string
	into     **float64
	problems *experiments.Problems
}

func (s *share) Set(text string) error {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0 && v <= 1) {
		s.problems.Add(&experiments.Invalid{Field: s.name, Message: fmt.Sprintf("%q: must be a number from 0 to 1, such as 0.9", shorten(text))})
		return nil
	}
	*s.into = &v
	return nil
}

func (s *share) String() string {
	if s.into == nil || *s.into == nil {
		return ""
	}
	return strconv.FormatFloat(**s.into, 'g', -1, 64)
}

func (s *share) Type() string { return "SHARE" }

// lateCount is a flag that holds a whole number whose least value depends on another flag: check notes what is wrong
// when all flags are read.
type lateCount struct {
	count
	given []string
}

func (c *lateCount) Set(text string) error {
	c.given = append(c.given, text)
	return nil
}

func (c *lateCount) check(least int64) {
	c.min = least
	for _, text := range c.given {
		_ = c.count.Set(text) // it notes what is wrong
	}
	c.given = nil
}

// watts is a flag that holds a power, with its unit.
type watts struct {
	name     string
	into     *float64
	problems *experiments.Problems
}

func (w *watts) Set(text string) error {
	var v units.Watts
	const example = "such as 300W"
	switch err := v.UnmarshalText([]byte(text)); {
	case err != nil:
		w.problems.Add(&experiments.Invalid{Field: w.name, Message: fmt.Sprintf("%q: must be a power with its unit, %s", shorten(text), example)})
	case v <= 0 || v > eval.MaxPowerLimit:
		w.problems.Add(&experiments.Invalid{Field: w.name, Message: fmt.Sprintf("%s: must be more than 0 W and at most %v", shorten(text), eval.MaxPowerLimit), Hint: example})
	default:
		*w.into = float64(v)
	}
	return nil
}

func (w *watts) String() string {
	if w.into == nil || *w.into == 0 {
		return ""
	}
	return units.Watts(*w.into).String()
}

func (w *watts) Type() string { return "WATTS" }

// choice is a flag that takes one of a few words.
type choice struct {
	name     string
	into     *string
	known    []string
	problems *experiments.Problems
}

func (c *choice) Set(text string) error {
	if word := oneOf(c.name, text, c.known, c.problems); word != "" {
		*c.into = word
	}
	return nil
}

func (c *choice) String() string {
	if c.into == nil {
		return ""
	}
	return *c.into
}

func (c *choice) Type() string { return strings.ToUpper(c.name) }

// choices is a flag that takes several of a few words, with commas between them or given several times.
type choices struct {
	name     string
	into     *[]string
	known    []string
	problems *experiments.Problems
}

func (c *choices) Set(text string) error {
	for word := range strings.SplitSeq(text, ",") {
		word = oneOf(c.name, strings.TrimSpace(word), c.known, c.problems)
		if word != "" && !slices.Contains(*c.into, word) {
			*c.into = append(*c.into, word)
		}
	}
	return nil
}

func (c *choices) String() string {
	if c.into == nil {
		return ""
	}
	return strings.Join(*c.into, ",")
}

func (c *choices) Type() string { return "LIST" }

// oneOf returns the word if it is known, else "" after noting which was perhaps meant.
func oneOf(flag, text string, known []string, problems *experiments.Problems) string {
	if slices.Contains(known, text) {
		return text
	}
	message := fmt.Sprintf("%q is unknown", shorten(text))
	if near := spec.Suggest(text, known); near != "" {
		message += fmt.Sprintf("; did you mean %q?", near)
	}
	problems.Add(&experiments.Invalid{Field: flag, Message: message, Hint: "known: " + strings.Join(known, ", ")})
	return ""
}

// shorten cuts text from the command line for a message.
func shorten(text string) string {
	if len(text) > 40 {
		return strings.ToValidUTF8(text[:40], "") + "…"
	}
	return text
}

// loraFlag is a flag that holds adapters.
type loraFlag struct {
	into     **llm.LoRA
	problems *experiments.Problems
}

func (l *loraFlag) Set(text string) error {
	parsed, err := llm.ParseLoRA(text)
	if err == nil {
		*l.into = parsed
		return nil
	}
	for _, e := range unjoin(err) {
		var bad *llm.Invalid
		if errors.As(e, &bad) {
			e = &experiments.Invalid{Field: bad.Field, Message: bad.Message, Hint: bad.Hint}
		}
		l.problems.Add(e)
	}
	return nil
}

func (l *loraFlag) String() string { return "" }
func (l *loraFlag) Type() string   { return "ADAPTERS" }

// unjoin lists the errors that errors.Join has put together, however often.
func unjoin(err error) []error {
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range many.Unwrap() {
		all = append(all, unjoin(e)...)
	}
	return all
}
