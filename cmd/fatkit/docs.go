package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

//go:generate go run . docs man ../../docs/man

// newDocs returns the hidden verb that writes the manual pages of root.
func newDocs(root *cobra.Command) *cobra.Command {
	docs := &cobra.Command{
		Use: "docs", Hidden: true, Args: noArgs,
		Short: "write the documentation that is generated from the program",
		RunE:  func(*cobra.Command, []string) error { return usageError("docs: write `fatkit docs man DIR`") },
	}
	docs.AddCommand(&cobra.Command{
		Use: "man DIR", Args: wantArgs(1, 1, "the folder for the pages"),
		Short: "write the manual pages into DIR",
		RunE: func(_ *cobra.Command, args []string) error {
			for name, page := range manPages(root) {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(page), 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	})
	return docs
}

// manPages renders the manual page of root and of each verb that is not hidden.
func manPages(root *cobra.Command) map[string]string {
	root.InitDefaultCompletionCmd()
	pages := map[string]string{}
	addManPages(pages, root)
	return pages
}

// addManPages adds the page of cmd and those of its verbs. The verbs of
// completion, which are cobra's, are part of its own page.
func addManPages(pages map[string]string, cmd *cobra.Command) {
	if cmd.Hidden {
		return
	}
	cmd.InitDefaultHelpFlag()
	pages[manName(cmd)+".1"] = manPage(cmd)
	if cmd.Name() == "completion" {
		return
	}
	for _, c := range cmd.Commands() {
		addManPages(pages, c)
	}
}

// manName returns the name of a command's page, such as fatkit-serve.
func manName(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", "-")
}
