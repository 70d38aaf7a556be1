package main

import (
	"github.com/spf13/cobra"
)

const umountLong = `End mounts that "fatkit mount" made, and return when everything that was written to
them is on the disk and the program behind each has ended.

A mount that is in use, because a file in it is open or it is the working directory
of a program, is an error. With --lazy it disappears from the tree at once and ends
with its last use; if that is still to come, the exit status is 4. With --force, for
root, whoever uses it gets errors from then on. A mount whose program was killed is
cleaned up in any case. umount(8) ends mounts as well, but does not wait.`

const umountExample = `  fatkit umount mnt`

// umountFlags are the flags of umount.
type umountFlags struct {
	lazy  bool
	force bool
}

func newUmount() *cobra.Command {
	f := umountFlags{}
	cmd := &cobra.Command{
		Use:     "umount [flags] MNT...",
		Aliases: []string{"unmount"},
		Short:   "end mounts, when everything is on the disk",
		Long:    umountLong,
		Example: umountExample,
		Args:    wantArgs(1, -1, "a directory that something is mounted on"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args)
		},
	}
	fs := cmd.Flags()
	fs.BoolVarP(&f.lazy, "lazy", "l", false, "take a mount out of the tree although it is in use")
	fs.BoolVarP(&f.force, "force", "f", false, "end the connection to the program behind a mount, for root")
	return cmd
}
