package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A synthetic sweep: point i has row i/2, so that neighbours share one, and some points have none.
const sweepPoints = 60

func sweepPoint(i int64) (Row, Point) {
	p := Point{Sweep: "s", Index: i, Key: fmt.Sprintf("k%04d", i*7919%1000/2), Status: "ok", Parameters: fmt.Sprintf(`{"i":%d}`, i)}
	r := with(sample(p.Key), "seconds", float64(i*7919%1000/2))
	r.Brief = i%3 == 0
	r.Inputs = append(r.Inputs, Input{Kind: "model", Name: fmt.Sprint("m", i%5), Content: []byte(fmt.Sprint("model ", i%5))})
	switch {
	case i%10 == 4:
		r = with(with(r, "status", "infeasible"), "reason", "does not fit")
		p.Status, p.Reason = "infeasible", "does not fit"
	case i%10 == 7:
		p.Key, p.Status, p.Reason = "", "rejected", "too dear"
	}
	return r, p
}

// fill puts the points that has chooses.
func fill(t testing.TB, s *Store, has func(i int64) bool) {
	t.Helper()
	if err := s.PutSweep(ctx, Sweep{"s", "spec", "sweep", "h", sweepPoints}); err != nil {
		t.Fatal(err)
	}
	var rows []Row
	var points []Point
	for i := range int64(sweepPoints) {
		if !has(i) {
			continue
		}
		r, p := sweepPoint(i)
		points = append(points, p)
		if p.Key != "" {
			rows = append(rows, r)
		}
	}
	if err := s.PutPoints(ctx, rows, points); err != nil {
		t.Fatal(err)
	}
}

// named makes a database in a folder.
func named(t testing.TB, dir, name string) *Store {
	t.Helper()
	path := filepath.Join(dir, name)
	if empty.once.Do(func() { empty.content = emptyDatabase(t) }); os.WriteFile(path, empty.content, 0o644) != nil {
		t.Fatal(path)
	}
	s, err := Open(path, Options{ModelVersion: "1", Tool: "test", Busy: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// empty is a database without rows: making one takes all migrations.
var empty struct {
	once    sync.Once
	content []byte
}

func emptyDatabase(t testing.TB) []byte {
	s := newStore(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func shardFiles(t testing.TB, dir string, n int64) []string {
	t.Helper()
	var paths []string
	for k := range n {
		s := named(t, dir, fmt.Sprintf("shard-%d.db", k))
		fill(t, s, func(i int64) bool { return i%n == k })
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, s.Path())
	}
	return paths
}

// dump is the content of all tables but meta, row by row.
func dump(t testing.TB, s *Store) []string {
	t.Helper()
	var lines []string
	for _, table := range Tables() {
		if table.Name == "meta" {
			continue
		}
		columns := strings.Join(names(table.Columns), ", ")
		if err := each(ctx, s.db, len(table.Columns), func(row []any) error {
			for i, v := range row {
				if b, ok := v.([]byte); ok {
					row[i] = string(b)
				}
			}
			lines = append(lines, table.Name+fmt.Sprintf("%q", row))
			return nil
		}, "SELECT "+columns+" FROM "+table.Name+" ORDER BY "+strings.Join(table.Key, ", ")); err != nil {
			t.Fatal(err)
		}
	}
	return lines
}

func sameContent(t testing.TB, got, want *Store) {
	t.Helper()
	g, w := dump(t, got), dump(t, want)
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("%s\ndiffers from\n%s", g[i], w[i])
		}
	}
	if len(g) != len(w) {
		t.Fatalf("%d rows in all tables instead of %d", len(g), len(w))
	}
}

func TestMergeEqualsOneRun(t *testing.T) {
	dir := t.TempDir()
	whole := named(t, dir, "whole.db")
	fill(t, whole, func(int64) bool { return true })
	paths := shardFiles(t, dir, 12)
	slices.Reverse(paths) // the order does not matter
	all := named(t, dir, "all.db")
	for _, newRows := range []bool{true, false} { // the second time nothing changes
		files, err := all.Merge(ctx, append(paths, paths[0]), MergeOptions{})
		if err != nil || len(files) != 12 {
			t.Fatalf("%v, %v", files, err)
		}
		for _, f := range files {
			if f.Points != sweepPoints/12 || f.Rows == 0 || (f.NewPoints == f.Points) != newRows || (f.NewRows > 0) != newRows {
				t.Errorf("%+v", f)
			}
		}
		sameContent(t, all, whole)
	}
	if err := all.Put(ctx, sample("another")); err != nil {
		t.Errorf("a row after merging: %v", err)
	}
}

func TestMergeAnyParts(t *testing.T) {
	dir := t.TempDir()
	whole := named(t, dir, "whole.db")
	fill(t, whole, func(int64) bool { return true })
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 0))
		dir := filepath.Join(dir, fmt.Sprint(seed))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		count := 1 + r.IntN(4)
		owners := make([][]bool, sweepPoints) // at least one file has each point
		for i := range owners {
			owners[i] = make([]bool, count)
			for k := range owners[i] {
				owners[i][k] = r.IntN(2) == 0
			}
			owners[i][r.IntN(count)] = true
		}
		var paths []string
		for k := range count {
			s := named(t, dir, fmt.Sprintf("%d.db", k))
			fill(t, s, func(i int64) bool { return owners[i][k] })
			if r.IntN(2) == 0 { // others failed here at first
				var rows []Row
				var points []Point
				for i := range int64(sweepPoints) {
					if row, p := sweepPoint(i); !owners[i][k] && p.Status == "ok" {
						rows = append(rows, Row{Key: row.Key, Values: Values{"status": "error", "reason": "crashed", "model_version": "1"}})
						p.Status, p.Reason = "timeout", "too slow"
						points = append(points, p)
					}
				}
				if err := s.PutPoints(ctx, rows, points); err != nil {
					t.Fatal(err)
				}
			}
			s.Close()
			paths = append(paths, s.Path())
		}
		all := named(t, dir, "all.db")
		if _, err := all.Merge(ctx, paths, MergeOptions{group: 1 + int(seed%3)}); err != nil {
			t.Fatal(err)
		}
		sameContent(t, all, whole)
		all.Close()
	}
}

