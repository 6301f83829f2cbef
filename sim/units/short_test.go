package units

import "testing"

func TestShort(t *testing.T) {
	for _, tt := range []struct {
		t    Time
		want string
	}{
		{0, "0 ps"}, {999, "999 ps"}, {1543581, "1.544 us"}, {5 * Microsecond, "5 us"}, {999_999_999, "1000 us"}, {12_345 * Millisecond, "12.35 s"},
		{MaxTime, "4000 s"}, {2_600_000, "2.6 us"},
	} {
		if got := tt.t.Short(); got != tt.want {
			t.Errorf("%d ps: %q, want %q", int64(tt.t), got, tt.want)
		}
	}
}
