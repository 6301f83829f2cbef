package page_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stratasim/strata/experiments/report/page"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/experiments/view"
	"github.com/stratasim/strata/experiments/view/viewtest"
)

// gathered is the report of a made sweep.
func gathered(t testing.TB, n int, hostile bool) *view.Report {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "r.db"), store.Options{ModelVersion: "made"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	name := "made"
	if hostile {
		name += viewtest.Hostile
	}
	if err := viewtest.Fill(t.Context(), db, name, n, hostile); err != nil {
		t.Fatal(err)
	}
	return report(t, db, name)
}

var large *view.Report

// tenThousand is the report of ten thousand points, made once for all tests.
func tenThousand(t testing.TB) *view.Report {
	if large == nil {
		large = gathered(t, 10000, false)
	}
	return large
}

func report(t testing.TB, db *store.Store, sweep string) *view.Report {
	t.Helper()
	began := time.Now()
	s, err := view.Open(t.Context(), db, sweep)
	if err != nil {
		t.Fatal(err)
	}
	var objectives []view.Objective
	if !strings.Contains(sweep, "<") {
		if objectives, err = s.Declared(); err != nil {
			t.Fatal(err)
		}
	}
	r, err := view.Gather(t.Context(), s, objectives)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d points gathered in %.2f s", len(r.Frame.Rows), time.Since(began).Seconds())
	return r
}

func written(t testing.TB, r *view.Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := page.Write(&b, r, page.Options{Database: "r.db", Tool: "test"}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestPage: a page needs nothing from elsewhere, is the same each time, and takes names for what they are.
func TestPage(t *testing.T) {
	r := gathered(t, 120, true)
	text := string(written(t, r))
	if again := string(written(t, r)); again != text {
		t.Error("written twice, the page differs")
	}
	for _, no := range []string{"http:", "https:", "href=\"//", "<img", "@import", "url(", "NaN,", "+Inf"} {
		if strings.Contains(text, no) {
			t.Errorf("the page has %q", no)
		}
	}
	if n := strings.Count(text, "</script>"); n != 2 {
		t.Errorf("%d ends of scripts: names are taken for markup", n)
	}
}

// TestPageSize: ten thousand points are less than 3 MB.
func TestPageSize(t *testing.T) {
	if testing.Short() {
		t.Skip("makes ten thousand points")
	}
	began := time.Now()
	r := tenThousand(t)
	text := written(t, r)
	t.Logf("10000 points: %d bytes, %.1f s in all", len(text), time.Since(began).Seconds())
	if len(text) >= 3e6 {
		t.Errorf("the page of 10000 points has %d bytes", len(text))
	}
}

// canvases of the page.
var canvases = []string{"compare", "parallel", "roofline", "stalls", "energy", "sensitivity"}

// colours counts the colours of a canvas, in a sample of its pixels.
const colours = `(() => { const c = document.getElementById(%q), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, s = new Set(); for (let i = 0; i < d.length; i += 4) if (d[i + 3]) s.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]); return s.size })()`

// TestBrowser opens the page: it is silent, asks for nothing, draws everything, and can be used by mouse and keyboard.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	for _, tt := range []struct {
		name          string
		points        int
		hostile, dark bool
	}{
		{"hostile names", 400, true, true},
		{"ten thousand points", 10000, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if findChromium() == "" {
				t.Skip("no Chromium on this machine (chromium, google-chrome or $CHROMIUM) to open the page with")
			}
			var r *view.Report
			if tt.points == 10000 {
				r = tenThousand(t)
			} else {
				r = gathered(t, tt.points, tt.hostile)
			}
			dir := t.TempDir()
			file := filepath.Join(dir, "page.html")
			if err := os.WriteFile(file, written(t, r), 0o644); err != nil {
				t.Fatal(err)
			}
			b := open(t, file, tt.dark)
			t.Logf("drawn %s ms after the page began to load", b.text("document.documentElement.dataset.ready"))
			for _, name := range canvases {
				if n := b.number(fmt.Sprintf(colours, "c-"+name)); n < 8 {
					t.Errorf("%s: %v colours: nothing is drawn", name, n)
				}
			}
			if n := b.number("document.querySelectorAll('*').length"); n > 3000 {
				t.Errorf("%v elements: points are to be drawn, not to be elements", n)
			}
			useScatter(t, b)
			useBrush(t, b, tt.points)
			useTable(t, b, tt.points)
			if tt.hostile {
				if title := b.text("document.title"); !strings.Contains(title, "<img") {
					t.Errorf("title %q", title)
				}
				if n := b.number("document.querySelectorAll('img').length"); n != 0 {
					t.Errorf("a name became %v pictures", n)
				}
				if !strings.Contains(b.text("document.getElementById('facts').textContent"), viewtest.Hostile) {
					t.Error("the name of the model is not shown as it is")
				}
			}
			if list := b.complaints(); len(list) > 0 {
				t.Errorf("the page says %q", list)
			}
			for _, u := range b.asked() {
				if !strings.HasPrefix(u, "file://") || !strings.HasSuffix(u, "/page.html") {
					t.Errorf("the page asks for %s", u)
				}
			}
			if dir := os.Getenv("PICTURES"); dir != "" {
				b.picture(filepath.Join(dir, strings.ReplaceAll(tt.name, " ", "-")+".png"))
			}
		})
	}
}

