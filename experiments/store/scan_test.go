package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// TestScan: values have the types of their columns, rows their order, and what stops the scan is returned.
func TestScan(t *testing.T) {
	s := newStore(t)
	for _, key := range []string{"b", "a"} {
		if err := s.Put(ctx, with(sample(key), "seconds", 2.0)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	note := func(row []any) error {
		got = append(got, fmt.Sprintf("%T %v", row[0], row))
		return nil
	}
	if err := s.Scan(ctx, "runs", []string{"seconds", "sp", "batch", "ttft_seconds", "reason", "key"}, note); err != nil {
		t.Fatal(err)
	}
	if err := s.Scan(ctx, "stalls", []string{"cause", "key", "position"}, note); err != nil {
		t.Fatal(err)
	}
	if err := s.Scan(ctx, "inputs", []string{"content"}, note); err != nil {
		t.Fatal(err)
	}
	want := []string{"float64 [2 false 1 0.1 <nil> a]", "float64 [2 false 1 0.1 <nil> b]", "string [compute a 0]", "string [hbm a 1]", "string [compute b 0]", "string [hbm b 1]", "string [name: a100\n]"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	stop := errors.New("enough")
	if err := s.Scan(ctx, "runs", []string{"key"}, func([]any) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	for _, bad := range [][2]string{{"runs", "speed"}, {"walks", "key"}} {
		if err := s.Scan(ctx, bad[0], bad[1:], note); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
