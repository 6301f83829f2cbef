package spec

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file. The YAML library recurses over nested and over neighbouring fields, moves all that
// follows an empty one, and takes 250 bytes and a microsecond for each token of a text before anybody can
// look at them; these keep its work, and its stack, small.
const (
	maxBytes  = 4 << 20
	maxDepth  = 64
	maxValues = 10000
	maxMarks  = 10 * maxValues // presets have 2 a value, JSON has 3
	maxEmpty  = 50             // lines
	maxKey    = 1024           // YAML 1.2.2, section 7.4: an implicit key has at most that many characters
)

// nodeKind is what a file has at one place.
type nodeKind int

const (
	nullNode nodeKind = iota // a key without a value, or null
	textNode
	listNode
	mapNode
)

// node is one part of a file.
type node struct {
	kind    nodeKind
	line    int
	text    string  // of a text, without its quotes
	entries []entry // of a list or a mapping, in the order of the file
}

// entry is an element of a list, or a key of a mapping with its value.
type entry struct {
	key   string
	line  int
	value node
}

// String says in a message what there is.
func (n node) String() string {
	switch n.kind {
	case nullNode:
		return "nothing"
	case listNode:
		return "a list"
	case mapNode:
		return "a mapping"
	}
	return quote(n.text)
}

// fault is a complaint about a file as such, with its line.
type fault struct {
	line int
	complaint
}

func faultAt(line int, message, hint string) *fault {
	return &fault{max(line, 1), complaint{message, hint}}
}

// readYAML reads a file. It refuses what is ambiguous or unsafe to accept.
func readYAML(data []byte) (n node, bad *fault) {
	if bad := checkBytes(data); bad != nil {
		return node{}, bad
	}
	defer func() {
		if recover() != nil { // a mistake in the library must not end a sweep
			bad = faultAt(1, "cannot be read as YAML", "")
		}
	}()
	tokens := lexer.Tokenize(string(bytes.TrimPrefix(data, []byte("\ufeff"))))
	if bad := checkTokens(tokens); bad != nil {
		return node{}, bad
	}
	// Duplicate keys are left to decoding, which knows their paths.
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return node{}, syntaxFault(err)
	}
	if len(f.Docs) == 0 || f.Docs[0].Body == nil {
		return node{}, faultAt(1, "the file is empty", "")
	}
	return convert(f.Docs[0].Body)
}

// marks are the characters that YAML gives a meaning to, and with which nearly every token begins or ends. A dash is one before
// white space only, as in a list; in names there are many.
const marks = "[]{},:?&*!|>'\"%@`#"

// checkBytes refuses what is no text of a reasonable size, and text that the library takes long for: it
// looks from every tab to the end of the line, goes back over a run of empty lines at each of them, and makes
// tokens of all marks.
func checkBytes(data []byte) *fault {
	if len(data) > maxBytes {
		return faultAt(1, fmt.Sprintf("%d bytes: a file has at most %d", len(data), maxBytes), "")
	}
	line, breaks, seen := 1, 0, 0
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		i += size
		if r < utf8.RuneSelf && (strings.IndexByte(marks, byte(r)) >= 0 || r == '-' && (i == len(data) || data[i] <= ' ')) {
			if seen++; seen > maxMarks {
				return faultAt(line, fmt.Sprintf("more than %d characters that mean something in YAML, such as %s", maxMarks, string(r)), "several files, or fewer comments")
			}
		}
		switch {
		case r == '\n', r == '\r':
			if r == '\r' && i < len(data) && data[i] == '\n' {
				continue // the line ends there
			}
			line++
			if breaks++; breaks > maxEmpty+1 {
				return faultAt(line-breaks+1, fmt.Sprintf("more than %d empty lines in a row", maxEmpty), "")
			}
		case r == ' ':
		case r == utf8.RuneError && size <= 1:
			return faultAt(line, "not a text in UTF-8", "")
		case r == 0:
			return faultAt(line, "not a text file: it has a zero byte", "")
		case r == '\t':
			return faultAt(line, "a tab", `use spaces; within double quotes, write \t`)
		case unicode.IsControl(r):
			return faultAt(line, fmt.Sprintf("control character U+%04X", r), "")
		default:
			breaks = 0
		}
	}
	return nil
}