// TestBrowserOdd: pages of reports that lack something are silent too, and say what they lack.
func TestBrowserOdd(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	ok := func(key string, values store.Values) store.Row {
		values["status"], values["model_version"], values["arch"], values["model"] = "ok", "made", "a", "m"
		return store.Row{Key: key, Values: values, Brief: true}
	}
	for _, tt := range []struct {
		name   string
		rows   []store.Row
		points []store.Point
		lacks  int // parts of the page that have nothing to draw
	}{
		{"one row", []store.Row{ok("a", store.Values{"seconds": 1.0, "joules": 2.0})}, nil, 5},
		{"nothing is ok", []store.Row{{Key: "a", Values: store.Values{"status": "infeasible", "reason": "too large", "model_version": "made"}}}, nil, 6},
		{"values of several kinds", []store.Row{ok("a", store.Values{"seconds": 1.0, "joules": 2.0}), ok("b", store.Values{"seconds": 1.5, "joules": 0.0})}, []store.Point{
			{Sweep: "s", Index: 0, Key: "a", Status: "ok", Parameters: `{"x":1,"y":"auto","z":true,"seconds":0}`},
			{Sweep: "s", Index: 1, Key: "b", Status: "ok", Parameters: `{"x":"all","y":null,"z":false,"w":[1,2]}`},
			{Sweep: "s", Index: 2, Status: "invalid", Reason: "no", Parameters: `{}`},
		}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, err := store.Open(filepath.Join(t.TempDir(), "r.db"), store.Options{ModelVersion: "made"})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			sweep := ""
			if tt.points != nil {
				sweep = "s"
				if err := db.PutSweep(t.Context(), store.Sweep{Name: sweep, Spec: "no: [yaml", Kind: "sweep", SpecHash: "1", Count: 9}); err != nil {
					t.Fatal(err)
				}
			}
			if err := db.PutPoints(t.Context(), tt.rows, tt.points); err != nil {
				t.Fatal(err)
			}
			r := report(t, db, sweep)
			file := filepath.Join(t.TempDir(), "page.html")
			if err := os.WriteFile(file, written(t, r), 0o644); err != nil {
				t.Fatal(err)
			}
			b := open(t, file, false)
			if n := len(canvases) - int(b.number("document.querySelectorAll('canvas').length")); n != tt.lacks {
				t.Errorf("%d parts have nothing to draw, want %d", n, tt.lacks)
			}
			if list := b.complaints(); len(list) > 0 {
				t.Errorf("the page says %q", list)
			}
		})
	}
}

// useScatter points at a point, and goes to the next one by key.
func useScatter(t *testing.T, b *browser) {
	var at struct{ X, Y, I float64 }
	b.eval(`(() => { const c = document.getElementById('c-compare'), o = strataScatter.order(), i = o[o.length >> 1], p = strataScatter.position(i); c.scrollIntoView({block: 'center'}); const r = c.getBoundingClientRect(); return {X: r.left + p[0], Y: r.top + p[1], I: i} })()`, &at)
	b.mouse("mouseMoved", at.X, at.Y)
	b.settle()
	tip := b.text("document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent")
	for _, want := range []string{"point ", "bandwidth", "TB/s", "tokens_per_second", "1/s"} {
		if !strings.Contains(tip, want) {
			t.Errorf("tooltip %q has no %q", tip, want)
		}
	}
	b.eval("(document.getElementById('c-compare').focus(), 0)", &at.I)
	b.key("ArrowRight")
	b.settle()
	if said := b.text("document.getElementById('live').textContent"); !strings.Contains(said, "point ") {
		t.Errorf("the next point by key says %q", said)
	}
	b.key("Escape")
	b.settle()
	if b.text("document.getElementById('tip').hidden") != "true" {
		t.Error("Escape leaves the tooltip")
	}
}

