package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
)

// Forms of output.
var forms = []string{"table", "json", "csv"}

// formFlag adds -o.
func formFlag(c *cobra.Command, into *string, problems *experiments.Problems) {
	*into = forms[0]
	c.Flags().VarP(&choice{"output", into, forms, problems}, "output", "o", "form of the answer: table, json or csv")
	complete(c, "output", func() []string { return forms })
}

// printTo writes to standard output what f prints, in one piece and only if f succeeds: there is no half an answer.
func printTo(c *cobra.Command, f func(w io.Writer) error) error {
	var b bytes.Buffer
	if err := f(&b); err != nil {
		return err
	}
	_, err := c.OutOrStdout().Write(b.Bytes())
	return outputError("standard output", err)
}

// printTable writes a table in the form asked for.
func printTable(c *cobra.Command, form string, t *report.Table) error {
	return printTo(c, func(w io.Writer) error {
		switch form {
		case "json":
			return t.JSON(w)
		case "csv":
			return t.CSV(w)
		}
		return t.Text(w, styleOf(c))
	})
}

// outputError says what could not be written.
func outputError(what string, err error) error {
	if err == nil {
		return nil
	}
	if cause := (*fs.PathError)(nil); errors.As(err, &cause) {
		err = cause.Err
	}
	return &outputFailure{what, err}
}

// outputFailure says that something could not be written.
type outputFailure struct {
	what string
	err  error
}

func (e *outputFailure) Error() string { return fmt.Sprintf("%s cannot be written: %v", e.what, e.err) }
func (e *outputFailure) Unwrap() error { return e.err }

// temporary holds the temporary files that are not yet committed, for an end of the process that nobody else sees to.
var temporary struct {
	sync.Mutex
	names map[string]bool
}

func setTemporary(name string, there bool) {
	temporary.Lock()
	defer temporary.Unlock()
	if temporary.names == nil {
		temporary.names = map[string]bool{}
	}
	if there {
		temporary.names[name] = true
	} else {
		delete(temporary.names, name)
	}
}

// discardAll removes all temporary files. The process must end at once.
func discardAll() {
	temporary.Lock() // for good: nothing is committed any more
	for name := range temporary.names {
		_ = os.Remove(name)
	}
}

// outFile is a file that appears under its name only when it is complete.
type outFile struct {
	*bufio.Writer
	name  string // as given
	path  string // where it goes, links followed
	file  *os.File
	moves bool // file is a temporary one beside path
}

// createFile finds out whether the file can be written and starts it. Its folder must exist. What is no regular file,
// such as a pipe, is written as it is.
func createFile(flag, name string) (*outFile, error) {
	bad := func(message, hint string) error {
		return &experiments.Invalid{Field: flag, Message: name + ": " + message, Hint: hint}
	}
	o := &outFile{name: name, path: name, moves: true}
	if real, err := filepath.EvalSymlinks(name); err == nil {
		o.path = real
	}
	info, err := os.Stat(o.path)
	switch {
	case err == nil && info.IsDir():
		return nil, bad("this is a folder", "give the name of a file in it")
	case err == nil:
		// A file that may not be written is not to be replaced either.
		f, err := os.OpenFile(o.path, os.O_WRONLY, 0)
		if err != nil {
			return nil, bad("cannot be written: "+plainCause(err), "give another name")
		}
		if !info.Mode().IsRegular() {
			o.file, o.moves = f, false
			break
		}
		f.Close()
	}
	if o.file == nil {
		dir, base := filepath.Split(o.path)
		if o.file, err = os.OpenFile(filepath.Join(dir, fmt.Sprintf(".%s.%d.tmp", base, os.Getpid())), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666); err != nil {
			return nil, bad("cannot be written: "+plainCause(err), "the folder must exist and be writable")
		}
		setTemporary(o.file.Name(), true)
		if info != nil {
			_ = o.file.Chmod(info.Mode().Perm()) // where that is not possible, the usual ones do
		}
	}
	o.Writer = bufio.NewWriterSize(o.file, 1<<16)
	return o, nil
}

// plainCause is the cause of a file error without the name of the file.
func plainCause(err error) string {
	if cause := errors.Unwrap(err); cause != nil {
		return cause.Error()
	}
	return err.Error()
}

// commit puts the file where it belongs.
func (o *outFile) commit() error {
	err := o.Flush()
	if e := o.file.Close(); err == nil {
		err = e
	}
	if err == nil && o.moves {
		err = os.Rename(o.file.Name(), o.path)
		setTemporary(o.file.Name(), false)
	}
	if err != nil {
		o.discard()
	}
	return outputError(o.name, err)
}

// discard removes what was written, unless it has been committed.
func (o *outFile) discard() {
	o.file.Close()
	if o.moves {
		_ = os.Remove(o.file.Name())
		setTemporary(o.file.Name(), false)
	}
}
