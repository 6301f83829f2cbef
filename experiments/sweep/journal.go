package sweep

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// journal notes which points are being run, beside the database, so that a point which brings the whole process down can be told from
// the others: when a process did not come to its end, the points that it was at are run first and one by one, and one at which the
// process died three times is given up.
//
// The file has a record of 16 bytes for each worker: the point plus 1, or 0, and how often it was begun.
type journal struct {
	path  string
	file  *os.File
	tries map[int64]int64 // begun so often by processes that died
}

// mostTries is after how many deaths of the process a point is given up.
const mostTries = 3

// openJournal begins the journal of a process, and reads those of processes on this machine that died.
func openJournal(db, sweep string, workers int) (*journal, error) {
	host, _ := os.Hostname()
	safe := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, sweep+"-"+host)
	prefix := db + "-running-" + safe + "-"
	j := &journal{path: prefix + strconv.Itoa(os.Getpid()), tries: map[int64]int64{}}
	old, err := filepath.Glob(escape(prefix) + "*")
	if err != nil {
		return nil, err
	}
	for _, path := range old {
		pid, err := strconv.Atoi(strings.TrimPrefix(path, prefix))
		if err != nil || pid != os.Getpid() && alive(pid) {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for ; len(data) >= 16; data = data[16:] {
			if i := int64(binary.LittleEndian.Uint64(data)) - 1; i >= 0 {
				j.tries[i] = max(j.tries[i], int64(binary.LittleEndian.Uint64(data[8:])))
			}
		}
		_ = os.Remove(path)
	}
	if j.file, err = os.Create(j.path); err != nil {
		return nil, fmt.Errorf("beside the database: %w", err)
	}
	if err := j.file.Truncate(int64(16 * workers)); err != nil {
		return nil, err
	}
	return j, nil
}

// escape takes the meaning from characters that patterns have.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// suspects are the points at which a process died and that are not done, in their order.
func (j *journal) suspects(done map[int64]bool) []int64 {
	var list []int64
	for i := range j.tries {
		if !done[i] {
			list = append(list, i)
		}
	}
	slices.Sort(list)
	return list
}

// begin notes that a worker is at a point.
func (j *journal) begin(worker int, i int64) {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], uint64(i+1))
	binary.LittleEndian.PutUint64(b[8:], uint64(j.tries[i]+1))
	_, _ = j.file.WriteAt(b[:], int64(16*worker)) // without it the run is as good
}

// end notes that it has come to an end there.
func (j *journal) end(worker int) {
	_, _ = j.file.WriteAt(make([]byte, 8), int64(16*worker))
}

// close ends the journal of a process that comes to its end.
func (j *journal) close() {
	if err := j.file.Close(); err == nil || errors.Is(err, os.ErrClosed) {
		_ = os.Remove(j.path)
	}
}
