package spec

import (
	"strconv"
	"strings"
)

// child returns the path of a field or an entry of the part at path.
func child(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// join appends a relative path, which may begin with an element, to the path of the part that it is in.
func join(path, rest string) string {
	if rest == "" || strings.HasPrefix(rest, "[") {
		return path + rest
	}
	return child(path, rest)
}

// enclosing returns the path of the part that a path is in, "" for a top-level one.
func enclosing(path string) string {
	cut := strings.LastIndexByte(path, '.')
	if strings.HasSuffix(path, "]") { // the name within the brackets may contain points
		cut = strings.LastIndexByte(path, '[')
	}
	return path[:max(cut, 0)]
}

// maxLabel bounds the length in bytes of a name that addresses an element: the path of each part below it has it.
const maxLabel = 256

// labels returns what addresses each element of a list in a path: its name where that is unambiguous and
// not too long, else its index. Names that are numbers would be mistaken for an index.
func labels(names []string) []string {
	used := make(map[string]bool, len(names))
	list := make([]string, len(names))
	for i, name := range names {
		_, err := strconv.Atoi(name)
		if name == "" || len(name) > maxLabel || used[name] || err == nil || strings.ContainsAny(name, "[]") {
			name = strconv.Itoa(i)
		}
		used[name] = true
		list[i] = name
	}
	return list
}

// cutName splits the first name off a path: "a.b" and "a[b]" are "a" and the rest.
func cutName(path string) (name, rest string) {
	if i := strings.IndexAny(path, ".["); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// cutLabel splits the first label off a path below a list: "[a].b" is "a" and ".b".
func cutLabel(path string) (label, rest string, ok bool) {
	if !strings.HasPrefix(path, "[") {
		return "", "", false
	}
	return strings.Cut(path[1:], "]")
}
