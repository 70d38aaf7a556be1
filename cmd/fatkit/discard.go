package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/internal/server"
)

const discardLong = `Give up changes of a guest that have not arrived in the directory: those that wait,
and those that a running server holds back. They are not carried out any more,
and what the guest wrote is put away in the state folder. With PATH, slash-separated as
the guest sees it, only what is at that path and below it is given up.

The guest goes on to see its own version until its disk begins anew.

When a PATH is given, the server has to be named, too.`

const discardExample = `  fatkit discard
  fatkit discard photos trip/sea.jpg`

func newDiscard() *cobra.Command {
	return steering(&cobra.Command{
		Use:     "discard [flags] [DIR|SOCKET|URI [PATH]]",
		Short:   "give up changes of a guest that wait",
		Long:    discardLong,
		Example: discardExample,
		Args:    wantArgs(0, 2, "a directory, socket or URI, and a path"),
	}, func(args []string) (string, server.Request) {
		r := server.Request{Command: server.CommandDiscard}
		if len(args) > 1 {
			r.Path = args[1]
		}
		return first(args), r
	}, printDiscarded, waitingCode)
}

func printDiscarded(w io.Writer, s *server.Steered) {
	for _, d := range s.Discarded {
		text := d.Text
		if d.Saved != "" {
			text += "; its contents are " + printable(d.Saved)
		}
		fmt.Fprintf(w, "%s: %s\n", printable(d.Path), text)
	}
	if s.Error == "" && len(s.Discarded) == 0 {
		fmt.Fprintf(w, "%s: nothing waits that could be given up\n", printable(s.Source))
	}
}
