package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/internal/server"
)

const refreshLong = `Ask a running server to look at its directory again and show what is there now:
a new generation of the disk, of the same size and with the same identifiers.

While no client is attached, the new generation begins at once. While one is, its
guest would see a disk that changes under it. So the server makes sure that the
directory can be shown, and begins the new generation when the guest's firmware
reads the first sector again, that is when the guest is reset; the exit status
is 4. With --force it begins at once: use that when the guest does not have the
disk in use, or after it was reset.

The disk of a directory that clients write to begins anew only when their changes
have arrived and the guest has marked the volume clean, as it does when it
unmounts the disk. --archive begins a new one in any case: it moves what has not
arrived into the archive of the state folder. While a client is attached that
needs --force as well.

A directory that no longer fits the disk leaves the old generation as it is.

The server is named by a directory that it serves, by its NBD or control
socket, or by an NBD URI; when only one runs it needs no name.`

const refreshExample = `  fatkit refresh
  fatkit refresh photos
  fatkit refresh --force photos`

func newRefresh() *cobra.Command {
	var force, archive, asJSON bool
	cmd := &cobra.Command{
		Use:     "refresh [flags] [DIR|SOCKET|URI]",
		Short:   "make a running server show its directory anew",
		Long:    refreshLong,
		Example: refreshExample,
		Args:    wantArgs(0, 1, "one directory, socket or URI"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			reply, err := askRefresh(cmd.Context(), name, force, archive)
			if reply != nil && asJSON {
				if err := printJSON(cmd.OutOrStdout(), reply); err != nil {
					return err
				}
			} else if reply != nil {
				printRefresh(cmd.OutOrStdout(), reply.Refresh)
			}
			if err != nil {
				return err
			}
			return exitWith(refreshCode(reply.Refresh))
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "begin at once, also while a client is attached")
	cmd.Flags().BoolVar(&archive, "archive", false, "put away what clients of a writable directory wrote and it does not have")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// askRefresh finds the server that name means and asks it.
func askRefresh(ctx context.Context, name string, force, archive bool) (*server.Reply, error) {
	t, err := server.Locate(ctx, name)
	if err != nil {
		return nil, err
	}
	return server.Ask(ctx, t.Status.Control, server.Request{
		Command: server.CommandRefresh, Export: t.Export, Source: t.Source, Force: force, Archive: archive,
	})
}

// printRefresh says what became of each export.
func printRefresh(w io.Writer, results []server.RefreshResult) {
	for _, r := range results {
		name := "the disk"
		if r.Export != "" {
			name = printable(r.Export)
		}
		switch {
		case r.Failed:
			fmt.Fprintf(w, "%s: generation %d stays\n", name, r.Generation)
		case r.Changed:
			fmt.Fprintf(w, "%s: now generation %d\n", name, r.Generation)
		case r.Pending:
			fmt.Fprintf(w, "%s: a client is attached: the new generation begins when its guest is reset, or at once with --force\n", name)
		default:
			fmt.Fprintf(w, "%s: nothing has changed, still generation %d\n", name, r.Generation)
		}
	}
}

// refreshCode returns exitPending if a generation waits for a reset.
func refreshCode(results []server.RefreshResult) int {
	for _, r := range results {
		if r.Pending {
			return exitPending
		}
	}
	return exitDone
}
