package experiments

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments/store"
)

// Comparison is a stored row run again.
type Comparison struct {
	Key         string
	Arch, Model string
	// StoredVersion is the version of the models that made the row.
	StoredVersion string
	// Differences says what of the answer is not the same, a line each; none means equal to the byte.
	Differences []string
}

// Same reports whether the second run came to the same, byte for byte.
func (c *Comparison) Same() bool { return len(c.Differences) == 0 }

// RestoreRow reads the point of a row with the inputs that it has.
func RestoreRow(row store.Row) (*Point, error) {
	request, _ := row.Values["request"].(string)
	p, err := Restore(request, func(hash string) ([]byte, error) {
		for _, in := range row.Inputs {
			if in.Hash == hash {
				return in.Content, nil
			}
		}
		return nil, fmt.Errorf("its input %s is not in the database", hash)
	})
	if err != nil {
		return nil, fmt.Errorf("row %s: %w", row.Key, err)
	}
	return p, nil
}

// Rerun runs the row with that key (or the only one that begins with it) again, from the database alone, and
// compares. watch, if not nil, may add to the request what does not change its answer.
func Rerun(ctx context.Context, db *store.Store, key string, watch func(*eval.Request)) (*Comparison, error) {
	row, err := db.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	text := func(column string) string { s, _ := row.Values[column].(string); return s }
	c := &Comparison{Key: row.Key, Arch: text("arch"), Model: text("model"), StoredVersion: text("model_version")}
	p, err := RestoreRow(row)
	if err != nil {
		return nil, err
	}
	r, err := p.Request()
	if err != nil {
		return nil, fmt.Errorf("row %s: %w", row.Key, err)
	}
	var composed *eval.Answer
	var failed error
	var distribution *eval.Distribution
	if p.Composition != nil {
		composed, failed = p.Compose(ctx, &r, nil)
	} else {
		distribution, failed = p.Distribute(ctx, &r, nil)
	}
	if again := r.Key(); again != row.Key {
		c.Differences = append(c.Differences, fmt.Sprintf("key: %s → %s", row.Key, again))
	}
	r.Advise = true
	if watch != nil {
		watch(&r)
	}
	var res *eval.Result
	if err = failed; err == nil && composed == nil {
		res, err = eval.Run(ctx, r)
	}
	unfit := plan.Infeasible(err)
	switch {
	case unfit != nil:
		c.compareText("status", text("status"), "infeasible")
		c.compareText("reason", text("reason"), unfit.Error())
		return c, nil
	case err != nil:
		return nil, fmt.Errorf("row %s: %w", row.Key, err)
	}
	if composed == nil {
		composed = &res.Answer
		composed.Distribution = distribution
	}
	answer, err := EncodeAnswer(composed)
	if err != nil {
		return nil, err
	}
	c.compareText("status", text("status"), "ok")
	if old := text("answer"); text("status") == "ok" && old == "" { // of a sweep that kept the scalars alone
		for _, one := range scalars {
			if one.column == "key" { // compared above
				continue
			}
			was, is := brief(row.Values[one.column]), brief(one.of(composed))
			c.compareText(one.column, was, is)
		}
	} else if text("status") == "ok" && old != string(answer) {
		n := len(c.Differences)
		c.compare("", decode([]byte(old)), decode(answer))
		if len(c.Differences) == n {
			c.Differences = append(c.Differences, "the figures agree, their text does not")
		}
	}
	return c, nil
}

func (c *Comparison) compareText(what, old, now string) {
	if old != now {
		c.Differences = append(c.Differences, fmt.Sprintf("%s: %s → %s", what, old, now))
	}
}

// decode reads JSON with its numbers as they are written.
func decode(text []byte) any {
	var v any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}

// compare walks two JSON values and notes where they part.
func (c *Comparison) compare(path string, old, now any) {
	switch x := old.(type) {
	case map[string]any:
		y, ok := now.(map[string]any)
		if !ok {
			break
		}
		both := maps.Clone(x)
		maps.Copy(both, y)
		for _, k := range sortedKeys(both) {
			at := k
			if path != "" {
				at = path + "." + k
			}
			c.compare(at, x[k], y[k])
		}
		return
	case []any:
		y, ok := now.([]any)
		if !ok || len(x) != len(y) {
			break
		}
		for i := range x {
			c.compare(fmt.Sprintf("%s[%d]", path, i), x[i], y[i])
		}
		return
	default:
		if old == now {
			return
		}
	}
	c.Differences = append(c.Differences, fmt.Sprintf("%s: %s → %s", path, brief(old), brief(now)))
}

// brief shows a JSON value in at most a few words.
func brief(v any) string {
	text, err := json.Marshal(v)
	if err != nil || v == nil {
		return "nothing"
	}
	if len(text) > 60 {
		return string(bytes.ToValidUTF8(text[:60], nil)) + "…"
	}
	return string(text)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
