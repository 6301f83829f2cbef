package sweep

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/traces/llm"
)

type byName struct{}

func (byName) Machine(name string) (*arch.Machine, error) { return experiments.MachineOf(name, nil) }
func (byName) Model(name string) (*llm.Model, error)      { return experiments.ModelOf(name) }

func BenchmarkSweep(b *testing.B) {
	data, err := os.ReadFile("/tmp/bw.yaml")
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		s, err := Read("bw.yaml", data, byName{})
		if err != nil {
			b.Fatal(err)
		}
		db, err := store.Open(filepath.Join(b.TempDir(), "x.db"), store.Options{ModelVersion: "x"})
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		p, err := s.Run(context.Background(), Options{Store: db, Tool: "t"})
		if err != nil {
			b.Fatal(err)
		}
		b.Log(p, float64(p.Done)/time.Since(start).Seconds())
		db.Close()
	}
}
