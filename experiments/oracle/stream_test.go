package oracle_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
)

// TestWriteAnswer: WriteAnswer writes what Answer returns, of single requests and of batches of any length, with any number of workers.
func TestWriteAnswer(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "requests.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	texts := strings.Split(strings.TrimSpace(string(data)), "\n")
	for _, n := range []int{0, 1, 7, 8, 9, 64, 1000} {
		var items []string
		for i := range n {
			items = append(items, fmt.Sprintf(`{"id":%d,"arch":"a100-sxm-80gb","op":{"kind":"add","rows":%d,"cols":1}}`, i, i%50))
		}
		texts = append(texts, "["+strings.Join(items, ",")+"]")
	}
	texts = append(texts, "", "{", `{"id":"a","arch`, "[{},[[]],null]", strings.Repeat("[", 70), "["+strings.Repeat("0,", oracle.MaxBatch)+"0]")
	for _, workers := range []int{1, 3} {
		o := oracle.New(oracle.Options{Workers: workers})
		for _, text := range texts {
			want := answer(t, o, text)
			var out bytes.Buffer
			err := o.WriteAnswer(t.Context(), &out, []byte(text))
			var refused *oracle.Refused
			if errors.As(err, &refused) {
				if out.Len() > 0 {
					t.Errorf("%.80s: refused after %s", text, out.Bytes())
				}
				out.Write(refused.Answer)
			} else if err != nil {
				t.Fatal(err)
			}
			if out.String() != want {
				t.Errorf("%.80s:\n%.300s, want\n%.300s", text, out.String(), want)
			}
			if (refused != nil) != (strings.HasPrefix(want, `{"`) && (strings.Contains(want, `"syntax"`) || strings.Contains(want, `"too-deep"`) || strings.Contains(want, "65537"))) {
				t.Errorf("%.80s: refused: %v", text, refused)
			}
		}
	}
}

// slow is a writer that fails after some bytes, and looks at what is done meanwhile.
type slow struct {
	left int
	full func()
}

var errFull = errors.New("full")

func (s *slow) Write(p []byte) (int, error) {
	if s.left -= len(p); s.left < 0 {
		s.full()
		return 0, errFull
	}
	return len(p), nil
}

// TestWriteAnswerWaits: of a batch whose answers nobody takes only a few are worked out.
func TestWriteAnswerWaits(t *testing.T) {
	var items []string
	for i := range 5000 {
		items = append(items, fmt.Sprintf(`{"arch":"a100-sxm-80gb","op":{"kind":"add","rows":%d,"cols":1}}`, i+1))
	}
	text := []byte("[" + strings.Join(items, ",") + "]")
	o := oracle.New(oracle.Options{Workers: 2})
	w := &slow{left: 1000}
	if err := o.WriteAnswer(t.Context(), &slow{left: w.left, full: func() {}}, text); !errors.Is(err, errFull) {
		t.Error(err)
	}
	if n := o.Stats().Misses; n > 200 {
		t.Errorf("%d answers were worked out", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w = &slow{left: 1000, full: cancel}
	if err := o.WriteAnswer(ctx, w, text); !errors.Is(err, errFull) {
		t.Error(err)
	}
	if err := o.WriteAnswer(ctx, &bytes.Buffer{}, text); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
