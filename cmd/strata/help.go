package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagGroup is the annotation that puts a flag under a heading of the help.
const flagGroup = "strata_group"

// group puts flags under a heading of the help; headings come in the order in which flags were added.
func group(flags *pflag.FlagSet, heading string, names ...string) {
	for _, n := range names {
		if err := flags.SetAnnotation(n, flagGroup, []string{heading}); err != nil {
			panic(err) // the flag has just been added
		}
	}
}

// newHelp is strata help.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(c *cobra.Command, words []string) error {
			topic := c.Root()
			for i, w := range words {
				next := subcommand(topic, w)
				if next == nil && topic.HasAvailableSubCommands() {
					return unknownCommand(topic, w)
				}
				if next == nil {
					return &usageError{fmt.Sprintf("%s has no commands below it, such as %q", topic.CommandPath(), strings.Join(words[i:], " ")), topic.CommandPath()}
				}
				topic = next
			}
			return topic.Help()
		},
		ValidArgsFunction: func(c *cobra.Command, words []string, _ string) ([]string, cobra.ShellCompDirective) {
			topic := c.Root()
			for _, w := range words {
				if topic = subcommand(topic, w); topic == nil {
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
			}
			return commandNames(topic), cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// subcommand finds a command below c, nil if there is none of that name.
func subcommand(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name || sub.HasAlias(name) {
			return sub
		}
	}
	return nil
}

// prepareHelp gives a command and all below it the help of this file.
func prepareHelp(root *cobra.Command) {
	root.SetHelpFunc(func(c *cobra.Command, _ []string) {
		if err := writeHelp(c.OutOrStdout(), c); err != nil {
			processOf(c.Root().Context()).helpErr = outputError("standard output", err)
		}
	})
	root.SetUsageFunc(func(c *cobra.Command) error {
		return writeHelp(c.OutOrStderr(), c)
	})
}

// writeHelp prints what a command does, how it is called, its commands and flags by group, and examples.
func writeHelp(w io.Writer, c *cobra.Command) error {
	var b strings.Builder
	about := c.Long
	if about == "" {
		about = c.Short
	}
	b.WriteString(about + "\n\nUsage:\n")
	if c.Runnable() || !c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s\n", strings.Replace(c.UseLine(), " [flags]", " [FLAGS]", 1))
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s COMMAND\n", c.CommandPath())
	}
	helpCommands(&b, c)
	helpFlags(&b, c)
	if c.HasExample() {
		b.WriteString("\nExamples:\n")
		for line := range strings.Lines(c.Example) {
			b.WriteString("  " + strings.TrimRight(line, "\n") + "\n")
		}
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n%s COMMAND --help tells more about a command.\n", c.CommandPath())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func helpCommands(b *strings.Builder, c *cobra.Command) {
	if !c.HasAvailableSubCommands() {
		return
	}
	groups := c.Groups()
	if len(groups) == 0 {
		groups = []*cobra.Group{{Title: "Commands"}}
	}
	for _, g := range groups {
		fmt.Fprintf(b, "\n%s:\n", g.Title)
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() && sub.GroupID == g.ID {
				fmt.Fprintf(b, "  %-12s %s\n", sub.Name(), sub.Short)
			}
		}
	}
}

func helpFlags(b *strings.Builder, c *cobra.Command) {
	var headings []string
	byHeading := map[string][]*pflag.Flag{}
	c.Flags().SortFlags = false
	flags := c.LocalFlags()
	flags.SortFlags = false
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		heading := "Flags"
		if g := f.Annotations[flagGroup]; len(g) > 0 {
			heading = g[0]
		}
		if byHeading[heading] == nil {
			headings = append(headings, heading)
		}
		byHeading[heading] = append(byHeading[heading], f)
	})
	for _, h := range headings {
		fmt.Fprintf(b, "\n%s:\n", h)
		set := pflag.NewFlagSet(h, pflag.ContinueOnError)
		set.SortFlags = false
		for _, f := range byHeading[h] {
			set.AddFlag(f)
		}
		b.WriteString(set.FlagUsagesWrapped(100))
	}
}
