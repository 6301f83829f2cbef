package costs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
)

// Command asks another program for costs: it is started when the first operator is asked for, gets one JSON object a line
// for each distinct operator, in the form of an estimate request for an operator, and answers each with a line before it
// gets the next one. It may be used by several goroutines.
type Command struct {
	// Timeout is how long one answer may take; 0 means DefaultTimeout.
	Timeout time.Duration
	// Stderr is where the program's standard error goes, nil for nowhere.
	Stderr io.Writer

	words []string
	mu    sync.Mutex
	rec   *Record
	run   *running
	err   error // of an answer: there are no more after it
}

// DefaultTimeout is how long one answer may take.
const DefaultTimeout = 10 * time.Second

// maxAnswer bounds a line of answers, in bytes.
const maxAnswer = 1 << 20

// endWithin is how long the program may take to end when there is nothing more to ask.
const endWithin = 2 * time.Second

// NewCommand returns a command that is not yet started. Line is split into words as a shell splits it, but nothing is
// expanded; with shell it is handed to sh. arch is the member "arch" of questions, as JSON, nil for the name of the machine.
func NewCommand(line string, shell bool, arch []byte) (*Command, error) {
	words := []string{"sh", "-c", line}
	if !shell {
		var err error
		if words, err = split(line); err != nil {
			return nil, err
		}
	}
	if _, err := exec.LookPath(words[0]); err != nil {
		return nil, fmt.Errorf("%s cannot be started: %w", words[0], errors.Unwrap(err))
	}
	return &Command{words: words, rec: NewRecord(line, arch)}, nil
}

// split splits a command line into words: at spaces that are not in quotes and not after a backslash.
func split(line string) ([]string, error) {
	var words []string
	var word []rune
	open, escaped, inside := rune(0), false, false
	for _, r := range line {
		switch {
		case escaped:
			word, escaped = append(word, r), false
		case r == '\\' && open != '\'':
			escaped, inside = true, true
		case open != 0 && r == open:
			open = 0
		case open == 0 && (r == '\'' || r == '"'):
			open, inside = r, true
		case open == 0 && (r == ' ' || r == '\t' || r == '\n'):
			if inside {
				words, word, inside = append(words, string(word)), nil, false
			}
		default:
			word, inside = append(word, r), true
		}
	}
	if open != 0 || escaped {
		return nil, fmt.Errorf("%q: a quote or a backslash is left open", shorten(line))
	}
	if inside {
		words = append(words, string(word))
	}
	if len(words) == 0 || words[0] == "" {
		return nil, errors.New("no command is given")
	}
	return words, nil
}

// String names the command in reports.
func (c *Command) String() string { return c.rec.String() }

// Record is what the command has answered so far. It must not be used while questions are asked.
func (c *Command) Record() *Record { return c.rec }

// running is a program that was started.
type running struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan line
	ended   chan error // its end, after answers is closed
	asked   int
}

type line struct {
	text []byte
	err  error
}

func (c *Command) start() error {
	cmd := exec.Command(c.words[0], c.words[1:]...)
	cmd.Stderr = c.Stderr
	ownGroup(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s cannot be started: %w", c.words[0], err)
	}
	r := &running{cmd: cmd, in: in, answers: make(chan line), ended: make(chan error, 1)}
	go func() {
		defer close(r.answers)
		lines := bufio.NewReaderSize(out, 1<<16)
		for {
			text, err := readLine(lines)
			if err == io.EOF {
				break
			}
			r.answers <- line{text, err}
			if err != nil {
				_, _ = io.Copy(io.Discard, out) // the program must not block on it
				break
			}
		}
		r.ended <- cmd.Wait()
	}()
	c.run = r
	return nil
}

// readLine reads a line without its end. A last line may lack it; one that is too long is an error.
func readLine(r *bufio.Reader) ([]byte, error) {
	var text []byte
	for {
		part, err := r.ReadSlice('\n')
		text = append(text, part...)
		switch {
		case len(text) > maxAnswer:
			return nil, fmt.Errorf("a line of more than %d bytes", maxAnswer)
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && len(text) == 0:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			return nil, io.EOF // the pipe is gone with the program
		}
		return bytes.TrimRight(text, "\r\n"), nil
	}
}

// For is the command with another member "arch" of its questions, as JSON.
func (c *Command) For(arch []byte) plan.Coster { return &view{c, arch} }

// view is a command that is asked about one machine.
type view struct {
	c    *Command
	arch []byte
}

func (v *view) String() string { return v.c.String() }

func (v *view) Cost(ctx context.Context, q plan.Query) (plan.Cost, bool, error) {
	return v.c.cost(ctx, question(&q, v.arch))
}

// Cost implements plan.Coster.
func (c *Command) Cost(ctx context.Context, q plan.Query) (plan.Cost, bool, error) {
	return c.cost(ctx, c.rec.question(&q))
}

func (c *Command) cost(ctx context.Context, text string) (plan.Cost, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a, ok := c.rec.replies[text]; ok {
		return c.rec.cost(a)
	}
	if c.err != nil {
		return plan.Cost{}, false, c.err
	}
	a, err := c.ask(ctx, text)
	if err != nil {
		c.err = err
		c.kill()
		return plan.Cost{}, false, err
	}
	c.rec.put(text, a)
	return c.rec.cost(a)
}

