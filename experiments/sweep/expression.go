package sweep

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
)

// names are what an expression may refer to, with a value of the type of each.
type names map[string]any

// expression is a condition over names.
type expression struct {
	text    string
	program *vm.Program
	uses    []string
	// terms are the comparisons that it is the conjunction of; nil if it is something else.
	terms []term
}

// term is a comparison of numbers: left below right, or both the same.
type term struct {
	left, right *vm.Program
	equal       bool
}

// compile reads a condition. The error says where in the text it is wrong.
func compile(text string, known names) (*expression, error) {
	return compileAs(text, known, expr.AsBool())
}

// compileNumber reads an expression for a number.
func compileNumber(text string, known names) (*expression, error) {
	return compileAs(text, known, expr.AsFloat64())
}

// compileText reads an expression for a text.
func compileText(text string, known names) (*expression, error) {
	return compileAs(text, known, expr.AsKind(reflect.String))
}

func compileAs(text string, known names, as expr.Option) (*expression, error) {
	options := []expr.Option{expr.Env(map[string]any(known)), quantity, expr.DisableBuiltin("now"), expr.DisableBuiltin("date")}
	program, err := expr.Compile(text, append(slices.Clone(options), as)...)
	if err != nil {
		return nil, explain(err, known)
	}
	tree, err := parser.Parse(text)
	if err != nil {
		return nil, explain(err, known)
	}
	e := &expression{text: text, program: program}
	ast.Walk(&tree.Node, visit(func(n ast.Node) {
		if id, ok := n.(*ast.IdentifierNode); ok {
			if _, ok := known[id.Value]; ok && !slices.Contains(e.uses, id.Value) {
				e.uses = append(e.uses, id.Value)
			}
		}
	}))
	if !e.compare(tree.Node, options) {
		e.terms = nil
	}
	return e, nil
}

// quick are the functions of expressions whose results are no longer than what they are given, and take as long to make. Functions that make much of
// little, such as repeat, replace and join, are none.
var quick = map[string]bool{"quantity": true, "abs": true, "ceil": true, "floor": true, "round": true, "int": true, "float": true, "string": true, "min": true, "max": true,
	"mean": true, "median": true, "len": true, "lower": true, "upper": true, "trim": true, "trimPrefix": true, "trimSuffix": true, "hasPrefix": true, "hasSuffix": true,
	"indexOf": true, "lastIndexOf": true, "bitand": true, "bitor": true, "bitxor": true, "bitnand": true, "bitnot": true, "bitshl": true, "bitshr": true, "bitushr": true}

// unbounded names what in an expression may take time or memory that is not in proportion to its length, "" for nothing.
func unbounded(text string) (what string) {
	tree, err := parser.Parse(text)
	if err != nil {
		return "" // it is complained about elsewhere
	}
	ast.Walk(&tree.Node, visit(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.PredicateNode:
			what = "a loop over a list"
		case *ast.VariableDeclaratorNode: // what doubles at each
			what = "let"
		case *ast.BinaryNode:
			if n.Operator == ".." {
				what = "a range"
			}
		case *ast.BuiltinNode:
			if !quick[n.Name] && what == "" {
				what = n.Name
			}
		case *ast.CallNode:
			if id, ok := n.Callee.(*ast.IdentifierNode); (!ok || !quick[id.Value]) && what == "" {
				what = n.Callee.String()
			}
		}
	}))
	return what
}

// isName reports whether expressions take a word for a name: true, in and the like have a meaning of their own.
func isName(word string) bool {
	tree, err := parser.Parse(word)
	if err != nil {
		return false
	}
	_, ok := tree.Node.(*ast.IdentifierNode)
	return ok
}

type visit func(ast.Node)

func (v visit) Visit(n *ast.Node) { v(*n) }

// compare splits a conjunction of comparisons of numbers into its terms; not ok for anything else.
func (e *expression) compare(n ast.Node, options []expr.Option) bool {
	b, ok := n.(*ast.BinaryNode)
	if !ok {
		return false
	}
	left, right := b.Left, b.Right
	switch b.Operator {
	case "and", "&&":
		return e.compare(left, options) && e.compare(right, options)
	case ">", ">=":
		left, right = right, left
	case "<", "<=", "==":
	default:
		return false
	}
	t := term{equal: b.Operator == "=="}
	for _, side := range []struct {
		node ast.Node
		into **vm.Program
	}{{left, &t.left}, {right, &t.right}} {
		p, err := expr.Compile(side.node.String(), append(slices.Clone(options), expr.AsFloat64())...)
		if err != nil { // not of numbers
			return false
		}
		*side.into = p
	}
	e.terms = append(e.terms, t)
	return true
}

