package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// completeChoices teaches the shell the words that flags of cmd and of its verbs
// take.
func completeChoices(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		choice, ok := f.Value.(*choiceValue)
		if !ok {
			return
		}
		err := cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(choice.choices, cobra.ShellCompDirectiveNoFileComp))
		if err != nil {
			panic(err) // two flags of one name
		}
	})
	for _, c := range cmd.Commands() {
		completeChoices(c)
	}
}
