package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/internal/shell"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/stack/drivers"
)

const shellLong = `A shell with drive letters over disk images, directories, archives and NBD servers,
with the commands that people know from DOS, and their Unix names as aliases.

DRIVE is LETTER:=NAME, or a path such as /mnt/x=NAME, where NAME is an image, a
block device, a zip or tar archive, a directory, or the URI of an NBD server. Options
follow with commas: partition=N, offset=BYTES, format=raw|qcow2, driver=NAME, ro, rw.
Without partition= or offset=, the only FAT volume of the image is taken; an image
that holds none shows as one file. NAME alone gets the next letter from C on. Volumes are
read-only unless --rw is given. The drives that the configuration defines (--drive, and
drives.toml in the folder fatkit of the user's configuration) are there as well.

Without --command and --script, commands are read from standard input; on a terminal
lines can be edited, Tab completes commands and paths, the arrow keys find earlier lines, and
long output stops at each screen. help lists the commands, help COMMAND explains one.

    a:                    make A the default drive
    dir c:\sub /s         a directory with all below; ls, ls -l
    copy *.txt c:\        copy, cp; xcopy /s, move, ren, del, md, rd, attrib
    type f | find "x"     redirections and pipes
    mount b: x.img        more drives; umount, subst, df, vol, label, chkdsk, format

The exit status is 3 if the last command failed, and 1 if it found nothing or
differences; with --stop-on-error the first such command ends the shell.`

const shellExample = `  fatkit shell a:=floppy.img c:=disk.qcow2 d:=./dir
  fatkit shell --rw a:=floppy.img -c 'copy a:\*.txt a:\backup\'
  fatkit shell --script install.txt --stop-on-error --rw c:=disk.qcow2 d:=./dir`

func newShell() *cobra.Command {
	f := shellFlags{zone: time.Local}
	cmd := &cobra.Command{
		Use:     "shell [flags] [DRIVE...]",
		Short:   "work with images and directories under drive letters",
		Long:    shellLong,
		Example: shellExample,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), cmd, args)
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.rw, "rw", false, "open volumes for writing")
	fs.StringArrayVarP(&f.commands, "command", "c", nil, "carry out `LINE` instead of reading standard input (repeatable)")
	fs.StringVar(&f.script, "script", "", "carry out the lines of `FILE`; - is standard input")
	fs.BoolVar(&f.stop, "stop-on-error", false, "end at the first command that fails")
	fs.IntVar(&f.codePage, "codepage", 0, "code page `N` of short names (default 437)")
	fs.Var(&zoneValue{zone: &f.zone}, "timezone", "zone of the times on FAT volumes: local, utc or ±hh:mm (default local)")
	f.drives.register(fs)
	return cmd
}

// shellFlags are the flags of shell.
type shellFlags struct {
	rw       bool
	commands []string
	script   string
	stop     bool
	codePage int
	zone     *time.Location
	drives   driveFlags
}

// run runs the shell.
func (f *shellFlags) run(ctx context.Context, cmd *cobra.Command, args []string) (err error) {
	o := shell.Options{
		In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr(), Writable: f.rw, StopOnError: f.stop,
		Drivers: drivers.Options{CodePage: f.codePage, Location: f.zone},
	}
	switch {
	case f.script != "" && len(f.commands) > 0:
		return usageError("--script and --command both say what to do: give one of them")
	case len(f.commands) > 0:
		o.In = strings.NewReader(strings.Join(f.commands, "\n") + "\n")
	case f.script != "" && f.script != "-":
		script, err := os.Open(f.script)
		if err != nil {
			return err
		}
		defer script.Close()
		o.In = script
	case f.script == "" && isTerminal(o.In) && isTerminal(o.Out):
		o.Terminal, o.History = os.Stdin, historyFile()
		o.Progress = func(what string) shell.Progress { return shellBar{newProgressBar(o.Out, what, false)} }
	}
	list, err := f.list(args)
	if err != nil {
		return err
	}
	s := shell.New(o)
	defer func() { err = errors.Join(err, s.Close()) }()
	if o.Terminal == nil { // on a terminal an interrupt ends a command alone
		var release func()
		ctx, _, release = untilSignal(ctx)
		defer release()
	}
	for _, d := range list {
		if err := s.Mount(ctx, d); err != nil {
			if pe := (*fs.PathError)(nil); errors.As(err, &pe) && pe.Op == "mount" {
				err = fmt.Errorf("drive %s: %w", strings.TrimSuffix(pe.Path, ":"), pe.Err)
			}
			return err
		}
	}
	if o.Terminal != nil {
		io.WriteString(o.Out, "help lists the commands, exit leaves\n")
	}
	return shellStatus(s.Run(ctx))
}

// shellBar is a progress bar of the shell.
type shellBar struct{ bar *progressBar }

// Update implements shell.Progress.
func (b shellBar) Update(doneBytes, totalBytes int64) { b.bar.update(doneBytes, totalBytes) }

// Finish implements shell.Progress.
func (b shellBar) Finish() { b.bar.finish() }

// shellStatus turns the end of a shell into an exit code.
func shellStatus(err error) error {
	var status *shell.StatusError
	switch {
	case !errors.As(err, &status):
		return err
	case status.Failed:
		return exitWith(exitFailed)
	}
	return exitWith(exitFindings)
}

// list returns the drives of the operands, and those of the configuration whose
// letters they leave free.
func (f *shellFlags) list(args []string) ([]stack.DriveSpec, error) {
	table, err := f.drives.table()
	if err != nil {
		return nil, err
	}
	var list []stack.DriveSpec
	taken := map[byte]bool{}
	for letter := range table {
		taken[letter] = true
	}
	for _, arg := range args {
		d, err := stack.ParseDrive(arg)
		if err != nil && !strings.Contains(arg, "=") {
			d, err = nextDrive(arg, taken)
		}
		if err != nil {
			return nil, &exitError{exitUsage, err}
		}
		taken[d.Letter] = true
		delete(table, d.Letter)
		list = append(list, d)
	}
	for letter := byte('A'); letter <= 'Z'; letter++ {
		if d, ok := table[letter]; ok {
			list = append(list, d)
		}
	}
	return list, nil
}

// nextDrive gives a name the first letter from C on that is free.
func nextDrive(name string, taken map[byte]bool) (stack.DriveSpec, error) {
	for letter := byte('C'); letter <= 'Z'; letter++ {
		if !taken[letter] {
			return stack.ParseDrive(string(letter) + "=" + name)
		}
	}
	return stack.DriveSpec{}, errors.New("no drive letter is left")
}

// historyFile returns where the lines that a person enters are kept, or "".
func historyFile() string {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".local", "state")
	}
	dir = filepath.Join(dir, "fatkit")
	if os.MkdirAll(dir, 0o700) != nil {
		return ""
	}
	return filepath.Join(dir, "history")
}
