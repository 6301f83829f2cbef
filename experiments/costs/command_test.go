package costs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/units"
)

// TestMain lets this test binary be a program that answers for costs, in ways that an argument names.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "answer" {
		answer(os.Args[2])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// answer is the program: it answers m microseconds and as many millijoules.
func answer(how string) {
	in := bufio.NewScanner(os.Stdin)
	for n := 1; in.Scan(); n++ {
		var q struct {
			ID string
			Op struct {
				Kind string
				M    int64
			}
		}
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			os.Exit(3)
		}
		switch {
		case how == "unknown":
			fmt.Printf("{\"id\":%q,\"status\":\"unknown\"}\n", q.ID)
		case how == "late":
			time.Sleep(time.Minute)
		case how == "crash" && n == 2:
			fmt.Fprintln(os.Stderr, "no such thing")
			os.Exit(5)
		case how == "more":
			fmt.Printf("{\"id\":%q,\"seconds\":1}\n{\"id\":\"77\",\"seconds\":1}\n", q.ID)
		case how == "stays":
			fmt.Printf("{\"id\":%q,\"seconds\":1}\n", q.ID)
			time.Sleep(time.Minute)
		case strings.HasPrefix(how, "{") || strings.HasPrefix(how, "!"):
			fmt.Println(strings.TrimPrefix(how, "!"))
		case how == "long":
			fmt.Println(strings.Repeat("x", maxAnswer+1))
		default:
			fmt.Printf("{\"id\":%q,\"seconds\":%de-6,\"joules\":%de-3,\"more\":[]}\n", q.ID, q.Op.M, q.Op.M)
		}
	}
}

