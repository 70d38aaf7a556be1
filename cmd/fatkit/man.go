package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A manual page is written in the macros of man(7). It holds no date and no
// version, so that it changes when the program's words do and at no other time.

// exitStatus is the section that all pages share.
const exitStatus = `.TP
0
Done.
.TP
1
Findings or differences remain.
.TP
2
The command line makes no sense.
.TP
3
It could not be done.
.TP
4
Done, but something is pending or kept aside.
`

// environment describes the variables that the verbs look at.
const environment = `.TP
XDG_RUNTIME_DIR
The folder in which servers put their sockets, and are found. Without it a
folder of the user in the folder for temporary files is taken.
.TP
XDG_CONFIG_HOME
The folder whose fatkit/drives.toml defines drive letters: a table for each,
such as [a], with image, and if need be partition, offset, format, driver and
read-only. Without it, .config in the user's folder.
.TP
XDG_STATE_HOME
The folder in which what clients write to directories is kept, and the lines
that were entered in the shell, by default ~/.local/state.
.TP
SOURCE_DATE_EPOCH
Seconds since 1970. No time on a disk is later.
.TP
NOTIFY_SOCKET, LISTEN_FDS, LISTEN_PID
Set by systemd: it is told when a server is ready, and may pass the sockets to
serve on.
`

// manPage renders the page of a command.
func manPage(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" fatkit \"fatkit manual\"\n", strings.ToUpper(manName(cmd)))
	section := func(title, body string) {
		if body != "" {
			fmt.Fprintf(&b, ".SH %s\n%s", title, body)
		}
	}
	section("NAME", manName(cmd)+" \\- "+roff(cmd.Short)+"\n")
	section("SYNOPSIS", ".B "+roff(useLine(cmd))+"\n")
	section("DESCRIPTION", manText(cmd.Long))
	section("COMMANDS", manCommands(cmd))
	section("OPTIONS", manFlags(cmd.NonInheritedFlags()))
	section("EXAMPLES", manExamples(cmd.Example))
	section("EXIT STATUS", exitStatusOf(cmd))
	section("ENVIRONMENT", environment)
	section("SEE ALSO", manSeeAlso(cmd))
	return b.String()
}

// exitAnnotation is the annotation of a command whose exit codes are its own:
// the section of its page about them.
const exitAnnotation = "exit status"

// exitStatusOf returns the section about exit codes.
func exitStatusOf(cmd *cobra.Command) string {
	if own := cmd.Annotations[exitAnnotation]; own != "" {
		return own
	}
	return exitStatus
}

// useLine returns the synopsis.
func useLine(cmd *cobra.Command) string {
	if cmd.HasParent() {
		return cmd.Parent().CommandPath() + " " + cmd.Use
	}
	return cmd.Use + " COMMAND ..."
}

// roff escapes text for a line of roff.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`).Replace(s)
	if strings.HasPrefix(s, ".") {
		return `\&` + s
	}
	return s
}

// manText renders paragraphs, which are separated by empty lines. An indented
// paragraph keeps its lines.
func manText(text string) string {
	var b strings.Builder
	for _, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		literal := strings.HasPrefix(p, "  ")
		if literal {
			b.WriteString(".PP\n.RS\n.nf\n")
		} else {
			b.WriteString(".PP\n")
		}
		for _, line := range strings.Split(p, "\n") {
			b.WriteString(roff(strings.TrimSpace(line)) + "\n")
		}
		if literal {
			b.WriteString(".fi\n.RE\n")
		}
	}
	return b.String()
}

// manCommands lists the verbs.
func manCommands(cmd *cobra.Command) string {
	var b strings.Builder
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			fmt.Fprintf(&b, ".TP\n.BR %s (1)\n%s\n", roff(manName(c)), roff(c.Short))
		}
	}
	return b.String()
}

// manFlags lists flags with their values, help and defaults.
func manFlags(fs *pflag.FlagSet) string {
	var b strings.Builder
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		b.WriteString(".TP\n")
		if f.Shorthand != "" {
			fmt.Fprintf(&b, "\\fB%s\\fR, ", roff("-"+f.Shorthand))
		}
		fmt.Fprintf(&b, "\\fB%s\\fR", roff("--"+f.Name))
		if value != "" {
			fmt.Fprintf(&b, " \\fI%s\\fR", roff(value))
		}
		b.WriteString("\n" + roff(usage))
		if !noDefault(f) {
			b.WriteString(roff(" (default " + f.DefValue + ")"))
		}
		b.WriteString("\n")
	})
	return b.String()
}

// noDefault reports whether the default of a flag says nothing.
func noDefault(f *pflag.Flag) bool {
	switch f.DefValue {
	case "", "0", "false", "[]":
		return true
	}
	return false
}

// manExamples renders one command line to a line.
func manExamples(examples string) string {
	var b strings.Builder
	for _, line := range strings.Split(strings.TrimSpace(examples), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(".PP\n.RS\n.nf\n" + roff(line) + "\n.fi\n.RE\n")
		}
	}
	return b.String()
}

// manSeeAlso refers to the other pages.
func manSeeAlso(cmd *cobra.Command) string {
	var names []string
	for _, c := range append([]*cobra.Command{cmd.Root()}, cmd.Root().Commands()...) {
		if c != cmd && !c.Hidden {
			names = append(names, ".BR "+roff(manName(c))+" (1)")
		}
	}
	return strings.Join(names, ",\n") + "\n"
}