// quantity is a function of expressions: quantity("3 TB/s") is 3e12.
var quantity = expr.Function("quantity", func(params ...any) (any, error) {
	text, _ := params[0].(string)
	for _, v := range []interface{ UnmarshalText([]byte) error }{new(units.Bytes), new(units.BytesPerSecond), new(units.Hertz), new(units.Time), new(units.OpsPerSecond),
		new(units.Watts), new(units.Joules), new(units.Dollars), new(units.SquareMillimetres)} {
		if v.UnmarshalText([]byte(text)) == nil {
			n, _ := number(reflect.ValueOf(v).Elem().Interface())
			return n, nil
		}
	}
	return nil, fmt.Errorf("%.40q is no quantity, such as 3 TB/s or 80 GiB", text)
}, new(func(string) float64))

// undefined finds the name that the compiler does not know.
var undefined = regexp.MustCompile(`^unknown name (\S+)`)

// explain turns an error of the compiler into one line.
func explain(err error, known names) error {
	var e *file.Error
	if !errors.As(err, &e) {
		return err
	}
	message := strings.ReplaceAll(e.Message, "\n", " ")
	if m := undefined.FindStringSubmatch(message); m != nil {
		var list []string
		for n := range known {
			list = append(list, n)
		}
		slices.Sort(list)
		if near := spec.Suggest(m[1], list); near != "" {
			message += fmt.Sprintf("; did you mean %s?", near)
		} else {
			message += ": axes, options and columns of results have names"
		}
	}
	return fmt.Errorf("character %d: %s", e.Column+1, message)
}

// short is an error of an expression while it is worked out, without the drawing of where in the text.
func short(err error) error {
	var e *file.Error
	if errors.As(err, &e) {
		return errors.New(oneLine(strings.TrimPrefix(e.Message, "runtime error: ")))
	}
	return err
}

// missing says that a name has no value for a point.
type missing struct{ name string }

func (m missing) Error() string { return m.name + " has no value here" }

// holds evaluates the condition, and by how much it is missed, as a share of what is compared with: 0 if it holds, 1 if it is no
// comparison. The error is a missing value, or what went wrong.
func (e *expression) holds(values map[string]any) (ok bool, violation float64, err error) {
	for _, n := range e.uses {
		if values[n] == nil {
			return false, 1, missing{n}
		}
	}
	out, err := expr.Run(e.program, values)
	if err != nil {
		return false, 1, short(err)
	}
	if ok, _ = out.(bool); ok {
		return true, 0, nil
	}
	for _, t := range e.terms {
		var sides [2]float64
		for i, p := range []*vm.Program{t.left, t.right} {
			v, err := expr.Run(p, values)
			if err != nil {
				return false, 1, short(err)
			}
			sides[i], _ = v.(float64)
		}
		over := sides[0] - sides[1]
		if t.equal {
			over = math.Abs(over)
		}
		if over = over / max(math.Abs(sides[0]), math.Abs(sides[1]), math.SmallestNonzeroFloat64); over > 0 {
			violation += over
		}
	}
	if !(violation > 0) || violation > 1e9 { // what is equal and should be less, and what is no comparison
		violation = max(1e-9, min(violation, 1e9))
		if e.terms == nil {
			violation = 1
		}
	}
	return false, violation, nil
}

// value evaluates an expression for a number. The error is a missing value, or what went wrong.
func (e *expression) value(values map[string]any) (float64, error) {
	for _, n := range e.uses {
		if values[n] == nil {
			return 0, missing{n}
		}
	}
	out, err := expr.Run(e.program, values)
	if err != nil {
		return 0, short(err)
	}
	v, _ := out.(float64)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("it is %v here", v)
	}
	return v, nil
}

// any evaluates an expression for a truth or a text.
func (e *expression) any(values map[string]any) (any, error) {
	for _, n := range e.uses {
		if values[n] == nil {
			return nil, missing{n}
		}
	}
	out, err := expr.Run(e.program, values)
	if err != nil {
		return nil, short(err)
	}
	return out, nil
}

// number is the number of a quantity in the unit that columns of results have: seconds for times.
func number(v any) (n float64, whole bool) {
	n, whole, _ = units.Number(v)
	if _, ok := v.(units.Time); ok {
		return n / float64(units.Second), false
	}
	return n, whole
}
