package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vvfat"
)

// Exit codes, the same for every verb.
const (
	exitDone     = 0 // done
	exitFindings = 1 // findings or differences remain
	exitUsage    = 2 // the command line makes no sense
	exitFailed   = 3 // it could not be done
	exitPending  = 4 // done, but something is pending or kept aside
)

// exitError ends the program with a code. With a nil error nothing is printed:
// the verb has said what there is to say.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageError says that the command line makes no sense.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// exitWith ends the program quietly with a code.
func exitWith(code int) error {
	if code == exitDone {
		return nil
	}
	return &exitError{code: code}
}

// report prints err in one line and returns the exit code for it.
func report(cmd *cobra.Command, err error) int {
	if err == nil {
		return exitDone
	}
	code, exit := exitFailed, (*exitError)(nil)
	if errors.As(err, &exit) {
		if code = exit.code; exit.err == nil {
			return code
		}
	}
	mistake, imageMistake := (*vvfat.OptionError)(nil), (*stack.OptionError)(nil)
	plan := (*fatfmt.PlanError)(nil)
	if errors.As(err, &mistake) || errors.As(err, &imageMistake) || errors.As(err, &plan) && !plan.Size {
		code = exitUsage
	}
	if errors.Is(err, context.Canceled) {
		partial := (*vfs.PartialError)(nil)
		if err, partial = errors.New("interrupted"), asPartial(err); partial != nil {
			err = &vfs.PartialError{Name: partial.Name, Err: err}
		}
	}
	fmt.Fprintln(os.Stderr, "fatkit: "+printable(oneLine(err.Error())))
	if code == exitUsage && cmd != nil {
		fmt.Fprintf(os.Stderr, "Try '%s --help'.\n", cmd.CommandPath())
	}
	return code
}

// asPartial returns the part of an error that is about a file which a copy has
// left incomplete, or nil.
func asPartial(err error) (partial *vfs.PartialError) {
	errors.As(err, &partial)
	return partial
}

// oneLine joins the lines of joined errors.
func oneLine(s string) string {
	return strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ")
}

// noArgs, exactArgs and atLeast are cobra's checks with our exit code.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError("%s takes no argument: %q", cmd.Name(), args[0])
	}
	return nil
}

// wantArgs returns a check for least to most arguments; what names them.
func wantArgs(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usageError("%s needs %s", cmd.Name(), what)
		case most >= 0 && len(args) > most:
			return usageError("%s takes %s: what is %q?", cmd.Name(), what, args[most])
		}
		return nil
	}
}
