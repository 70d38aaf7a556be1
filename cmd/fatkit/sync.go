package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/internal/server"
)

const syncLong = `Ask a running server to carry everything that clients wrote to its disks into the
directories now, and wait until it has. What cannot be carried out is listed with
the reason, and the exit status is 4.

A guest may hold back what it wrote: let it sync or unmount its disk first.

The server is named by a directory that it serves, by its NBD or control
socket, or by an NBD URI; when only one runs it needs no name.`

const syncExample = `  fatkit sync
  fatkit sync photos`

func newSync() *cobra.Command {
	return steering(&cobra.Command{
		Use:     "sync [flags] [DIR|SOCKET|URI]",
		Short:   "bring what guests wrote into the directory now",
		Long:    syncLong,
		Example: syncExample,
		Args:    wantArgs(0, 1, "one directory, socket or URI"),
	}, func(args []string) (string, server.Request) {
		return first(args), server.Request{Command: server.CommandSync}
	}, printSteered, waitingCode)
}

// first returns the first of some arguments, or "".
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// steering completes a command that asks a server for something about
// directories which take writes. request returns which server, and what; show
// prints what became of one, and code is the exit status afterwards.
func steering(cmd *cobra.Command, request func(args []string) (string, server.Request), show func(io.Writer, *server.Steered), code func([]server.Steered) int) *cobra.Command {
	var asJSON bool
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, r := request(args)
		reply, err := askSteer(cmd.Context(), name, r)
		if reply != nil && asJSON {
			if err := printJSON(cmd.OutOrStdout(), reply); err != nil {
				return err
			}
		} else if reply != nil {
			for i := range reply.Steered {
				show(cmd.OutOrStdout(), &reply.Steered[i])
			}
		}
		if err != nil {
			return err
		}
		return exitWith(code(reply.Steered))
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// askSteer finds the server that name means and asks it.
func askSteer(ctx context.Context, name string, r server.Request) (*server.Reply, error) {
	t, err := server.Locate(ctx, name)
	if err != nil {
		return nil, err
	}
	r.Export, r.Source = t.Export, t.Source
	return server.Ask(ctx, t.Status.Control, r)
}

// printSteered says how a directory stands.
func printSteered(w io.Writer, s *server.Steered) {
	if s.Error != "" || s.Status == nil {
		return // the error is printed by itself
	}
	if s.Status.Done() {
		fmt.Fprintf(w, "%s: everything that clients wrote is in it\n", printable(s.Source))
		return
	}
	if s.Status.DryRun {
		fmt.Fprintf(w, "%s: nothing is changed in it: --dry-run\n", printable(s.Source))
		return
	}
	fmt.Fprintf(w, "%s: not everything that clients wrote is in it\n", printable(s.Source))
	printWaiting(w, s.Status)
}

// waitingCode returns exitPending if something waits or is kept aside.
func waitingCode(list []server.Steered) int {
	for _, s := range list {
		if s.Status != nil && !s.Status.Done() {
			return exitPending
		}
	}
	return exitDone
}

// ignoreWaiting is for commands that have nothing to do with what waits.
func ignoreWaiting([]server.Steered) int { return exitDone }
