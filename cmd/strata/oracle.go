package main

import "github.com/spf13/cobra"

// newOracle groups what is for programs that ask for costs by the thousand: searches, compilers, co-design.
func newOracle() *cobra.Command {
	c := &cobra.Command{
		Use:   "oracle",
		Short: "The cost oracle for searches: spaces, and tables of operators",
		Long: `The cost oracle answers what strata estimate answers, to programs that ask by the thousand. docs/spaces.md describes
search spaces and look-up tables.`,
	}
	c.AddCommand(newOracleSpace(), newOracleLUT())
	return family(c)
}
