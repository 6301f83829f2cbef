package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/oracle"
)

func newEstimate() *cobra.Command {
	var problems experiments.Problems
	var how answering
	var cost costFlags
	c := &cobra.Command{
		Use:   "estimate [FILE|-]",
		Short: "Answer requests: JSON Lines in, JSON Lines out",
		Long: `Read estimate requests, one JSON object a line, from FILE or standard input, and answer each with a line
on standard output, in the same order. A line with an array is a batch and gets one array back.

A request that is wrong is answered too, with a status that says so: the exit code is 0 when every line
was answered. docs/estimate.md describes requests and answers.`,
		Example: `strata estimate requests.jsonl > answers.jsonl
echo '{"arch":"a100-sxm-80gb","op":{"kind":"gemm","m":1024,"n":10240,"k":12288}}' | strata estimate`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			in, closeInput, err := requestsFrom(c, args)
			problems.Add(err)
			own, costs := cost.open(c, "", nil)
			if err := problems.Err(); err != nil {
				return err
			}
			defer closeInput()
			options, end, err := how.open(c)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, end()) }()
			if options.Files = true; own != nil {
				options.Costs, options.OwnCostsOnly = own.Coster, costs.Missing == "error"
				defer closeCosts(c, own)
			}
			err = oracle.New(options).Serve(c.Context(), in, c.OutOrStdout())
			if errors.Is(err, context.Canceled) {
				return &failed{exitInterrupted, "interrupted: what was finished is answered"}
			}
			return err
		},
	}
	cost.register(c, &problems)
	how.register(c, &problems)
	return c
}

// requestsFrom opens the input of strata estimate.
func requestsFrom(c *cobra.Command, args []string) (in io.Reader, closeInput func(), err error) {
	if len(args) == 1 && args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return nil, nil, badInput{fmt.Errorf("requests cannot be read: %w", err)}
		}
		if info, err := f.Stat(); err == nil && info.IsDir() {
			f.Close()
			return nil, nil, badInput{fmt.Errorf("requests cannot be read: %s is a folder", args[0])}
		}
		return f, func() { f.Close() }, nil
	}
	in = c.InOrStdin()
	if f, ok := in.(*os.File); ok && len(args) == 0 && isTerminal(f) {
		fmt.Fprintln(c.ErrOrStderr(), `strata: type requests, one JSON object a line, and end with Ctrl-D; or: strata estimate FILE`)
	}
	return in, func() {}, nil
}
