package main

import (
	"io"
	"io/fs"
	"strings"

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

// completeInside completes paths inside images. Other words are left to the
// shell, which knows the files of the host.
func (f *volumeFlags) completeInside(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	cut := strings.LastIndexByte(word, '/') + 1
	if rest, ok := strings.CutPrefix(word, "::"); ok && !strings.Contains(rest, "/") {
		cut = len("::")
	}
	s := &session{ctx: cmd.Context(), flags: f, out: io.Discard, errOut: io.Discard}
	defer s.release()
	l, err := s.parse(word[:cut])
	if err != nil || !l.Inside() {
		return nil, cobra.ShellCompDirectiveDefault
	}
	f.share = true // a look, also at an image that is in use
	p, err := s.place(l, false)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	entries, err := fs.ReadDir(p.FS, p.Path)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []string
	begin := strings.ToLower(word[cut:])
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(strings.ToLower(name), begin) || printable(name) != name {
			continue
		}
		if e.IsDir() {
			name += "/"
		}
		found = append(found, word[:cut]+name)
	}
	return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