func TestMergeRefuses(t *testing.T) {
	newer := func(r Row) Row { return with(r, "model_version", "1.10") }
	for _, tt := range []struct {
		name string
		make func(t *testing.T, bad *Store) // fills bad.db, and may change the file
		kind error
		says string
	}{
		{"another answer", func(t *testing.T, bad *Store) {
			r, p := sweepPoint(0)
			if err := bad.PutPoints(ctx, []Row{with(r, "seconds", 9.5)}, []Point{p}); err != nil {
				t.Fatal(err)
			}
		}, ErrConflict, "row k0000 of the same version of the models has another answer than in DIR/good.db: seconds 9.5 instead of 0"},
		{"point with another row", func(t *testing.T, bad *Store) {
			_, p := sweepPoint(0)
			p.Key = "other"
			if err := bad.PutPoints(ctx, []Row{sample("other")}, []Point{p}); err != nil {
				t.Fatal(err)
			}
		}, ErrConflict, `point 0 of sweep "s" is ok, row other with {"i":0}, but in DIR/good.db it is ok, row k0000 with {"i":0}`},
		{"failed point with other parameters", func(t *testing.T, bad *Store) {
			_, p := sweepPoint(0)
			p.Key, p.Status, p.Reason, p.Parameters = "", "timeout", "too slow", "{}"
			if err := bad.PutPoints(ctx, nil, []Point{p}); err != nil {
				t.Fatal(err)
			}
		}, ErrConflict, `point 0 of sweep "s" is timeout (too slow) with {}`},
		{"another sweep of that name", func(t *testing.T, bad *Store) {
			if err := bad.PutSweep(ctx, Sweep{"s", "spec", "sweep", "other", 7}); err != nil {
				t.Fatal(err)
			}
		}, ErrConflict, `its sweep "s" is not the one of that name in DIR/good.db: 7 points instead of 60`},
		{"another input under a hash", func(t *testing.T, bad *Store) {
			r := sample("x")
			r.Inputs[0].Content = []byte("other")
			if err := bad.Put(ctx, r); err != nil {
				t.Fatal(err)
			}
		}, ErrConflict, `input "a100" has other content under the same hash a1 than in DIR/good.db`},
		{"another version", func(t *testing.T, bad *Store) {
			if err := bad.Put(ctx, newer(sample("x"))); err != nil {
				t.Fatal(err)
			}
		}, ErrVersion, "it has rows of version 1.10 of the models, and DIR/good.db of version 1"},
		{"cut off", func(t *testing.T, bad *Store) {
			fill(t, bad, func(int64) bool { return true })
			bad.Close()
			info, err := os.Stat(bad.Path())
			if err == nil {
				err = os.Truncate(bad.Path(), info.Size()/2)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, ErrCorrupt, "damaged"},
		{"written over", func(t *testing.T, bad *Store) {
			fill(t, bad, func(int64) bool { return true })
			bad.Close()
			f, err := os.OpenFile(bad.Path(), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			info, err := f.Stat()
			for at := info.Size() - 8*4096; err == nil && at < info.Size(); at += 4096 {
				_, err = f.WriteAt([]byte(strings.Repeat("x", 100)), at)
			}
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
		}, ErrCorrupt, "damaged"},
		{"not a database", func(t *testing.T, bad *Store) {
			bad.Close()
			if err := os.WriteFile(bad.Path(), []byte("point,seconds\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, ErrForeign, "not an SQLite database"},
		{"of another program", func(t *testing.T, bad *Store) {
			bad.Close()
			os.Remove(bad.Path())
			raw(t, bad.Path(), "CREATE TABLE t (x)").Close()
		}, ErrForeign, "belongs to another program"},
		{"empty", func(t *testing.T, bad *Store) {
			bad.Close()
			if err := os.Truncate(bad.Path(), 0); err != nil {
				t.Fatal(err)
			}
		}, ErrForeign, "the file is empty"},
		{"missing", func(t *testing.T, bad *Store) {
			bad.Close()
			os.Remove(bad.Path())
		}, ErrNotFound, "there is no such file"},
		{"locked", func(t *testing.T, bad *Store) {
			fill(t, bad, func(i int64) bool { return i == 0 })
			bad.Close()
			db := raw(t, bad.Path(), "PRAGMA journal_mode = DELETE; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
			t.Cleanup(func() { db.Close() })
		}, ErrBusy, "locked"},
	} {
		for _, group := range []int{0, 1} { // in one transaction, and in one each
			t.Run(fmt.Sprint(tt.name, group), func(t *testing.T) {
				dir := t.TempDir()
				good, bad, last := named(t, dir, "good.db"), named(t, dir, "bad.db"), named(t, dir, "last.db")
				fill(t, good, func(i int64) bool { return i == 0 })
				fill(t, last, func(i int64) bool { return i == 1 })
				good.Close()
				last.Close()
				tt.make(t, bad)
				bad.Close()
				all := named(t, dir, "all.db")
				files, err := all.Merge(ctx, []string{good.Path(), bad.Path(), last.Path()}, MergeOptions{Busy: 200 * time.Millisecond, group: group})
				if err == nil || !errors.Is(err, tt.kind) {
					t.Fatalf("error %v, want %v", err, tt.kind)
				}
				if got := strings.ReplaceAll(err.Error(), filepath.ToSlash(dir), "DIR"); !strings.Contains(got, tt.says) || !strings.HasPrefix(got, "DIR/bad.db: ") {
					t.Errorf("%q does not begin with the file or say %q", got, tt.says)
				}
				if len(files) != 3 || files[0].Err != nil || files[1].Err == nil || files[2].Err != nil {
					t.Errorf("%+v", files)
				}
				// Nothing of the bad one, all of the others.
				want := named(t, dir, "want.db")
				fill(t, want, func(i int64) bool { return i < 2 })
				sameContent(t, all, want)
			})
		}
	}
}

func TestMergeNewer(t *testing.T) {
	for name, order := range map[string][]int{"old first": {0, 1}, "new first": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var paths []string
			for k, version := range []string{"0.9.0", "0.10.0"} {
				s := named(t, dir, version+".db")
				if err := s.PutSweep(ctx, Sweep{"s", "spec", "sweep", "h", 6}); err != nil {
					t.Fatal(err)
				}
				for i := range int64(4) {
					i += 2 * int64(k) // 0 to 3 and 2 to 5
					key := fmt.Sprintf("%s-%d", version, i)
					if err := s.PutPoints(ctx, []Row{with(sample(key), "model_version", version)}, []Point{{Sweep: "s", Index: i, Key: key, Status: "ok", Parameters: "{}"}}); err != nil {
						t.Fatal(err)
					}
				}
				s.Close()
				paths = append(paths, s.Path())
			}
			all := named(t, dir, "all.db")
			files, err := all.Merge(ctx, []string{paths[order[0]], paths[order[1]]}, MergeOptions{Newer: true})
			if err != nil {
				t.Fatal(err)
			}
			if old := files[slices.Index(order, 0)]; old.OldRows != 4 || old.OldPoints != 4 || old.NewRows != 0 || old.NewPoints != 0 {
				t.Errorf("%+v", old)
			}
			var gaps []string
			if err := all.Missing(ctx, "s", 6, func(first, last int64) { gaps = append(gaps, fmt.Sprint(first, "-", last)) }); err != nil || !slices.Equal(gaps, []string{"0-1"}) {
				t.Errorf("missing %v, %v", gaps, err)
			}
			if n := counts(t, all)["runs"]; n != 4 {
				t.Errorf("%d rows", n)
			}
			// A database that has the old ones gets the new ones in their place, and keeps the rows.
			has, err := Open(paths[0], Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer has.Close()
			if _, err := has.Merge(ctx, paths[1:], MergeOptions{}); !errors.Is(err, ErrVersion) {
				t.Errorf("without the option: %v", err)
			}
			if _, err := has.Merge(ctx, paths[1:], MergeOptions{Newer: true}); err != nil {
				t.Fatal(err)
			}
			var keys []string
			if err := has.Points(ctx, "s", func(p Point) error { keys = append(keys, p.Key); return nil }); err != nil {
				t.Fatal(err)
			}
			if want := []string{"0.9.0-0", "0.9.0-1", "0.10.0-2", "0.10.0-3", "0.10.0-4", "0.10.0-5"}; !slices.Equal(keys, want) {
				t.Errorf("%v", keys)
			}
			if n := counts(t, has)["runs"]; n != 8 {
				t.Errorf("%d rows", n)
			}
		})
	}
}

func TestMergeItself(t *testing.T) {
	s := newStore(t)
	if err := s.Put(ctx, sample("k")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Merge(ctx, []string{s.Path()}, MergeOptions{}); !errors.Is(err, ErrSame) || !strings.Contains(err.Error(), "into itself") {
		t.Error(err)
	}
}

// A shard that is still written to can be merged as it is.
func TestMergeRunningShard(t *testing.T) {
	dir := t.TempDir()
	running := named(t, dir, "shard.db")
	fill(t, running, func(i int64) bool { return i < 10 })
	all := named(t, dir, "all.db")
	if _, err := all.Merge(ctx, []string{running.Path()}, MergeOptions{}); err != nil {
		t.Fatal(err)
	}
	fill(t, running, func(i int64) bool { return i >= 10 })
	if _, err := all.Merge(ctx, []string{running.Path()}, MergeOptions{}); err != nil {
		t.Fatal(err)
	}
	sameContent(t, all, running)
}

func TestMergeCancelled(t *testing.T) {
	dir := t.TempDir()
	paths := shardFiles(t, dir, 10)
	all := named(t, dir, "all.db")
	c, cancel := context.WithCancel(ctx)
	_, err := all.Merge(c, paths, MergeOptions{Done: func(MergedFile) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if n := counts(t, all)["run_inputs"]; n == 0 {
		t.Error("nothing of the first files is there")
	}
	if _, err := all.Merge(ctx, paths, MergeOptions{}); err != nil {
		t.Fatal(err)
	}
	whole := named(t, dir, "whole.db")
	fill(t, whole, func(int64) bool { return true })
	sameContent(t, all, whole)
}

// TestMergeRanges: rows come in several ranges of keys when there are many, each once.
func TestMergeRanges(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	whole := named(t, dir, "whole.db")
	for k := range 3 {
		s := named(t, dir, fmt.Sprintf("%d.db", k))
		var rows []Row
		for i := range 1500 {
			r := sample(fmt.Sprintf("%016x", uint64(i*2+k)*0x9e3779b97f4a7c15)) // some rows are in two files
			r.Brief = true
			rows = append(rows, r)
		}
		for _, to := range []*Store{s, whole} {
			if err := to.PutAll(ctx, rows); err != nil {
				t.Fatal(err)
			}
		}
		s.Close()
		paths = append(paths, s.Path())
	}
	all := named(t, dir, "all.db")
	defer func(bytes int64) { rangeBytes = bytes }(rangeBytes)
	rangeBytes = 1 << 10
	if _, err := all.Merge(ctx, paths, MergeOptions{}); err != nil {
		t.Fatal(err)
	}
	sameContent(t, all, whole)
}

func TestCompareVersions(t *testing.T) {
	order := []string{"0.5.0", "0.5.0.1", "0.10.0", "1", "1.2", "1.10"}
	for i, a := range order {
		for k, b := range order {
			if got := compareVersions(a, b); (got < 0) != (i < k) || (got > 0) != (i > k) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
}

func BenchmarkMerge(b *testing.B) {
	dir := b.TempDir()
	const rows = 20_000
	var paths []string
	for k := range 2 {
		s := named(b, dir, fmt.Sprintf("%d.db", k))
		for from := 0; from < rows/2; from += 1000 {
			var rows []Row
			var points []Point
			for i := from; i < from+1000; i++ {
				r := sample(fmt.Sprintf("%016x%d", uint64(i)*0x9e3779b97f4a7c15, k))
				r.Brief = true
				rows = append(rows, r)
				points = append(points, Point{Sweep: "s", Index: int64(2*i + k), Key: r.Key, Status: "ok", Parameters: `{"bandwidth":1e12,"batch":8}`})
			}
			if err := s.PutPoints(ctx, rows, points); err != nil {
				b.Fatal(err)
			}
		}
		s.Close()
		paths = append(paths, s.Path())
	}
	b.ResetTimer()
	for n := range b.N {
		all := named(b, dir, fmt.Sprintf("all%d.db", n))
		if _, err := all.Merge(ctx, paths, MergeOptions{}); err != nil {
			b.Fatal(err)
		}
		all.Close()
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}
