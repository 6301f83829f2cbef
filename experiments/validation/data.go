package validation

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// NoData says that there are no measurements where they were looked for.
type NoData struct {
	Dir string // the folder
	Err error
}

func (e *NoData) Error() string {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return fmt.Sprintf("no measurements: there is no %s", e.Dir)
	}
	return fmt.Sprintf("measurements cannot be read: %v", e.Err)
}

func (e *NoData) Unwrap() error { return e.Err }

// Folder is where measurements lie: dir if it is not empty, else what STRATA_DATA names, else the first shared/data beside the
// working directory or a folder above it. The error is a *NoData.
func Folder(dir string) (string, error) {
	if dir == "" {
		dir = os.Getenv("STRATA_DATA")
	}
	if dir != "" {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is no folder", dir)
		}
		if err != nil {
			return "", &NoData{dir, err}
		}
		return dir, nil
	}
	beside := filepath.Join("..", "shared", "data")
	at := beside
	for range 16 {
		if info, err := os.Stat(at); err == nil && info.IsDir() {
			return at, nil
		}
		at = filepath.Join("..", at)
	}
	return "", &NoData{beside, fs.ErrNotExist}
}

// A record is one row of a file of measurements.
type record struct {
	file   string // relative to the folder, with slashes
	line   int
	values map[string]string
	order  []string // the columns, as the file has them
}

// badRow says what is wrong with a row, and where.
type badRow struct {
	file    string
	line    int
	column  string
	message string
}

func (e *badRow) Error() string {
	text := fmt.Sprintf("%s:%d: ", e.file, e.line)
	if e.column != "" {
		text += e.column + ": "
	}
	return text + e.message
}

// records reads a file of measurements.
func records(dir, file string) ([]record, error) {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(file)))
	if err != nil {
		return nil, &NoData{filepath.Join(dir, filepath.FromSlash(file)), err}
	}
	defer f.Close()
	return readRecords(f, file)
}

// readRecords reads a table with a head.
func readRecords(in io.Reader, file string) ([]record, error) {
	list, bad, err := tolerantRecords(in, file)
	if err == nil && len(bad) > 0 {
		err = bad[0]
	}
	return list, err
}

// tolerantRecords reads a table with a head, and says of rows that cannot be read what is wrong with them. An error is that
// nothing after it could be read either.
func tolerantRecords(in io.Reader, file string) (list []record, bad []error, err error) {
	r := csv.NewReader(in)
	r.FieldsPerRecord = -1
	head, err := r.Read()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil, &badRow{file, 1, "", "empty: the first line must name the columns"}
		}
		return nil, nil, csvError(file, err)
	}
	head[0] = strings.TrimPrefix(head[0], "\ufeff")
	for i, column := range head {
		if slices.Contains(head[:i], column) {
			return nil, nil, &badRow{file, 1, column, "names two columns"}
		}
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return list, bad, nil
		}
		if err != nil {
			return list, bad, csvError(file, err)
		}
		line, _ := r.FieldPos(0)
		if len(row) != len(head) {
			bad = append(bad, &badRow{file, line, "", fmt.Sprintf("%d fields, the first line has %d", len(row), len(head))})
			continue
		}
		values := make(map[string]string, len(head))
		for i, column := range head {
			values[column] = row[i]
		}
		list = append(list, record{file, line, values, head})
	}
}

func csvError(file string, err error) error {
	var bad *csv.ParseError
	if errors.As(err, &bad) {
		return &badRow{file, bad.Line, "", bad.Err.Error()}
	}
	return &badRow{file, 0, "", err.Error()}
}

// reading collects what is wrong with the numbers of a row, so that a row is read without an if after each.
type reading struct {
	*record
	err error
}

func (r *reading) fail(column, format string, a ...any) {
	if r.err == nil {
		r.err = &badRow{r.file, r.line, column, fmt.Sprintf(format, a...)}
	}
}

func (r *reading) get(column string) string { return r.values[column] }

// number reads a number; 0 and an error if there is none.
func (r *reading) number(column string) float64 {
	return r.parse(column, r.values[column])
}

func (r *reading) parse(column, text string) float64 {
	if text == "" {
		r.fail(column, "missing")
		return 0
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		r.fail(column, "%.40q is no number", text)
		return 0
	}
	return v
}

// integer reads a whole number.
func (r *reading) integer(column string) int64 {
	v := r.number(column)
	if v != float64(int64(v)) {
		r.fail(column, "%.40q is no whole number", r.values[column])
	}
	return int64(v)
}

// optional reads a whole number, which may be left out.
func (r *reading) optional(column string, otherwise int64) int64 {
	if r.values[column] == "" {
		return otherwise
	}
	return r.integer(column)
}
