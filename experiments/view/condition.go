package view

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// Condition is an expression that is true or false of a row.
type Condition struct {
	program *vm.Program
	names   []string
	params  bool // it names params as a whole
}

// BadCondition says what is wrong with an expression, and where.
type BadCondition struct {
	Position int // character, from 1; 0 where that is not known
	Text     string
	Hint     string
}

func (e *BadCondition) Error() string {
	text := e.Text
	if e.Position > 0 {
		text = fmt.Sprintf("character %d: %s", e.Position, text)
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

var unknownName = regexp.MustCompile(`^unknown name (\S+)`)

// Condition compiles an expression over the names of the source. params["NAME"] is a parameter whose name is no word of the
// language. Errors are *BadCondition.
func (s *Source) Condition(text string) (*Condition, error) {
	if strings.TrimSpace(text) == "" {
		return nil, &BadCondition{Text: "there is no expression", Hint: `e.g. tokens_per_second > 100 and batch in [1, 8]`}
	}
	env := types.Map{}
	for _, c := range s.Columns() {
		env[c.Name] = map[Kind]types.Type{Number: types.Float, Text: types.String, Truth: types.Bool, Mixed: types.Any}[c.Kind]
	}
	env["params"] = types.Map{types.Extra: types.Any}
	program, err := expr.Compile(text, expr.Env(env), expr.AsBool(), expr.DisableBuiltin("now"), expr.DisableBuiltin("date"))
	if err != nil {
		return nil, s.explain(text, err)
	}
	c := &Condition{program: program}
	node := program.Node()
	ast.Walk(&node, visitor(func(name string) {
		switch {
		case name == "params":
			c.params = true
		case env[name] != nil && !slices.Contains(c.names, name):
			c.names = append(c.names, name)
		}
	}))
	if c.params {
		for _, p := range s.own[:s.params] {
			if !slices.Contains(c.names, p.Name) {
				c.names = append(c.names, p.Name)
			}
		}
	}
	return c, nil
}

type visitor func(name string)

func (v visitor) Visit(node *ast.Node) {
	if n, ok := (*node).(*ast.IdentifierNode); ok {
		v(n.Value)
	}
}

func (s *Source) explain(text string, err error) error {
	bad := &BadCondition{Text: err.Error()}
	var at *file.Error
	if !errors.As(err, &at) {
		if strings.HasPrefix(bad.Text, "expected bool") {
			bad.Hint = "compare with something, e.g. mfu > 0.5"
		}
		return bad
	}
	bad.Position, bad.Text = min(at.From, len([]rune(text)))+1, at.Message
	if m := unknownName.FindStringSubmatch(at.Message); m != nil {
		e := s.unknown(m[1])
		bad.Text, bad.Hint = e.Error(), e.Hint()
	}
	if strings.HasPrefix(at.Message, "unexpected token EOF") {
		bad.Text = "the expression ends too early"
	}
	if strings.Contains(at.Message, `Operator("=")`) {
		bad.Hint = "equality is =="
	}
	return bad
}

// Names are those whose values Match needs.
func (c *Condition) Names() []string { return c.names }

// Filter keeps the rows of a frame, which has all names of the condition, that meet it. What cannot be evaluated though
// all values are there is an error.
func (c *Condition) Filter(f *Frame) error {
	index := make([]int, len(c.names))
	for i, name := range c.names {
		if index[i] = f.Index(name); index[i] < 0 {
			return &Unknown{Name: name}
		}
	}
	var machine vm.VM
	var kept [][]any
	env := map[string]any{}
	params := map[string]any{}
	if c.params {
		env["params"] = params
	}
	for _, row := range f.Rows {
		missing := false
		for i, k := range index {
			env[c.names[i]] = row[k]
			if f.Columns[k].Parameter {
				params[c.names[i]] = row[k]
			}
			missing = missing || row[k] == nil
		}
		met, err := machine.Run(c.program, env)
		if err != nil {
			if missing {
				continue
			}
			bad := &BadCondition{Text: err.Error()}
			var at *file.Error
			if errors.As(err, &at) {
				bad.Position, bad.Text = at.From+1, at.Message
			}
			return bad
		}
		if met == true {
			kept = append(kept, row)
		}
	}
	f.Rows = kept
	return nil
}
