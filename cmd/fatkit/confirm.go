package main

import (
	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/internal/server"
)

const confirmLong = `Let changes through that a running server holds back: when a guest seems to
destroy its disk, or deletes more files than --max-deletes says, the server stops
changing the directory until somebody has looked. The guest notices nothing.

"fatkit status" says why the server stopped. "fatkit discard" is the other answer.`

const confirmExample = `  fatkit confirm
  fatkit confirm photos`

func newConfirm() *cobra.Command {
	return steering(&cobra.Command{
		Use:     "confirm [flags] [DIR|SOCKET|URI]",
		Short:   "let alarming changes of a guest into the directory",
		Long:    confirmLong,
		Example: confirmExample,
		Args:    wantArgs(0, 1, "one directory, socket or URI"),
	}, func(args []string) (string, server.Request) {
		return first(args), server.Request{Command: server.CommandConfirm}
	}, printSteered, waitingCode)
}
