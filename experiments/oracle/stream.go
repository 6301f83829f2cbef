package oracle

import (
	"context"
	"io"
	"sync/atomic"
)

// Refused is a text that is neither a request nor a batch, so that there are no answers one by one.
type Refused struct {
	Err    *Error // its code is "syntax" for a text that is not JSON, "too-large" for a batch of too many
	Answer []byte // what Answer returns
}

// Error gives the reason in one line.
func (r *Refused) Error() string { return r.Err.Error() }

// Unwrap returns the reason.
func (r *Refused) Unwrap() error { return r.Err }

// pieceLength is how many requests of a batch a worker of WriteAnswer takes at a time: handing them over costs as much as a remembered
// answer, so it is done once for several.
const pieceLength = 8

// WriteAnswer writes what Answer returns. Of a batch only some answers are held at a time, so that it may be written as slowly as
// it is read at the other end. A text that is refused as a whole is an error of type *Refused, and nothing is written. The other errors
// are those of w and the context's; what was written is then the beginning of an answer.
func (o *Oracle) WriteAnswer(ctx context.Context, w io.Writer, text []byte) error {
	v, bad := parse(text)
	if bad == nil && v.kind == array {
		if bad = tooMany(len(v.items())); bad != nil {
			o.counts.answered(Invalid)
			return &Refused{bad, write(nil, new(request), failed(bad).members, nil)}
		}
	}
	if bad == nil && v.kind == array {
		return o.writeBatch(ctx, w, v.items())
	}
	answer, kept, err := o.one(ctx, &v, bad)
	kept.wait()
	if err == nil && bad != nil {
		return &Refused{bad, answer}
	}
	if err == nil {
		_, err = w.Write(answer)
	}
	return err
}

// writeBatch answers the requests of a batch, several at a time, and writes the answers in their order. A piece of them is finished
// and handed over; no piece is begun that is more than a window ahead of what is written.
func (o *Oracle) writeBatch(ctx context.Context, w io.Writer, requests []value) error {
	type piece struct {
		text []byte
		err  error
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	pieces := (len(requests) + pieceLength - 1) / pieceLength
	workers := min(o.workers, pieces)
	window := 4 * workers
	// A piece is handed over in the place of its number modulo the window. There are as many tokens as places, and a token is
	// taken before a number, so two pieces never have one place.
	places, tokens := make([]chan piece, window), make(chan struct{}, window)
	for i := range places {
		places[i] = make(chan piece, 1)
	}
	var next atomic.Int64
	work := func() {
		for {
			select {
			case tokens <- struct{}{}:
			case <-ctx.Done():
				return
			}
			i := int(next.Add(1)) - 1
			if i >= pieces {
				return
			}
			var p piece
			var all keeping
			for k := i * pieceLength; k < min((i+1)*pieceLength, len(requests)) && p.err == nil; k++ {
				var answer []byte
				var kept keeping
				if answer, kept, p.err = o.one(ctx, &requests[k], nil); p.err == nil {
					p.text, all = append(append(p.text, ','), answer...), all.and(kept)
				}
			}
			all.wait()
			places[i%window] <- p
			if p.err != nil {
				return
			}
		}
	}
	for range workers {
		go work()
	}
	begin := byte('[')
	for i := range pieces {
		select {
		case p := <-places[i%window]:
			if p.err != nil {
				return p.err
			}
			p.text[0], begin = begin, ','
			if _, err := w.Write(p.text); err != nil {
				return err
			}
			<-tokens
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	end := "]"
	if pieces == 0 {
		end = "[]"
	}
	_, err := io.WriteString(w, end)
	return err
}
