package llm

import (
	"errors"
	"reflect"
	"testing"
)

// A model that is written as a config.json is read back the same, and what has no family is refused.
func TestConfigSurvives(t *testing.T) {
	var written []string
	for _, name := range Presets() {
		m, err := Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := m.Config()
		if err != nil {
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		written = append(written, name)
		got, err := FromHF("config.json", text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.Name != m.Name {
			t.Errorf("%s is called %s", name, got.Name)
		}
		got.Source, got.Notes, m.Source, m.Notes = "", nil, "", nil
		if !reflect.DeepEqual(got, m) {
			t.Errorf("%s: %+v came back as %+v", name, m, got)
		}
		if again, err := got.Config(); err != nil || string(again) != string(text) {
			t.Errorf("%s, written again: %s, %v", name, again, err)
		}
	}
	t.Logf("%d of %d presets have a family: %q", len(written), len(Presets()), written)
	for _, name := range []string{"gpt2-small", "llama2-7b", "mistral-7b", "mixtral-8x7b"} {
		m, _ := Preset(name)
		if _, err := m.Config(); err != nil {
			t.Errorf("%v", err)
		}
	}
}
