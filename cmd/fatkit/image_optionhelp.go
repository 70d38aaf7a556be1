package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/stack"
)

// optionHelp says what the options of -o mean.
var optionHelp = []struct{ name, text string }{
	{"size=SIZE", "size of the disk"},
	{"preallocation=KIND", "room that is taken at once: off, falloc or full; for qcow2 also metadata"},
	{"backing_file=FILE", "name of the backing file"},
	{"backing_fmt=FORMAT", "format of the backing file: raw or qcow2"},
	{"cluster_size=SIZE", "512 to 2M, a power of two (default 64K)"},
	{"compat=VERSION", "0.10 (v2) or 1.1 (v3, the default)"},
	{"compression_type=TYPE", "zlib (the default) or zstd"},
	{"extended_l2=on|off", "32 subclusters a cluster, which is 16K at least"},
	{"lazy_refcounts=on|off", "let QEMU put off counting clusters"},
	{"refcount_bits=N", "width of refcounts: 1, 2, 4, 8, 16 (the default), 32 or 64"},
}

// rawOptions is how many of optionHelp a raw image has.
const rawOptions = 2

// isOptionHelp tells whether -o asks which options there are.
func isOptionHelp(lists []string) bool {
	return slices.ContainsFunc(lists, func(s string) bool { return s == "help" || s == "?" })
}

// orOptionHelp is check, unless -o asks for help.
func orOptionHelp(lists *[]string, check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if isOptionHelp(*lists) {
			return nil
		}
		return check(cmd, args)
	}
}

// printOptionHelp lists the options of a format, which may be "".
func printOptionHelp(w io.Writer, format string) error {
	list := optionHelp
	if format == stack.FormatRaw {
		list = list[:rawOptions]
	}
	var err error
	for _, o := range list {
		_, err = fmt.Fprintf(w, "  %-24s %s\n", o.name, o.text)
	}
	return err
}
