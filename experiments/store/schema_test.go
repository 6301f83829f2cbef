package store

import (
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the last migration from the list of columns")

// The first migration is what files of 2026-11-24 have, the second to the fifth what those of 2026-11-28 have on
// top. The sixth adds what came since, and is generated from Tables as long as no file with it is in use anywhere; later versions get a
// migration each.
func TestLastMigrationIsTheSchema(t *testing.T) {
	const path = "migrations/0007_answers.sql"
	s, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.SetMaxOpenConns(1)
	for _, m := range migrations()[:6] {
		if _, err := s.Exec(m); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	b.WriteString("-- Generated from columns.go by: go test ./experiments/store -run LastMigration -update\n\n")
	for _, table := range Tables() {
		var exists int
		if err := s.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name = ?", table.Name).Scan(&exists); err != nil {
			t.Fatal(err)
		}
		if exists == 0 {
			fmt.Fprintf(&b, "-- %s\nCREATE TABLE %s (\n", table.Description, table.Name)
			for _, c := range table.Columns {
				fmt.Fprintf(&b, "  %s %s%s, -- %s\n", c.Name, c.Type.sql(), map[bool]string{true: " NOT NULL"}[c.Required], c.Description)
			}
			fmt.Fprintf(&b, "  PRIMARY KEY (%s)\n) WITHOUT ROWID;\n", strings.Join(table.Key, ", "))
			continue
		}
		for _, c := range table.Columns {
			var n int
			if err := s.QueryRow("SELECT count(*) FROM pragma_table_info(?) WHERE name = ?", table.Name, c.Name).Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n > 0 {
				continue
			}
			if c.Required {
				t.Fatalf("%s.%s is required, which rows of older files do not have", table.Name, c.Name)
			}
			unit := ""
			if c.Unit != "" {
				unit = " [" + c.Unit + "]"
			}
			fmt.Fprintf(&b, "ALTER TABLE %s ADD COLUMN %s %s; -- %s%s\n", table.Name, c.Name, c.Type.sql(), c.Description, unit)
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Errorf("%s differs from the list of columns; run with -update", path)
	}
}

// A file of the first version gets the columns that came since, and keeps its rows.
func TestFirstVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, text := range []string{migrations()[0], fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = 1", applicationID),
		"INSERT INTO runs (key, status, model_version, content_hash) VALUES ('old', 'error', '0', '0')"} {
		if _, err := db.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	if _, err := Open(path, Options{ReadOnly: true}); err == nil || !strings.Contains(err.Error(), "version 1, older than 7 (open it for writing once") {
		t.Errorf("for reading: %v", err)
	}
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Put(ctx, sample("k")); err != nil {
		t.Fatal(err)
	}
	if list, err := s.List(ctx, Filter{}); err != nil || len(list) != 2 {
		t.Errorf("%d rows, %v", len(list), err)
	}
}

// columnsOf describes the tables of a database as SQLite sees them.
func columnsOf(t *testing.T, s *Store) map[string][]string {
	t.Helper()
	got := map[string][]string{}
	for _, table := range Tables() {
		rows, err := s.db.Query("SELECT name || ' ' || type || ' ' || \"notnull\" || ' ' || (pk > 0) FROM pragma_table_info(?)", table.Name)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var c string
			if err := rows.Scan(&c); err != nil {
				t.Fatal(err)
			}
			got[table.Name] = append(got[table.Name], c)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got[table.Name]) // columns that came later are at the end
	}
	return got
}

// All migrations together give the tables that the code describes.
func TestMigrationsLeadToTheSchema(t *testing.T) {
	got := columnsOf(t, newStore(t))
	for _, table := range Tables() {
		var want []string
		for _, c := range table.Columns {
			b := map[bool]int{true: 1}
			want = append(want, fmt.Sprintf("%s %s %d %d", c.Name, c.Type.sql(), b[c.Required], b[slices.Contains(table.Key, c.Name)]))
		}
		slices.Sort(want)
		if !slices.Equal(got[table.Name], want) {
			t.Errorf("table %s:\ngot  %q\nwant %q", table.Name, got[table.Name], want)
		}
	}
}

// A file of an older version is brought up to date with its rows, at once by all who come, and
// stays as it is when a step fails.
func TestMigration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	steps := migrations()
	s, err := open(path, Options{}, steps)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, sample("k")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	broken := append(slices.Clone(steps), "ALTER TABLE runs ADD COLUMN extra REAL; ALTER TABLE runs ADD COLUMN extra REAL")
	if _, err := open(path, Options{}, broken); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("step %d to version %d", len(broken), len(broken))) {
		t.Errorf("a broken step: %v", err)
	}
	newer := append(slices.Clone(steps), "ALTER TABLE runs ADD COLUMN extra REAL; UPDATE runs SET extra = 7")
	if _, err := open(path, Options{ReadOnly: true}, newer); err == nil || !strings.Contains(err.Error(), "older") {
		t.Errorf("an old file for reading: %v", err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			s, err := open(path, Options{}, newer)
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		}()
	}
	wg.Wait()
	if s, err = open(path, Options{}, newer); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var extra float64
	if err := s.db.QueryRow("SELECT extra FROM runs WHERE key = 'k'").Scan(&extra); err != nil || extra != 7 {
		t.Errorf("extra %v, %v", extra, err)
	}
	whole(t, s)
	if facts, err := s.Meta(ctx); err != nil || facts["schema_version"] != fmt.Sprint(len(newer)) {
		t.Errorf("%v, %v", facts, err)
	}
	if _, err := open(path, Options{}, steps); !errors.Is(err, ErrNewer) {
		t.Errorf("with the older program: %v", err)
	}
}

// Every column says what it is, and every number with a unit ends in it.
func TestColumnsAreDescribed(t *testing.T) {
	endings := map[string][]string{
		"s": {"seconds"}, "B": {"_bytes"}, "J": {"joules", "joules_per_token", "joules_per_request"}, "W": {"_watts"},
		"1/s": {"_per_second"}, "B/s": {"_bytes_per_second"}, "USD/h": {"usd_per_hour"}, "USD": {"usd_per_million_tokens", "_usd"}, "mm²": {"_mm2"},
	}
	for _, table := range Tables() {
		if table.Description == "" || len(table.Key) == 0 {
			t.Errorf("table %s has no description or key", table.Name)
		}
		for _, c := range table.Columns {
			if c.Description == "" {
				t.Errorf("%s.%s has no description", table.Name, c.Name)
			}
			if c.Unit != "" && !slices.ContainsFunc(endings[c.Unit], func(e string) bool { return strings.HasSuffix(c.Name, e) }) {
				t.Errorf("%s.%s does not end in its unit %s", table.Name, c.Name, c.Unit)
			}
		}
	}
}