// ask asks one question and reads its answer.
func (c *Command) ask(ctx context.Context, text string) (reply, error) {
	if c.run == nil {
		if err := c.start(); err != nil {
			return reply{}, c.problem(0, "", "", "%v", err)
		}
	}
	r := c.run
	r.asked++
	id := fmt.Sprint(r.asked)
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	wrote := make(chan error, 1)
	go func() {
		_, err := fmt.Fprintf(r.in, "{\"id\":%q,%s}\n", id, text)
		wrote <- err
	}()
	stop := ctx.Done()
	for {
		select {
		case l, open := <-r.answers:
			switch {
			case !open:
				return reply{}, c.problem(r.asked, "", "its standard error may say why", "the program ended without an answer to %s: %s", shorten(text), endText(<-r.ended))
			case l.err != nil:
				return reply{}, c.problem(r.asked, "", "", "%v", l.err)
			}
			// A line that was there before the question has another id.
			return c.read(r.asked, id, l.text)
		case <-timer.C:
			return reply{}, c.problem(r.asked, "", "it must answer each line at once and flush its output; --cost-timeout gives it longer", "no answer within %v", timeout)
		case <-stop:
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return reply{}, ctx.Err()
			}
			stop = nil // who asked has no more time, but the answer to this question is not to be taken for that to the next
		}
	}
}

// endText says how a program ended.
func endText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// problem is an error with the line of the answers that it is about.
func (c *Command) problem(line int, field, hint, format string, args ...any) error {
	return &spec.Error{Problems: []spec.Problem{{File: "answers of " + c.String(), Line: line, Path: field, Message: fmt.Sprintf(format, args...), Hint: hint}}}
}

// read reads an answer.
func (c *Command) read(n int, id string, text []byte) (reply, error) {
	const form = `{"id":"1","seconds":1.2e-5} or {"id":"1","status":"unknown"}`
	a, field, message := parseAnswer(id, text)
	if message != "" {
		hint := ""
		if field == "" {
			hint = form
		}
		return reply{}, c.problem(n, field, hint, "%s", message)
	}
	a.line = n
	return a, nil
}

// parseAnswer reads an answer to the question with that id. A message says what is wrong with which member.
func parseAnswer(id string, text []byte) (a reply, field, message string) {
	var v struct {
		ID      *json.RawMessage `json:"id"`
		Status  *json.RawMessage `json:"status"`
		Seconds *json.RawMessage `json:"seconds"`
		Joules  *json.RawMessage `json:"joules"`
	}
	shown := shorten(string(text))
	if err := json.Unmarshal(text, &v); err != nil {
		return a, "", fmt.Sprintf("%q is no JSON object: %v", shown, err)
	}
	if v.ID == nil {
		return a, "id", fmt.Sprintf("%q has no id", shown)
	}
	var got string
	if err := json.Unmarshal(*v.ID, &got); err != nil || got != id {
		return a, "id", fmt.Sprintf("%s, but the question was %q: answers come one for each question, in their order", shorten(string(*v.ID)), id)
	}
	status := "ok"
	if v.Status != nil {
		if err := json.Unmarshal(*v.Status, &status); err != nil {
			return a, "status", fmt.Sprintf("%s: must be a text", shorten(string(*v.Status)))
		}
	}
	switch status {
	case "unknown", "unsupported":
		return a, "", ""
	case "ok":
	default:
		return a, "status", fmt.Sprintf("%q: must be ok, or unknown to leave the operator to the model", shorten(status))
	}
	if v.Seconds == nil {
		return a, "seconds", fmt.Sprintf("%q has no seconds", shown)
	}
	seconds, err := number(*v.Seconds)
	if err == nil {
		a.time, err = units.Seconds(seconds)
	}
	if err != nil {
		return a, "seconds", err.Error()
	}
	if v.Joules != nil {
		j, err := number(*v.Joules)
		if err == nil {
			a.joules, err = checkJoules(j)
		}
		if err != nil {
			return a, "joules", err.Error()
		}
	}
	a.known = true
	return a, "", ""
}

func number(raw json.RawMessage) (float64, error) {
	var v float64
	if string(raw) == "null" {
		return 0, errors.New("null: must be a number")
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return 0, fmt.Errorf("%s: must be a number", shorten(string(raw)))
	}
	return v, nil
}

// kill ends the program at once.
func (c *Command) kill() {
	if c.run == nil {
		return
	}
	r := c.run
	c.run = nil
	killGroup(r.cmd)
	r.in.Close()
	go func() {
		for range r.answers {
		}
	}()
}

// Close ends the program: its input ends, and if it does not end then in a while it is killed. The error says that it
// answered more than it was asked, or did not end well.
func (c *Command) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.run
	if r == nil {
		return nil
	}
	c.run = nil
	r.in.Close()
	timer := time.NewTimer(endWithin)
	defer timer.Stop()
	var err error
	for {
		select {
		case l, open := <-r.answers:
			if !open {
				if end := <-r.ended; err == nil && end != nil {
					err = fmt.Errorf("%s ended with %s", c, endText(end))
				}
				killGroup(r.cmd) // what it has left behind
				return err
			}
			if err == nil {
				err = c.problem(r.asked+1, "", "", "%q answers nothing", shorten(string(l.text)))
			}
		case <-timer.C:
			killGroup(r.cmd)
			go func() {
				for range r.answers {
				}
			}()
			return fmt.Errorf("%s did not end within %v after its input had, and was killed", c, endWithin)
		}
	}
}