// refused says why parts of YAML are not accepted. Every value of a file is written where it is used,
// so that a line number and a source belong to one value.
var refused = map[token.Type]complaint{
	token.AnchorType:     {"anchors (&name) are not supported", "write the value out"},
	token.AliasType:      {"aliases (*name) are not supported", "write the value out"},
	token.MergeKeyType:   {"merge keys (<<) are not supported", "write the fields out"},
	token.TagType:        {"tags (!name) are not supported", "put text that begins with ! in quotes"},
	token.DirectiveType:  {"directives (%) are not supported", ""},
	token.MappingKeyType: {"keys marked with ? are not supported", `write "key: value"`},
}

// checkTokens refuses what the parser would take long for or recurse deeply over, and what is not
// supported.
func checkTokens(tokens token.Tokens) *fault {
	var (
		brackets int
		columns  []int // of the keys and dashes that enclose the current line
		values   int
	)
	for _, t := range tokens {
		line := t.Position.Line
		if c, ok := refused[t.Type]; ok {
			return faultAt(line, c.message, c.hint)
		}
		switch t.Type {
		case token.DocumentHeaderType:
			if previous(t) != nil {
				return faultAt(line, "a second document begins here", "a file has one document; remove ---")
			}
		case token.DocumentEndType:
			if next(t) != nil {
				return faultAt(line, "a second document begins here", "a file has one document; remove ...")
			}
		case token.MappingStartType, token.SequenceStartType:
			brackets++
		case token.MappingEndType, token.SequenceEndType:
			brackets = max(brackets-1, 0)
		case token.MappingValueType, token.SequenceEntryType, token.CollectEntryType:
			values++
		}
		if brackets == 0 && (t.Type == token.SequenceEntryType || t.NextType() == token.MappingValueType) {
			for len(columns) > 0 && columns[len(columns)-1] >= t.Position.Column {
				columns = columns[:len(columns)-1]
			}
			columns = append(columns, t.Position.Column)
		}
		switch {
		case brackets+len(columns) > maxDepth:
			return faultAt(line, fmt.Sprintf("nested more than %d levels deep", maxDepth), "")
		case values > maxValues:
			return faultAt(line, fmt.Sprintf("more than %d values", maxValues), "")
		}
	}
	return nil
}

// previous returns the token before t that is no comment, nil if there is none.
func previous(t *token.Token) *token.Token {
	for t = t.Prev; t != nil && t.Type == token.CommentType; t = t.Prev {
	}
	return t
}

// next returns the token after t that is no comment, nil if there is none.
func next(t *token.Token) *token.Token {
	for t = t.Next; t != nil && t.Type == token.CommentType; t = t.Next {
	}
	return t
}

// syntaxFault takes line and message from an error of the parser.
func syntaxFault(err error) *fault {
	var at interface {
		error
		GetToken() *token.Token
		GetMessage() string
	}
	if !errors.As(err, &at) {
		return faultAt(1, err.Error(), "")
	}
	line := 1
	if t := at.GetToken(); t != nil && t.Position != nil {
		line = t.Position.Line
	}
	return faultAt(line, shorten(at.GetMessage(), 200), "")
}

// convert turns the library's tree into ours.
func convert(n ast.Node) (node, *fault) {
	out := node{line: max(n.GetToken().Position.Line, 1)}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.MappingNode:
		out.kind = mapNode
		for i, v := range n.Values {
			key, ok := scalarOf(v.Key)
			if !ok {
				return node{}, faultAt(out.line, "a key must be a single text", "")
			}
			line := v.Key.GetToken().Position.Line
			switch {
			case key == "":
				return node{}, faultAt(line, "a key is empty", "")
			case len(key) > maxKey:
				return node{}, faultAt(line, fmt.Sprintf("a key of more than %d bytes", maxKey), "")
			}
			if i == 0 {
				out.line = line
			}
			if bad := out.add(key, line, v.Value); bad != nil {
				return node{}, bad
			}
		}
	case *ast.SequenceNode:
		out.kind = listNode
		for _, v := range n.Values {
			if bad := out.add("", v.GetToken().Position.Line, v); bad != nil {
				return node{}, bad
			}
		}
	default:
		out.kind = textNode
		var ok bool
		if out.text, ok = scalarOf(n); !ok {
			return node{}, faultAt(out.line, "this part of YAML is not supported", "put text in quotes")
		}
	}
	return out, nil
}

// add converts a value and appends it.
func (n *node) add(key string, line int, value ast.Node) *fault {
	v, bad := convert(value)
	if bad == nil {
		n.entries = append(n.entries, entry{key, max(line, 1), v})
	}
	return bad
}

// scalarOf returns the text of a scalar as it is written: a number keeps its spelling.
func scalarOf(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode, *ast.NullNode:
		return n.GetToken().Value, true
	}
	return "", false
}
