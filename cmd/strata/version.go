package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments/oracle/httpapi"
)

// version is the version of the program; a release changes it.
const version = "0.1.0-dev"

// thisBuild is what strata version prints.
func thisBuild() httpapi.Build {
	b := httpapi.Build{Version: version, ModelVersion: eval.Version, Protocol: eval.Schema, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Revision = s.Value
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
	}
	return b
}

// tool names the program and its build in results databases.
func tool() string {
	b := thisBuild()
	text := "strata " + b.Version
	if b.Revision != "" {
		text += " " + shortKey(b.Revision)
	}
	return text
}

func newVersion() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Which version this is",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			b := thisBuild()
			return printTo(c, func(w io.Writer) error {
				if asJSON {
					return json.NewEncoder(w).Encode(b)
				}
				fmt.Fprintf(w, "strata %s\nmodels %s, protocol %s\n%s, %s\n", b.Version, b.ModelVersion, b.Protocol, b.Go, b.Platform)
				if b.Revision != "" {
					changed := ""
					if b.Modified {
						changed = ", with changes"
					}
					fmt.Fprintf(w, "revision %s%s\n", b.Revision, changed)
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}
