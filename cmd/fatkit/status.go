package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/server"
	"github.com/fatkit/fatkit/stack"
)

const statusLong = `Show what running servers of yours serve: disks, clients, generations, and
what stands in the way of the next one.

Without an argument all servers are shown. One server is named by a directory
that it serves, by its NBD or control socket, or by an NBD URI.`

const statusExample = `  fatkit status
  fatkit status photos
  fatkit status --json
  fatkit status --watch photos`

func newStatus() *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:     "status [flags] [DIR|SOCKET|URI]",
		Short:   "show running servers",
		Long:    statusLong,
		Example: statusExample,
		Args:    wantArgs(0, 1, "one directory, socket or URI"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if watch {
				ctx, _, release := untilSignal(cmd.Context())
				defer release()
				return watchStatus(ctx, cmd.OutOrStdout(), args, asJSON)
			}
			return showStatus(cmd.Context(), cmd.OutOrStdout(), args, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: a list of servers")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it again each second, until Ctrl-C or until no server runs")
	return cmd
}

// showStatus shows the servers that args name, or all.
func showStatus(ctx context.Context, w io.Writer, args []string, asJSON bool) error {
	servers, err := findServers(ctx, args)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(w, servers)
	}
	if len(servers) == 0 {
		fmt.Fprintln(w, "No server of yours is running.")
	}
	for _, s := range servers {
		printStatus(w, s, time.Now())
	}
	return nil
}

// watchEvery is how often a watched status is shown.
const watchEvery = time.Second

// clearScreen makes a terminal forget what it shows (ECMA-48: ED 2 and CUP).
const clearScreen = "\x1b[2J\x1b[H"

// watchStatus shows the status again and again, on a terminal in the same place,
// else only when it differs. It ends with ctx, or when the servers are gone.
func watchStatus(ctx context.Context, w io.Writer, args []string, asJSON bool) error {
	last := ""
	for first := true; ; first = false {
		var text strings.Builder
		err := showStatus(ctx, &text, args, asJSON)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !first:
			fmt.Fprintln(w, "The server has ended.")
			return nil
		case err != nil:
			return err
		}
		if isTerminal(w) {
			fmt.Fprint(w, clearScreen, text.String())
		} else if text.String() != last {
			fmt.Fprint(w, text.String())
		}
		last = text.String()
		if servers, err := findServers(ctx, args); err == nil && len(servers) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchEvery):
		}
	}
}

// findServers returns the server that an argument names, or all.
func findServers(ctx context.Context, args []string) ([]server.Status, error) {
	if len(args) == 0 {
		servers, err := server.Find(ctx)
		if servers == nil {
			servers = []server.Status{} // a list in JSON, too
		}
		return servers, err
	}
	t, err := server.Locate(ctx, args[0])
	if err != nil {
		return nil, err
	}
	return []server.Status{t.Status}, nil
}

// printStatus describes a server to people.
func printStatus(w io.Writer, s server.Status, now time.Time) {
	fmt.Fprintf(w, "Server %d, running for %s\n", s.PID, roundTime(now.Sub(s.Started)))
	for _, e := range s.Exports {
		printExport(w, e, now)
	}
}

func printExport(w io.Writer, e server.ExportStatus, now time.Time) {
	line := func(key, format string, args ...any) {
		fmt.Fprintf(w, "    %-11s %s\n", key, fmt.Sprintf(format, args...))
	}
	g := e.Generation
	fmt.Fprintf(w, "  %s\n", printable(e.Source))
	for _, uri := range e.URIs {
		line("uri", "%s", uri)
	}
	if g.Image != nil {
		line("disk", "%s, %s", imageText(e), access(e))
	} else {
		line("disk", "%s on %s, clusters of %s, label %q", g.Type, diskSize(e), diskerr.FormatBytes(int64(g.ClusterBytes)), g.Label)
		line("contents", "%s in %s, %s", count(g.Files, "file", "files"), count(g.Directories, "directory", "directories"), diskerr.FormatBytes(g.FileBytes))
		if g.Warnings > 0 {
			line("", "%d shown otherwise or not at all", g.Warnings)
		}
		line("generation", "%d, of %s ago; refresh: %s", g.Number, roundTime(now.Sub(g.Scanned)), refreshText(e))
	}
	line("clients", "%s", clientsText(e))
	line("traffic", "%s", trafficText(e))
	if e.Writing != nil {
		printWriting(line, e.Writing, now)
	}
	if e.Changed > 0 {
		line("changed", "reads of %s fail since then: %s; a new generation shows them", count(e.Changed, "host file", "host files"), exampleText(e))
	}
	if e.Failure != nil {
		line("no new generation", "%s ago: %s", roundTime(now.Sub(e.Failure.Time)), printable(oneLine(e.Failure.Message)))
	}
}

