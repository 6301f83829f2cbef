package oracle

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// MaxLine bounds a line of requests, in bytes.
const MaxLine = 1 << 20

// ticket is one line on its way through Serve.
type ticket struct {
	line   []byte
	long   bool // the line was too long and is not kept
	answer []byte
	kept   keeping
	err    error // the context's
	done   chan struct{}
}

// Serve answers every line of r that is not blank with a line on w, in the same order, several at a
// time. What is written is flushed whenever the next answer is not there yet, so it may serve a
// conversation. It ends at the end of r; when the context is cancelled it ends at once, with the
// answers that were finished written and the context's error. A goroutine may then go on to wait for
// r until r has something to read.
func (o *Oracle) Serve(ctx context.Context, r io.Reader, w io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// The queue holds the lines in their order, todo those that no worker has taken.
	queue, todo := make(chan *ticket, 4*o.workers), make(chan *ticket, 4*o.workers)
	var readErr error // written before queue is closed
	go func() {
		defer close(queue)
		defer close(todo)
		readErr = lines(r, func(line []byte, long bool) bool {
			t := &ticket{line: bytes.Clone(line), long: long, done: make(chan struct{})}
			for _, c := range []chan<- *ticket{todo, queue} {
				select {
				case c <- t:
				case <-ctx.Done():
					return false
				}
			}
			return true
		})
	}()
	for range o.workers {
		go func() {
			for {
				select {
				case t, open := <-todo:
					if !open {
						return
					}
					o.work(ctx, t)
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	err := deliver(ctx, queue, w)
	if err == nil {
		err = readErr
	}
	return err
}

// work answers one line.
func (o *Oracle) work(ctx context.Context, t *ticket) {
	defer close(t.done)
	switch {
	case t.long:
		t.answer = write(nil, new(request), failed(invalid("too-large", "", "a batch can be several lines", "a line of more than %d bytes", MaxLine)).members, nil)
		o.counts.answered(Invalid)
	case ctx.Err() != nil:
		t.err = ctx.Err()
	default:
		t.answer, t.kept, t.err = o.line(ctx, t.line)
	}
}

// deliver writes the answers in the order of their lines.
func deliver(ctx context.Context, queue <-chan *ticket, w io.Writer) error {
	out := bufio.NewWriterSize(w, 1<<16)
	for {
		t, open, err := next(ctx, queue, out)
		if err != nil || !open {
			return errors.Join(err, out.Flush())
		}
		if err := wait(ctx, t, out); err != nil {
			return errors.Join(err, out.Flush())
		}
		t.kept.wait()
		out.Write(t.answer) // the error stays until the next flush
		if err := out.WriteByte('\n'); err != nil {
			return fmt.Errorf("write answers: %w", err)
		}
	}
}

// next takes the next line, and flushes before it has to wait for one.
func next(ctx context.Context, queue <-chan *ticket, out *bufio.Writer) (t *ticket, open bool, err error) {
	select {
	case t, open = <-queue:
	default:
		if err := out.Flush(); err != nil {
			return nil, false, fmt.Errorf("write answers: %w", err)
		}
		select {
		case t, open = <-queue:
		case <-ctx.Done():
		}
	}
	if !open {
		err = ctx.Err() // the queue is also closed when reading was broken off
	}
	return t, open, err
}

// wait waits until the line is answered, and flushes before it has to.
func wait(ctx context.Context, t *ticket, out *bufio.Writer) error {
	select {
	case <-t.done:
		return t.err
	default:
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write answers: %w", err)
	}
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		select {
		case <-t.done:
			return t.err
		default:
			return ctx.Err()
		}
	}
}

// lines calls each for every line that is not blank, until it returns false. A line that is too long is
// passed over without being kept.
func lines(r io.Reader, each func(line []byte, long bool) bool) error {
	in := bufio.NewReaderSize(r, 1<<16)
	mark := []byte("\ufeff") // some editors begin a file with it
	var line []byte
	for long := false; ; {
		part, err := in.ReadSlice('\n')
		if !long && len(line)+len(part) > MaxLine+len("\r\n") {
			long = true
		}
		if !long {
			line = append(line, part...)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("read requests: %w", err) // what was read of the line is not all of it
		}
		trimmed := bytes.Trim(bytes.TrimPrefix(line, mark), " \t\r\n")
		if long = long || len(trimmed) > MaxLine; long {
			trimmed = nil
		}
		if (long || len(trimmed) > 0) && !each(trimmed, long) {
			return nil
		}
		if err == io.EOF {
			return nil
		}
		line, long, mark = line[:0], false, nil
	}
}