func command(t *testing.T, how string) *Command {
	t.Helper()
	c, err := NewCommand(fmt.Sprintf(`"%s" answer '%s'`, os.Args[0], how), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestCommand(t *testing.T) {
	c := command(t, "well")
	for _, m := range []int64{3, 5, 3} {
		q := gemm(m, 8, 8)
		q.Name = fmt.Sprint("other name ", m) // names are no part of the question
		cost, ok, err := c.Cost(context.Background(), q)
		if err != nil || !ok || cost.Time != units.Time(m)*units.Microsecond || cost.Joules != units.Joules(float64(m)/1e3) {
			t.Errorf("%v, %t, %v", cost, ok, err)
		}
		if want := ", answer " + fmt.Sprint(map[int64]int{3: 1, 5: 2}[m]); !strings.HasSuffix(cost.Source, want) {
			t.Errorf("%q does not end in %q", cost.Source, want)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	// The same is answered from the record, by itself and when it was stored.
	again, err := ReadRecord(c.rec.name, c.Record().Content())
	if err != nil {
		t.Fatal(err)
	}
	if again.Key() != c.Record().Key() || again.String() != c.String() {
		t.Errorf("%s, %s", again.Content(), c.Record().Content())
	}
	for _, r := range []plan.Coster{c, again} {
		if cost, ok, err := r.Cost(context.Background(), gemm(5, 8, 8)); err != nil || !ok || cost.Time != 5*units.Microsecond {
			t.Errorf("%v, %t, %v", cost, ok, err)
		}
	}
	if _, _, err := again.Cost(context.Background(), gemm(4, 8, 8)); err == nil || !strings.Contains(err.Error(), "was not asked for gemm m=4") {
		t.Error(err)
	}
	if _, ok, err := command(t, "unknown").Cost(context.Background(), gemm(4, 8, 8)); ok || err != nil {
		t.Error(ok, err)
	}
}

// TestQuestion: the question is an estimate request.
func TestQuestion(t *testing.T) {
	q := gemm(4, 8, 16)
	q.Runtime, q.HostSync = "compiled", true
	got := "{" + question(&q, []byte(`"a100-sxm-80gb"`)) + "}"
	want := `{"arch":"a100-sxm-80gb","op":{"kind":"gemm","m":4,"n":8,"k":16,"batch":1,"dtype":"bf16","weight_dtype":"bf16"},"framework":"compiled","host_sync":true}`
	if got != want {
		t.Error(got)
	}
}

func TestCommandErrors(t *testing.T) {
	for _, tt := range []struct {
		how   string
		asks  int
		want  string
		after time.Duration
	}{
		{how: "!garbage", want: `:1: "garbage" is no JSON object`},
		{how: "![1]", want: `:1: "[1]" is no JSON object`},
		{how: `{"seconds":1}`, want: `:1: id: "{\"seconds\":1}" has no id`},
		{how: `{"id":"2","seconds":1}`, want: `:1: id: "2", but the question was "1"`},
		{how: `{"id":1,"seconds":1}`, want: `:1: id: 1, but the question was "1"`},
		{how: `{"id":"1"}`, want: `:1: seconds: "{\"id\":\"1\"}" has no seconds`},
		{how: `{"id":"1","seconds":-1}`, want: ":1: seconds: -1 s: a time must not be negative"},
		{how: `{"id":"1","seconds":NaN}`, want: ":1: \"{\\\"id\\\":\\\"1\\\",\\\"seconds\\\":NaN}\" is no JSON object"},
		{how: `{"id":"1","seconds":null}`, want: ":1: seconds: "},
		{how: `{"id":"1","seconds":"1"}`, want: `:1: seconds: "1": must be a number`},
		{how: `{"id":"1","seconds":1e999}`, want: ":1: seconds: 1e999: must be a number"},
		{how: `{"id":"1","seconds":1e9}`, want: ":1: seconds: 1e+09 s: a simulated time is at most"},
		{how: `{"id":"1","seconds":1,"joules":0}`, want: ":1: joules: 0 J: an energy must be more than 0"},
		{how: `{"id":"1","status":"invalid"}`, want: `:1: status: "invalid": must be ok, or unknown`},
		{how: "long", want: ":1: a line of more than"},
		{how: "crash", asks: 2, want: ":2: the program ended without an answer to"},
		{how: "late", want: ":1: no answer within 50ms", after: 50 * time.Millisecond},
	} {
		c := command(t, tt.how)
		c.Timeout = tt.after
		var err error
		for i := range int64(max(tt.asks, 1)) {
			_, _, err = c.Cost(context.Background(), gemm(i+1, 8, 8))
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.how, err, tt.want)
		}
		// There are no more answers, not even to other questions.
		if _, _, again := c.Cost(context.Background(), gemm(99, 8, 8)); !errors.Is(again, err) {
			t.Errorf("%s: then %v", tt.how, again)
		}
		if err := c.Close(); err != nil {
			t.Errorf("%s: %v", tt.how, err)
		}
	}
	c := command(t, "more")
	if _, _, err := c.Cost(context.Background(), gemm(1, 8, 8)); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err == nil || !strings.Contains(err.Error(), "answers nothing") {
		t.Error(err)
	}
}

// TestCommandEnds: an interrupt kills the program, and so does its not ending.
func TestCommandEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, _, err := command(t, "late").Cost(ctx, gemm(1, 8, 8)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// Who has no more time does not take the answers of others along.
	ctx, cancel = context.WithTimeout(context.Background(), 0)
	defer cancel()
	slow := command(t, "well")
	for m := range int64(3) {
		if cost, ok, err := slow.Cost(ctx, gemm(m+1, 8, 8)); err != nil || !ok || cost.Time != units.Time(m+1)*units.Microsecond {
			t.Errorf("%v, %t, %v", cost, ok, err)
		}
	}
	c := command(t, "stays")
	if _, _, err := c.Cost(context.Background(), gemm(1, 8, 8)); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Error(err)
	}
}

func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		line string
		want []string
	}{
		{"a  b\tc", []string{"a", "b", "c"}}, {`a 'b "c' "d \" 'e" f\ g ''`, []string{"a", `b "c`, `d " 'e`, "f g", ""}},
		{"$HOME *", []string{"$HOME", "*"}}, {"a 'b", nil}, {`a\`, nil}, {" ", nil}, {"''", nil},
	} {
		got, err := split(tt.line)
		if (err == nil) != (tt.want != nil) || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v", tt.line, got, err)
		}
	}
	if _, err := NewCommand("no-such-program-anywhere", false, nil); err == nil || !strings.Contains(err.Error(), "cannot be started") {
		t.Error(err)
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add(`{"id":"1","seconds":1e-6,"joules":2}`)
	f.Add(`{"id":"1","status":"unknown"}`)
	f.Add(`{"id":"1","seconds":-0}`)
	f.Fuzz(func(t *testing.T, text string) {
		a, _, message := parseAnswer("1", []byte(text))
		if message == "" && (a.time < 0 || a.time > units.MaxTime || !(a.joules >= 0 && a.joules < maxJoules)) {
			t.Errorf("%+v", a)
		}
	})
}

func FuzzReadRecord(f *testing.F) {
	f.Add(`{"arch":"a","op":{"kind":"gemm"},"framework":"c","known":true,"picoseconds":7,"line":1}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ReadRecord("x", []byte(text))
		if err == nil {
			_ = r.Key()
		}
	})
}
