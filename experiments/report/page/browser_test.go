package page_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// browser is a page in Chromium without a screen, driven over a pipe by the DevTools protocol.
type browser struct {
	t       testing.TB
	to      *os.File
	session string
	mu      sync.Mutex
	next    int
	waiting map[int]chan json.RawMessage
	ended   chan struct{}
	// what the page said and asked for
	errors   []string
	requests []string
}

// findChromium returns the name of a Chromium, "" if there is none.
func findChromium() string {
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "chrome"} {
		if name == "" {
			continue
		}
		if file, err := exec.LookPath(name); err == nil {
			return file
		}
	}
	return ""
}

// open opens a file in a browser, with a light or dark scheme, and waits until its charts are drawn.
func open(t testing.TB, file string, dark bool) *browser {
	t.Helper()
	program := findChromium()
	if program == "" {
		t.Skip("no Chromium on this machine (chromium, google-chrome or $CHROMIUM) to open the page with")
	}
	fromUs, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, toUs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	profile, err := os.MkdirTemp("", "page")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions", "--hide-scrollbars",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--metrics-recording-only", "--remote-debugging-pipe", "--window-size=1280,900", "--user-data-dir="+profile, "about:blank")
	c.ExtraFiles = []*os.File{fromUs, toUs}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	fromUs.Close()
	toUs.Close()
	b := &browser{t: t, to: to, waiting: map[int]chan json.RawMessage{}, ended: make(chan struct{})}
	go b.listen(from)
	t.Cleanup(func() {
		_ = b.send("", "Browser.close", nil, nil) // if it cannot, it is killed
		to.Close()
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = c.Process.Kill()
			<-ended
		}
		from.Close()
		// Its children may still be writing.
		for range 50 {
			if os.RemoveAll(profile) == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	var target struct{ TargetID string }
	b.must("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.must("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Network", "Log"} {
		b.must(b.session, domain+".enable", nil, nil)
	}
	b.must(b.session, "Emulation.setDeviceMetricsOverride", map[string]any{"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil)
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.must(b.session, "Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	abs, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	b.must(b.session, "Page.navigate", map[string]any{"url": (&url.URL{Scheme: "file", Path: abs}).String()}, nil)
	for deadline := time.Now().Add(60 * time.Second); b.text("document.documentElement && document.documentElement.dataset.ready || ''") == ""; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the page was not drawn within a minute; it says %q", b.complaints())
		}
	}
	return b
}

func (b *browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.errors...)
}

func (b *browser) asked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.requests...)
}

// listen reads what the browser says.
func (b *browser) listen(from *os.File) {
	defer close(b.ended)
	r := bufio.NewReaderSize(from, 1<<20)
	for {
		text, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID     int
			Method string
			Params struct {
				Type             string
				Args             []struct{ Value any }
				ExceptionDetails struct {
					Text      string
					Exception struct{ Description string }
				}
				Entry   struct{ Level, Text string }
				Request struct{ URL string }
			}
			Result json.RawMessage
			Error  json.RawMessage
		}
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue // a message of another form, which is none that is waited for
		}
		b.mu.Lock()
		switch m.Method {
		case "Runtime.consoleAPICalled":
			b.errors = append(b.errors, fmt.Sprint("console ", m.Params.Type, ": ", m.Params.Args))
		case "Runtime.exceptionThrown":
			b.errors = append(b.errors, "exception: "+m.Params.ExceptionDetails.Text+" "+m.Params.ExceptionDetails.Exception.Description)
		case "Log.entryAdded":
			b.errors = append(b.errors, "log "+m.Params.Entry.Level+": "+m.Params.Entry.Text)
		case "Network.requestWillBeSent":
			b.requests = append(b.requests, m.Params.Request.URL)
		}
		if wait := b.waiting[m.ID]; m.ID > 0 && wait != nil {
			delete(b.waiting, m.ID)
			if m.Error != nil {
				m.Result = append([]byte("!"), m.Error...)
			}
			wait <- m.Result
		}
		b.mu.Unlock()
	}
}

// send sends a command and reads its answer.
func (b *browser) send(session, method string, params map[string]any, into any) error {
	b.mu.Lock()
	b.next++
	id, wait := b.next, make(chan json.RawMessage, 1)
	b.waiting[id] = wait
	message := map[string]any{"id": id, "method": method}
	if session != "" {
		message["sessionId"] = session
	}
	if params != nil {
		message["params"] = params
	}
	text, err := json.Marshal(message)
	if err == nil {
		_, err = b.to.Write(append(text, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case answer := <-wait:
		if len(answer) > 0 && answer[0] == '!' {
			return errors.New(string(answer[1:]))
		}
		if into != nil {
			return json.Unmarshal(answer, into)
		}
		return nil
	case <-b.ended:
		return errors.New("the browser has ended")
	case <-time.After(90 * time.Second):
		return errors.New("no answer in 90 s")
	}
}

func (b *browser) must(session, method string, params map[string]any, into any) {
	b.t.Helper()
	if err := b.send(session, method, params, into); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
}

// eval evaluates an expression in the page.
func (b *browser) eval(expression string, into any) {
	b.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	b.must(b.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, r.ExceptionDetails.Exception.Description)
	}
	if err := json.Unmarshal(r.Result.Value, into); err != nil {
		b.t.Fatalf("%s: %s: %v", expression, r.Result.Value, err)
	}
}

func (b *browser) text(expression string) (s string) {
	b.t.Helper()
	b.eval("String("+expression+")", &s)
	return s
}

func (b *browser) number(expression string) (x float64) {
	b.t.Helper()
	b.eval("Number("+expression+")", &x)
	return x
}

// mouse moves the mouse, or presses or releases its button.
func (b *browser) mouse(what string, x, y float64) {
	b.t.Helper()
	p := map[string]any{"type": what, "x": x, "y": y}
	if what != "mouseMoved" {
		p["button"], p["clickCount"] = "left", 1
	}
	b.must(b.session, "Input.dispatchMouseEvent", p, nil)
}

func (b *browser) key(name string) {
	b.t.Helper()
	for _, what := range []string{"keyDown", "keyUp"} {
		b.must(b.session, "Input.dispatchKeyEvent", map[string]any{"type": what, "key": name, "code": name}, nil)
	}
}

// settle waits for two frames.
func (b *browser) settle() {
	b.t.Helper()
	var x int
	b.eval("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(1), 200))))", &x)
}

// picture writes a picture of the whole page.
func (b *browser) picture(file string) {
	b.t.Helper()
	var r struct{ Data string }
	b.must(b.session, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true,
		"clip": map[string]any{"x": 0, "y": 0, "width": 1280, "height": b.number("document.documentElement.scrollHeight"), "scale": 1}}, &r)
	data, err := base64.StdEncoding.DecodeString(r.Data)
	if err == nil {
		err = os.WriteFile(file, data, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
