package main

import "github.com/spf13/cobra"

func newOracleLUT() *cobra.Command { return &cobra.Command{Use: "lut"} }
