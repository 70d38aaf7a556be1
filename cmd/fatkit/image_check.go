package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/qcow2"
	"github.com/fatkit/fatkit/stack"
)

const imageCheckLong = `Examine the metadata of a qcow2 image: tables, refcounts, flags, snapshots and
bitmaps. Nothing is changed without --repair, and no other file is opened.

--repair leaks frees clusters that are counted and not used. --repair all also
corrects refcounts and flags, and clears entries that point nowhere, by which
data may be lost that nobody could read any more.`

const imageCheckExit = `.TP
0
The image is clean, or everything was repaired.
.TP
1
The check could not run.
.TP
2
Corruptions remain; or the command line makes no sense.
.TP
3
Leaked clusters remain, and nothing worse.
.TP
63
The format of the image has nothing to check.
`

// Exit codes of image check, which are qemu-img's.
const (
	exitCheckFailed      = 1
	exitCheckUnsupported = 63
)

// checkFlags are the flags of image check.
type checkFlags struct {
	in     inputFlags
	out    outputFlags
	repair string
	quiet  bool
}

func newImageCheck() *cobra.Command {
	f := checkFlags{}
	cmd := &cobra.Command{
		Use:         "check [flags] IMAGE",
		Short:       "check a qcow2 image, and repair it",
		Long:        imageCheckLong,
		Example:     "  fatkit image check disk.qcow2\n  fatkit image check -r all disk.qcow2",
		Annotations: map[string]string{exitAnnotation: imageCheckExit},
		Args:        wantArgs(1, 1, "one image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, _, release := untilSignal(cmd.Context())
			defer release()
			report, err := f.check(ctx, args[0])
			if err != nil {
				return checkError(err)
			}
			if err := f.print(cmd.OutOrStdout(), args[0], report); err != nil {
				return checkError(err)
			}
			return exitWith(report.ExitCode())
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	f.in.register(fs)
	fs.VarP(&choiceValue{word: &f.repair, choices: []string{"leaks", "all"}}, "repair", "r", "repair what is found")
	f.out.register(fs)
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "print nothing for people; the exit code tells")
	return cmd
}

// checkError gives an error the exit code that qemu-img has for it, unless it
// has one already.
func checkError(err error) error {
	if exit := (*exitError)(nil); errors.As(err, &exit) {
		return err
	}
	if option := (*stack.OptionError)(nil); errors.As(err, &option) {
		return err
	}
	return &exitError{exitCheckFailed, err}
}

// check examines or repairs the image name.
func (f *checkFlags) check(ctx context.Context, name string) (*qcow2.Report, error) {
	dev, format, err := f.in.openMedium(ctx, name, f.repair != "")
	if err != nil {
		return nil, err
	}
	if format != stack.FormatQcow2 {
		err := fmt.Errorf("%s: a %s image has nothing to check", name, format)
		return nil, &exitError{exitCheckUnsupported, errors.Join(err, dev.Close())}
	}
	var report *qcow2.Report
	switch f.repair {
	case "leaks":
		report, err = qcow2.Repair(ctx, dev, qcow2.RepairLeaks)
	case "all":
		report, err = qcow2.Repair(ctx, dev, qcow2.RepairAll)
	default:
		report, err = qcow2.Check(ctx, dev)
	}
	if err = errors.Join(err, dev.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return report, nil
}

// print writes the report.
func (f *checkFlags) print(w io.Writer, name string, r *qcow2.Report) error {
	return f.out.print(w, r.JSON(name), func(w io.Writer) error {
		if f.quiet {
			return nil
		}
		return printCheck(w, r)
	})
}

// printCheck writes the report for people.
func printCheck(w io.Writer, r *qcow2.Report) error {
	for _, finding := range r.Findings {
		state := ""
		if finding.Repaired {
			state = " (repaired)"
		}
		fmt.Fprintf(w, "%s: %s%s\n", finding.Severity, printable(finding.Message), state)
	}
	if n := r.CorruptionsFixed + r.LeaksFixed; n > 0 {
		fmt.Fprintf(w, "repaired: %d corruptions, %d leaked clusters\n", r.CorruptionsFixed, r.LeaksFixed)
	}
	if r.Clean() {
		fmt.Fprintln(w, "No errors were found on the image.")
	} else {
		fmt.Fprintf(w, "remaining: %d corruptions, %d overlaps, %d leaked clusters\n", r.Corruptions, r.Overlaps, r.Leaks)
	}
	_, err := fmt.Fprintf(w, "%d of %d clusters allocated, %d compressed, %d fragmented; the image ends at %d\n",
		r.AllocatedClusters, r.TotalClusters, r.CompressedClusters, r.FragmentedClusters, r.ImageEndBytes)
	return err
}
