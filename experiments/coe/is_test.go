package coe

import "testing"

// A file is a composition if it has the member experts, however it is written.
func TestIs(t *testing.T) {
	for text, want := range map[string]bool{
		"requests: 4\nexperts: [{model: llama2-7b, count: 3}]\n": true,
		"\"experts\" : []\n": true,
		"{\"experts\":[{\"model\":\"llama2-7b\",\"count\":3}],\"requests\":4}":   true,
		" \n{requests: 4,\n  experts: []}":                                       true,
		"requests: 4 # experts: none\nprompt: {fixed: 5}\n":                      false,
		"requests: 4\nprompt:\n  experts: 5\n":                                   false,
		"{\"requests\":4,\"prompt\":{\"fixed\":5},\"note\":\"many experts: 5\"}": false,
	} {
		if got := Is([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
