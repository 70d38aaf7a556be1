package main

import (
	"strings"

	"github.com/spf13/cobra"
)

const rootLong = `fatkit turns directories into disks and disks into directories.

It shows a directory as a FAT12, FAT16 or FAT32 disk to a virtual machine, a
kernel or a firmware, at once and with nothing copied (serve), or writes that
same disk into an image file (build).`

// noSuchVerb refuses arguments of the root, which are mistyped verbs.
func noSuchVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usageError("there is no command %q: is %s meant?", args[0], strings.Join(near, " or "))
	}
	return usageError("there is no command %q", args[0])
}

// newRoot returns the command tree.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "fatkit",
		Short:         "directories as FAT disks, and FAT disks as directories",
		Long:          rootLong,
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
		Args:                       noSuchVerb,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return &exitError{exitUsage, err}
	})
	root.AddCommand(
		newServe(), newBuild(), newMkfs(), newImage(),
		newLs(), newTree(), newCat(), newCp(), newMv(), newRm(), newMkdir(), newTouch(), newAttrib(), newDf(), newDu(), newLabel(), newCheck(), newInfo(), newLayout(),
		newShell(), newMount(), newUmount(),
		newStatus(), newRefresh(), newSync(), newConfirm(), newDiscard(), newTrash(),
		newVersion(), newDocs(root),
	)
	completeChoices(root)
	root.SetHelpCommand(&cobra.Command{Hidden: true})
	return root
}
