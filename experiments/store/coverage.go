package store

import "context"

// PointStatuses calls f with what every point of a sweep came to, in their order, until it returns an error, which is
// returned. It reads less than Points.
func (s *Store) PointStatuses(ctx context.Context, sweep string, f func(index int64, status, reason string) error) error {
	var failed error
	err := each(ctx, s.db, 3, func(row []any) error {
		index, _ := row[0].(int64)
		failed = f(index, text(row[1]), text(row[2]))
		return failed
	}, "SELECT point, status, coalesce(reason, '') FROM points WHERE sweep = ? ORDER BY point", sweep)
	if failed != nil {
		return failed
	}
	return explain(s.path, "list points of "+sweep, err)
}

// Missing calls f with each gap in the points of a sweep that should have count of them, from the first to the last index
// of the gap, in order.
func (s *Store) Missing(ctx context.Context, sweep string, count int64, f func(first, last int64)) error {
	next := int64(0)
	err := each(ctx, s.db, 1, func(row []any) error {
		index, _ := row[0].(int64)
		if index > next {
			f(next, index-1)
		}
		next = index + 1
		return nil
	}, "SELECT point FROM points WHERE sweep = ? AND point >= 0 AND point < ? ORDER BY point", sweep, count)
	if err != nil {
		return explain(s.path, "list points of "+sweep, err)
	}
	if next < count {
		f(next, count-1)
	}
	return nil
}
