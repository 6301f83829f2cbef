package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// header is what tells whose file this is.
type header struct {
	application, version int64
	objects              int64 // tables and so on; known only if both others are 0
}

// check says whether a file with this header is ours, or could become ours because it is empty.
func (h header) check(path string, latest int) error {
	switch {
	case h == (header{}):
		return nil
	case h.application != applicationID:
		return &Error{Path: path, Kind: ErrForeign, Text: "this SQLite database belongs to another program", Hint: "give the name of a new file"}
	case h.version > int64(latest):
		return &Error{
			Path: path, Kind: ErrNewer,
			Text: fmt.Sprintf("the database has version %d, this program knows versions up to %d", h.version, latest),
			Hint: "update the program, or write to a new file",
		}
	case h.version == 0:
		return &Error{Path: path, Kind: ErrCorrupt, Text: "the database has no version", Hint: "move it away and run again"}
	}
	return nil
}

// queryHeader asks SQLite, which also knows what is still in the log.
func queryHeader(ctx context.Context, q interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) (h header, err error) {
	if err := q.QueryRowContext(ctx, "PRAGMA application_id").Scan(&h.application); err != nil {
		return h, err
	}
	if err := q.QueryRowContext(ctx, "PRAGMA user_version").Scan(&h.version); err != nil {
		return h, err
	}
	if h.application != 0 || h.version != 0 {
		return h, nil
	}
	return h, q.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&h.objects)
}

// readHeader looks at the file alone. That is enough to know the files of others without touching
// them: opened by SQLite, they could get a log or lose one. Our own files get their application id
// before they get a log. Offsets are those of the SQLite file format, sections 1.3 and 1.6. An
// empty file has an empty header.
func readHeader(path, abs string) (h header, err error) {
	f, err := os.Open(abs)
	if err != nil {
		return h, &Error{Path: path, Kind: ErrUnwritable, Text: "cannot be read", Err: errors.Unwrap(err), Hint: "look at: ls -l " + path}
	}
	defer f.Close()
	var b [105]byte
	switch n, err := io.ReadFull(f, b[:]); {
	case n == 0 && errors.Is(err, io.EOF):
		return h, nil
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return h, &Error{Path: path, Kind: ErrUnwritable, Text: "cannot be read", Err: err, Hint: "look at: ls -l " + path}
	case err != nil || string(b[:16]) != "SQLite format 3\x00":
		return h, &Error{Path: path, Kind: ErrForeign, Text: "this is not an SQLite database", Hint: "give the name of a new file"}
	}
	h.application = int64(int32(binary.BigEndian.Uint32(b[68:])))
	h.version = int64(int32(binary.BigEndian.Uint32(b[60:])))
	if h.application == 0 && h.version == 0 {
		// The root of the schema: a leaf without cells if there is nothing in the database.
		if h.objects = int64(binary.BigEndian.Uint16(b[103:])); b[100] != 0x0d {
			h.objects++
		}
	}
	return h, nil
}

// inUse has the files that are open in this process. Closing a file drops all locks that the process has on it, also
// those of SQLite; so a file that is in use here must not be opened and closed by readHeader.
var inUse struct {
	sync.Mutex
	files []os.FileInfo
}

// claim finds the file or makes it, checks whose it is, and notes that it is in use. fresh says
// that it was made. Each claim needs a release.
func claim(path, abs string, readOnly bool, latest int) (file os.FileInfo, fresh bool, err error) {
	inUse.Lock()
	defer inUse.Unlock()
	info, err := os.Stat(abs)
	if errors.Is(err, fs.ErrNotExist) {
		if readOnly {
			return nil, false, &Error{Path: path, Kind: ErrNotFound, Text: "there is no such file", Hint: "results are written with --db FILE"}
		}
		fresh, err = create(path, abs)
		if err != nil {
			return nil, false, err
		}
		info, err = os.Stat(abs)
	}
	switch {
	case err != nil:
		return nil, false, &Error{Path: path, Kind: ErrUnwritable, Text: "cannot be opened", Err: errors.Unwrap(err), Hint: unwritableHint(abs)}
	case info.IsDir():
		return nil, false, &Error{Path: path, Kind: ErrForeign, Text: "this is a directory", Hint: "give the name of a file in it, such as " + filepath.Join(path, "results.db")}
	case !info.Mode().IsRegular():
		return nil, false, &Error{Path: path, Kind: ErrForeign, Text: "this is not a regular file", Hint: "give the name of a new file"}
	case info.Size() == 0 && readOnly:
		return nil, false, &Error{Path: path, Kind: ErrForeign, Text: "the file is empty", Hint: "results are written with --db FILE"}
	}
	if !slices.ContainsFunc(inUse.files, func(f os.FileInfo) bool { return os.SameFile(f, info) }) {
		h, err := readHeader(path, abs)
		if err == nil {
			err = h.check(path, latest)
		}
		if err != nil {
			return nil, false, err
		}
	}
	inUse.files = append(inUse.files, info)
	return info, fresh, nil
}

// create makes an empty file. It reports false if another process was faster.
func create(path, abs string) (bool, error) {
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		if _, err := os.Stat(abs); errors.Is(err, fs.ErrNotExist) {
			return false, &Error{Path: path, Kind: ErrUnwritable, Text: "this is a link to a file that does not exist", Hint: "remove the link, or give another name"}
		}
		return false, nil
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		e := &Error{Path: path, Kind: ErrUnwritable, Text: "cannot be made", Err: err, Hint: unwritableHint(abs)}
		if cause := errors.Unwrap(err); cause != nil {
			e.Err = cause // without the name of the file, which is there already
		}
		if isFull(err) {
			e.Kind = ErrFull
			e.Hint = fullHint(path)
		}
		return false, e
	}
	return true, nil
}

// release undoes claim.
func release(file os.FileInfo) {
	inUse.Lock()
	defer inUse.Unlock()
	for i, f := range inUse.files {
		if os.SameFile(f, file) {
			inUse.files = slices.Delete(inUse.files, i, i+1)
			return
		}
	}
}
