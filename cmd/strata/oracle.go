package main

import "github.com/spf13/cobra"

// newOracle groups what is for programs that ask for costs by the thousand: searches, compilers, co-design.
func newOracle() *cobra.Command {
	c := &cobra.Command{
		Use:   "oracle",
		Short: "The cost oracle for searches: over HTTP, search spaces, tables of operators",
		Long: `The cost oracle answers what strata estimate answers, to programs that ask by the thousand: over HTTP, to many
clients at a time. docs/oracle.md describes it, docs/spaces.md search spaces and tables of operators.`,
	}
	c.AddCommand(newOracleServe(), newOracleSpace(), newOracleLUT())
	return family(c)
}
