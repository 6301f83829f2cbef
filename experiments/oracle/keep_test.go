package oracle_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/store"
)

// keepingAnswers names the database of a process that a test starts and ends.
const keepingAnswers = "STRATA_TEST_ANSWERS"

func TestMain(m *testing.M) {
	if path := os.Getenv(keepingAnswers); path != "" {
		kept, err := store.OpenAnswers(path, store.Options{})
		if err == nil {
			err = oracle.New(oracle.Options{Kept: kept, Build: "test", CacheBytes: 1}).Serve(context.Background(), os.Stdin, os.Stdout)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// keptRequest are requests by number: single ones and batches.
func keptRequest(i int) string {
	one := func(k int) string {
		return fmt.Sprintf(`{"id":%d,"arch":"a100-sxm-80gb","op":{"kind":"rmsnorm","rows":%d,"cols":4096}}`, k, 1+k)
	}
	if i%5 == 0 {
		return "[" + one(10*i) + "," + one(10*i+1) + "," + one(10*i+2) + "]"
	}
	return one(10 * i)
}

// TestKillKept: a process that is ended at any moment leaves a whole database that has every answer which it gave, and the answers that come from
// it are those worked out afresh.
func TestKillKept(t *testing.T) {
	const lines = 600
	path := filepath.Join(t.TempDir(), "answers.db")
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	fresh := oracle.New(oracle.Options{})
	ended, given := 0, map[int]bool{}
	for range 12 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), keepingAnswers+"="+path)
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		order := rng.Perm(lines)
		go func() {
			w := bufio.NewWriter(in)
			for _, i := range order {
				fmt.Fprintln(w, keptRequest(i))
			}
			w.Flush()
			in.Close()
		}()
		var timer *time.Timer // from the first answer on, so that there are some however busy the machine is
		s := bufio.NewScanner(out)
		s.Buffer(nil, 1<<20)
		s.Split(func(data []byte, _ bool) (int, []byte, error) { // whole lines only
			i := bytes.IndexByte(data, '\n')
			return i + 1, data[:max(i, 0)], nil
		})
		for n := 0; s.Scan() && len(s.Bytes()) > 0; n++ {
			if n == 0 {
				timer = time.AfterFunc(time.Duration(rng.Int64N(int64(100*time.Millisecond))), func() { _ = c.Process.Kill() })
			}
			i := order[n]
			if want := answer(t, fresh, keptRequest(i)); s.Text() != want {
				t.Fatalf("%s\n%s", s.Text(), want)
			}
			given[i] = true
		}
		if err := c.Wait(); err != nil {
			ended++
		}
		if timer != nil {
			timer.Stop()
		}
	}
	if ended == 0 || len(given) == 0 {
		t.Fatalf("%d processes were ended, %d lines answered", ended, len(given))
	}
	kept, err := store.OpenAnswers(path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	o := oracle.New(oracle.Options{Kept: kept, Build: "test"})
	for i := range given {
		if got, want := answer(t, o, keptRequest(i)), answer(t, fresh, keptRequest(i)); got != want {
			t.Errorf("%s\n%s", got, want)
		}
	}
	if s := o.Stats(); s.Found != s.Misses {
		t.Errorf("of %d answers that were given %d were lost", s.Misses, s.Misses-s.Found)
	}
}

// TestKeptByBuild: another program answers for itself.
func TestKeptByBuild(t *testing.T) {
	path := filepath.Join(t.TempDir(), "answers.db")
	for _, c := range []struct {
		build string
		found uint64
	}{{"1", 0}, {"2", 0}, {"1", 1}} {
		kept, err := store.OpenAnswers(path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		o := oracle.New(oracle.Options{Kept: kept, Build: c.build})
		answer(t, o, keptRequest(1))
		if s := o.Stats(); s.Found != c.found {
			t.Errorf("build %s: %+v", c.build, s)
		}
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestPointsAreKept: points of spaces come from the file as they were worked out, those that a constraint rejects too.
func TestPointsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "answers.db")
	const space = `{"name":"x","arch":"tpu-v4","model":"llama2-7b","workload":{"phase":"decode","fidelity":"analytic"},"axes":[{"path":"batch","values":[1,2,64]},
		{"path":"model.num_hidden_layers","values":[4,8]},{"path":"phase","values":["decode","prefill"]}],"constraints":["seconds < 0.004","batch < 60","phase != \"serve\""]}`
	var lines []string
	for _, batch := range []int{1, 2, 64} {
		for _, layers := range []int{4, 8} {
			point := fmt.Sprintf(`{"space":%s,"point":{"batch":%d,"num_hidden_layers":%d,"phase":"decode"},"limits":{"joules":1}`, strings.Join(strings.Fields(space), " "), batch, layers)
			lines = append(lines, point+"}", point+`,"metrics":["seconds"]}`)
		}
	}
	fresh := oracle.New(oracle.Options{})
	for pass, found := range []uint64{0, 6} {
		kept, err := store.OpenAnswers(path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		o := oracle.New(oracle.Options{Kept: kept})
		for _, line := range lines {
			if got, want := answer(t, o, line), answer(t, fresh, line); got != want {
				t.Errorf("pass %d:\n%s\n%s", pass, got, want)
			}
		}
		if s := o.Stats(); s.Found != found {
			t.Errorf("pass %d: %+v", pass, s)
		}
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	}
	for i, part := range map[int]string{0: `"violations":{`, 8: `"code":"constraint"`} {
		if a := answer(t, fresh, lines[i]); !strings.Contains(a, part) {
			t.Errorf("no %s in %s", part, a)
		}
	}
}
