package oracle

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments/store"
)

// keeper keeps answers in a database, for other processes and for this one when it has forgotten them.
type keeper struct {
	answers *store.Answers
	build   string
}

// keeping is what answers wait for before they are given: that they are in the database, or could not be written.
type keeping []<-chan struct{}

func (k keeping) wait() {
	for _, done := range k {
		<-done
	}
}

// last is the transaction that an answer waits for, nil for none.
func (k keeping) last() <-chan struct{} {
	if len(k) == 0 {
		return nil
	}
	return k[len(k)-1]
}

// and adds what another answer waits for. Most wait for the same transaction.
func (k keeping) and(more keeping) keeping {
	for _, m := range more {
		if !slices.Contains(k, m) {
			k = append(k, m)
		}
	}
	return k
}

// lastingKey is the key of a request that means the same in every process: with the content of its machine and models in place of their names, the
// version of the models and the program. It is not ok for a request that will be refused because of them.
func (o *Oracle) lastingKey(q *request) (key, bool) {
	if q.interval > 0 && o.validated != nil {
		return key{}, false // it hangs on what a program has validated by itself
	}
	j := q.job
	var content []string
	if j.arch != "" {
		m, err := o.resolve.machine(q.archAt, q.arch)
		if err != nil {
			return key{}, false
		}
		content, j.arch = append(content, m.Name, m.hash), ""
	}
	if j.model != "" {
		m, err := o.resolve.model(q.modelAt, q.model)
		if err != nil {
			return key{}, false
		}
		text, bad := json.Marshal(m)
		if bad != nil {
			return key{}, false
		}
		content, j.model = append(content, string(text)), "-"
	}
	if j.draft != "" {
		m, err := o.resolve.model(q.draftAt, q.draft)
		if err != nil {
			return key{}, false
		}
		text, bad := json.Marshal(m)
		if bad != nil {
			return key{}, false
		}
		content, j.draft = append(content, string(text)), "-"
	}
	return o.keyOf(append(content, string(j.appendTo(nil)))), true
}

// keyOf is the lasting key of what an answer depends on beside the models and the program.
func (o *Oracle) keyOf(content []string) key {
	var text []byte
	for _, s := range append([]string{"strata answer 1", eval.Version, o.kept.build}, content...) {
		text = append(binary.AppendUvarint(text, uint64(len(s))), s...)
	}
	return sha256.Sum256(text)
}

// get returns an answer that was kept, nil for none. What cannot be read is worked out again, and kept no more.
func (k *keeper) get(ctx context.Context, at key) *answer {
	row, ok, err := k.answers.Get(ctx, hex.EncodeToString(at[:]))
	if err != nil || !ok || len(row.Text) < 2 || row.Text[0] != '{' || !json.Valid([]byte(row.Text)) {
		return nil
	}
	a := &answer{members: []byte(row.Text[1 : len(row.Text)-1])}
	var figures []struct {
		Name  string  `json:"name"`
		Value float64 `json:"value"`
	}
	var head struct {
		Status Status `json:"status"`
		Error  *Error `json:"error"`
	}
	if json.Unmarshal([]byte(row.Figures), &figures) != nil {
		return nil
	}
	for _, f := range figures {
		a.figures = append(a.figures, figure{f.Name, f.Value})
	}
	if !strings.HasPrefix(row.Text, `{"status":"ok"`) {
		if json.Unmarshal([]byte(row.Text), &head) != nil {
			return nil
		}
		if a.err = head.Error; a.err != nil {
			a.err.Status = head.Status
		}
	}
	return a
}

// put keeps an answer.
func (k *keeper) put(at key, a *answer) keeping {
	figures := []byte{'['}
	for i, f := range a.figures {
		if i > 0 {
			figures = append(figures, ',')
		}
		figures = append(appendText(append(figures, `{"name":`...), []byte(f.name)), ',')
		figures = append(appendFigure(figures, "value", f.value), '}')
	}
	text := append(append([]byte{'{'}, a.members...), '}')
	return keeping{k.answers.Put(store.Answer{Key: hex.EncodeToString(at[:]), Text: string(text), Figures: string(append(figures, ']'))})}
}