// useBrush drags along the first axis, sees that points were chosen, and shows all again.
func useBrush(t *testing.T, b *browser, points int) {
	var at struct{ X, Y float64 }
	b.eval(`(() => { const c = document.getElementById('c-parallel'); c.scrollIntoView({block: 'center'}); const r = c.getBoundingClientRect(); return {X: r.left + 70, Y: r.top} })()`, &at)
	b.settle()
	b.eval("(window.frames_ = [], (function next(t) { frames_.push(t); requestAnimationFrame(next); })(performance.now()), 0)", &at.Y)
	b.eval("document.getElementById('c-parallel').getBoundingClientRect().top", &at.Y)
	b.mouse("mousePressed", at.X, at.Y+100)
	for i := range 30 {
		b.mouse("mouseMoved", at.X, at.Y+110+float64(3*i))
	}
	b.mouse("mouseReleased", at.X, at.Y+200)
	t.Logf("brushing %d points: %.0f ms a frame in the middle, %.0f at most", points,
		b.number("(d => d[d.length >> 1])(frames_.map((t, i) => i ? t - frames_[i - 1] : 0).sort((a, b) => a - b))"), b.number("Math.max(...frames_.map((t, i) => i ? t - frames_[i - 1] : 0))"))
	b.settle()
	text := b.text("document.getElementById('chosen').textContent")
	var some, all int
	if n, _ := fmt.Sscanf(text, "%d of %d points", &some, &all); n != 2 || some <= 0 || some >= points || all != points {
		t.Errorf("after a brush: %q", text)
	}
	b.eval("(document.getElementById('clear').click(), 0)", &at.X)
	if text := b.text("document.getElementById('chosen').textContent"); text != fmt.Sprintf("%d points", points) {
		t.Errorf("after show all: %q", text)
	}
}

// useTable filters, sorts and turns the page.
func useTable(t *testing.T, b *browser, points int) {
	var x float64
	filter := func(text string) string {
		b.eval(fmt.Sprintf("(() => { const f = document.getElementById('filter'); f.value = %q; f.dispatchEvent(new Event('input')); return 0 })()", text), &x)
		b.settle()
		return b.text("document.getElementById('chosen').textContent")
	}
	if got, want := filter("batch>=256 status=ok"), fmt.Sprintf("%d of %d points", points/40*6, points); got != want {
		t.Errorf("filtered: %q, want %q", got, want)
	}
	if filter("bach>3"); b.text("document.getElementById('filterbad').textContent") != "no column bach" {
		t.Error("a filter by no column is taken")
	}
	if got := filter("status!=ok"); got != fmt.Sprintf("%d of %d points", points/8, points) {
		t.Errorf("not ok: %q", got)
	}
	filter("")
	b.eval("([...document.querySelectorAll('#table th button')].find(e => e.textContent.startsWith('batch')).click(), 0)", &x)
	first := b.text("[...document.querySelectorAll('#table tbody tr')].length")
	if want := fmt.Sprint(min(50, points)); first != want {
		t.Errorf("%s rows on a page, want %s", first, want)
	}
	sorted := "[...document.querySelectorAll('#table th')].filter(e => e.getAttribute('aria-sort') === '%s').map(e => e.textContent).join()"
	if got := b.text(fmt.Sprintf(sorted, "ascending")); !strings.HasPrefix(got, "batch") {
		t.Errorf("sorted by %q", got)
	}
	b.eval("([...document.querySelectorAll('#table-controls button')].find(e => e.textContent === 'Next').click(), 0)", &x)
	if got := b.text("document.querySelector('#table-controls [role=status]').textContent"); got != fmt.Sprintf("51 to 100 of %d", points) {
		t.Errorf("second page: %q", got)
	}
}
