package main

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/experiments/view/viewtest"
)

var sqlBlock = regexp.MustCompile("(?ms)^```sql\n(.*?)^```$")

// TestDocumentedQueries runs the queries of docs/results.md on a sweep: each must have an answer, without an empty column.
func TestDocumentedQueries(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(projectRoot(t), "docs", "results.md"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "results.db")
	s, err := store.Open(file, store.Options{ModelVersion: "made"})
	if err != nil {
		t.Fatal(err)
	}
	if err := viewtest.Fill(t.Context(), s, "made", 400, false); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	want := []int{2, 30, 5} // machines; three causes of each machine and batch; values of an axis
	blocks := sqlBlock.FindAllSubmatch(page, -1)
	if len(blocks) != len(want) {
		t.Fatalf("%d queries, want %d", len(blocks), len(want))
	}
	for i, block := range blocks {
		if n, err := answers(db, string(block[1])); err != nil || n != want[i] {
			t.Errorf("query %d: %d rows, want %d: %v", i+1, n, want[i], err)
		}
	}
}

// answers counts the rows of a query, none of which may lack a value.
func answers(db *sql.DB, query string) (n int, err error) {
	rows, err := db.Query(query)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	row, into := make([]any, len(names)), make([]any, len(names))
	for i := range row {
		into[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return n, err
		}
		for i, v := range row {
			if v == nil {
				return n, fmt.Errorf("row %d has no %s", n, names[i])
			}
		}
		n++
	}
	return n, rows.Err()
}
