package main

import "github.com/spf13/cobra"

// newOracle is the group of what belongs to the cost oracle beside strata estimate.
func newOracle() *cobra.Command {
	c := &cobra.Command{
		Use:   "oracle",
		Short: "The cost oracle for searches: over HTTP, spaces, tables of operators",
		Long: `The cost oracle answers what strata estimate answers, to programs that ask by the thousand: over HTTP, to many
clients at a time. docs/oracle.md describes it, docs/spaces.md search spaces and look-up tables.`,
	}
	c.AddCommand(newOracleServe(), newOracleSpace(), newOracleLUT())
	return family(c)
}
