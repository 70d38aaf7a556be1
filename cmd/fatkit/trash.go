package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/server"
)

const trashLong = `Look at what guests deleted from the directories that a running server writes to,
put it back, or destroy it.

Deleted files are moved to a trash in the state folder. What the disk still stands
on stays there until the disk begins anew.`

func newTrash() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trash",
		Short: "files that guests deleted",
		Long:  trashLong,
		Args:  noSuchVerb,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTrashList(), newTrashRestore(), newTrashEmpty())
	return cmd
}

func newTrashList() *cobra.Command {
	return steering(&cobra.Command{
		Use:     "list [flags] [DIR|SOCKET|URI]",
		Short:   "list what guests deleted",
		Long:    "List the files in the trash of a running server: when they were deleted, their sizes, their names in the trash, and where they were.",
		Example: "  fatkit trash list",
		Args:    wantArgs(0, 1, "one directory, socket or URI"),
	}, func(args []string) (string, server.Request) {
		return first(args), server.Request{Command: server.CommandTrash}
	}, printTrash, ignoreWaiting)
}

func printTrash(w io.Writer, s *server.Steered) {
	if s.Error == "" && len(s.Trash) == 0 {
		fmt.Fprintf(w, "%s: the trash is empty\n", printable(s.Source))
	}
	for _, t := range s.Trash {
		served := ""
		if t.Served {
			served = " (the disk still stands on it)"
		}
		fmt.Fprintf(w, "%s  %10s  %-8s %s%s\n", t.Time.Local().Format("2006-01-02 15:04:05"), diskerr.FormatBytes(t.Bytes), t.Name, printable(t.Path), served)
	}
}

func newTrashRestore() *cobra.Command {
	return steering(&cobra.Command{
		Use:   "restore [flags] [DIR|SOCKET|URI] NAME",
		Short: "put back what a guest deleted",
		Long: `Put a file from the trash of a running server back into the directory. NAME is its
name in the trash, or the path where it was. If that name is taken, it is put beside.
The guest sees it when its disk begins anew.`,
		Example: "  fatkit trash restore photos cat.jpg",
		Args:    wantArgs(1, 2, "a directory, socket or URI if there are several servers, and a name"),
	}, func(args []string) (string, server.Request) {
		name := args[len(args)-1]
		return first(args[:len(args)-1]), server.Request{Command: server.CommandRestore, Path: name}
	}, func(w io.Writer, s *server.Steered) {
		if s.Restored != "" {
			fmt.Fprintf(w, "%s: restored as %s\n", printable(s.Source), printable(s.Restored))
		}
	}, ignoreWaiting)
}

func newTrashEmpty() *cobra.Command {
	return steering(&cobra.Command{
		Use:     "empty [flags] [DIR|SOCKET|URI]",
		Short:   "destroy what guests deleted",
		Long:    "Destroy the files in the trash of a running server, but for those that the disk still stands on.",
		Example: "  fatkit trash empty",
		Args:    wantArgs(0, 1, "one directory, socket or URI"),
	}, func(args []string) (string, server.Request) {
		return first(args), server.Request{Command: server.CommandEmpty}
	}, func(w io.Writer, s *server.Steered) {
		if s.Error == "" {
			fmt.Fprintf(w, "%s: %s destroyed, %s\n", printable(s.Source), count(s.RemovedFiles, "file", "files"), diskerr.FormatBytes(s.RemovedBytes))
		}
	}, ignoreWaiting)
}
