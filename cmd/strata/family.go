package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stratasim/strata/sim/spec"
)

// family prepares a command that only has others below it: alone it prints its help, a word that is no command gets
// the nearest one named. It also makes every error of the command line itself a usageError.
func family(c *cobra.Command) *cobra.Command {
	c.SetFlagErrorFunc(flagError)
	for _, sub := range c.Commands() {
		if args := sub.Args; args != nil {
			sub.Args = func(c *cobra.Command, words []string) error {
				err := args(c, words)
				if usage := (*usageError)(nil); err == nil || errors.As(err, &usage) {
					return err
				}
				return &usageError{err.Error(), c.CommandPath()}
			}
		}
	}
	if c.RunE != nil {
		return c
	}
	c.Args = func(c *cobra.Command, words []string) error {
		if len(words) == 0 {
			return nil
		}
		return unknownCommand(c, words[0])
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}

// unknownCommand says that a word is no command below c, and which was perhaps meant.
func unknownCommand(c *cobra.Command, word string) error {
	text, names := fmt.Sprintf("unknown command %q for %q", word, c.CommandPath()), commandNames(c)
	if near := spec.Suggest(word, names); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	} else {
		text += "; known: " + strings.Join(names, ", ")
	}
	return &usageError{text, c.CommandPath()}
}

// commandNames lists the commands below c.
func commandNames(c *cobra.Command) []string {
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

var unknownFlag = regexp.MustCompile(`^unknown flag: --(\S+)`)

// flagError says which flag was perhaps meant.
func flagError(c *cobra.Command, err error) error {
	text := err.Error()
	if m := unknownFlag.FindStringSubmatch(text); m != nil {
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		name, _, _ := strings.Cut(m[1], "=")
		if near := spec.Suggest(name, names); near != "" {
			text += fmt.Sprintf("; did you mean --%s?", near)
		}
	}
	return &usageError{text, c.CommandPath()}
}
