package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOraclePage asks a running oracle everything that docs/oracle.md shows with curl.
func TestOraclePage(t *testing.T) {
	for _, name := range []string{"curl", "sh"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip("no ", name, " on this machine to run documented requests with")
		}
	}
	text, err := os.ReadFile(filepath.Join(projectRoot(t), "docs", "oracle.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"requests.jsonl": `{"arch":"tpu-v4","op":{"kind":"gelu","rows":64,"cols":64}}` + "\n{}\n", "mine.yaml": "base: tpu-v4\nname: mine\n",
		"config.json": `{"model_type":"llama","hidden_size":1024,"intermediate_size":4096,"num_hidden_layers":2,"num_attention_heads":8,"vocab_size":1000,"max_position_embeddings":2048}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	server := exec.Command("strata", "oracle", "serve", "--listen", "127.0.0.1:0")
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := server.Wait(); err != nil {
			t.Errorf("the end: %v", err)
		}
	}()
	var where struct{ URL string }
	if err := json.NewDecoder(out).Decode(&where); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "curl ") {
			continue
		}
		asked++
		line = strings.ReplaceAll(line, "http://127.0.0.1:8741", where.URL)
		ask := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(line, "curl", "curl --silent --show-error --fail-with-body --max-time 60", 1))
		ask.Dir = dir
		ask.Env = append(os.Environ(), "HOME="+dir, "no_proxy=127.0.0.1")
		if answer, err := ask.CombinedOutput(); err != nil || len(answer) == 0 {
			t.Errorf("%s\n%v: %s", line, err, answer)
		}
	}
	if asked < 5 {
		t.Errorf("only %d requests were found on the page", asked)
	}
}