// printWriting says how far what clients wrote has come.
func printWriting(line func(key, format string, args ...any), s *stack.WriteStatus, now time.Time) {
	state := "everything that clients wrote is in the directory"
	switch {
	case s.DryRun:
		state = "nothing is changed in the directory: --dry-run"
	case s.Suspended != "":
		state = "suspended: " + printable(oneLine(s.Suspended))
	case s.PendingCount > 0:
		state = count(s.PendingCount, "object waits", "objects wait")
	case s.Unsynced:
		state = "something new will be looked at soon"
	}
	line("writing", "%s", state)
	if s.Commits > 0 {
		line("", "%s, %s in %s; the last %s ago, %s", count(int(s.ChangedFiles), "file changed", "files changed"),
			diskerr.FormatBytes(int64(s.CommittedBytes)), count(int(s.Commits), "commit", "commits"), roundTime(now.Sub(s.LastCommit)), lastCommitText(s))
	}
	limit := ""
	if s.OverlayLimitBytes > 0 {
		limit = " of at most " + diskerr.FormatBytes(s.OverlayLimitBytes)
	}
	line("overlay", "%s%s in %s", diskerr.FormatBytes(s.OverlayBytes), limit, printable(s.StateDir))
	if s.TrashFiles > 0 {
		line("trash", "%s, %s", count(s.TrashFiles, "file", "files"), diskerr.FormatBytes(s.TrashBytes))
	}
	if s.Refusing != "" {
		line("refused", "clients of other machines: %s", s.Refusing)
	}
	var list strings.Builder
	listed := *s
	listed.Suspended = ""
	printWaiting(&list, &listed)
	for _, k := range s.Kept {
		fmt.Fprintf(&list, "  kept aside: %s: %s\n", printable(k.Path), k.Reason)
	}
	for _, text := range strings.Split(strings.TrimSuffix(list.String(), "\n"), "\n") {
		if text != "" {
			line("", "%s", strings.TrimSpace(text))
		}
	}
}

// lastCommitText says how fast the last commit was.
func lastCommitText(s *stack.WriteStatus) string {
	text := fmt.Sprintf("%s in %s", diskerr.FormatBytes(s.LastCommitBytes), roundTime(s.LastCommitTime))
	if seconds := s.LastCommitTime.Seconds(); s.LastCommitBytes >= 1<<20 && seconds > 0 {
		text += fmt.Sprintf(", %s/s", diskerr.FormatBytes(int64(float64(s.LastCommitBytes)/seconds)))
	}
	return text
}

// refreshText says when the next generation may begin.
func refreshText(e server.ExportStatus) string {
	text := e.Refresh
	if e.OnBootRead {
		text += ", boot-read"
	}
	if e.Pending {
		text += "; one is due when the guest is reset"
	}
	return text
}

func clientsText(e server.ExportStatus) string {
	text := fmt.Sprintf("%d now, %d ever", e.Clients, e.Traffic.Connections)
	if e.Lost > 0 {
		text += fmt.Sprintf(", %d lost that may come back and keep the generation", e.Lost)
	}
	return text
}

func trafficText(e server.ExportStatus) string {
	t := e.Traffic
	text := fmt.Sprintf("%d requests, %s read", t.Requests, diskerr.FormatBytes(int64(t.BytesRead)))
	if !e.ReadOnly {
		text += fmt.Sprintf(", %s written", diskerr.FormatBytes(int64(t.BytesWritten)))
	}
	return text + ", " + count(int(t.Errors), "error", "errors")
}

func exampleText(e server.ExportStatus) string {
	var names []string
	for _, name := range e.Examples {
		names = append(names, printable(name))
	}
	if e.Changed > len(names) {
		names = append(names, "...")
	}
	return strings.Join(names, ", ")
}

// roundTime drops what nobody reads: 3h12m0s, 41s, 350ms.
func roundTime(d time.Duration) time.Duration {
	switch {
	case d > time.Hour:
		return d.Round(time.Minute)
	case d > time.Second:
		return d.Round(time.Second)
	default:
		return d.Round(time.Millisecond)
	}
}
