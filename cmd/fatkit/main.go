// Command fatkit turns directories into FAT disks that virtual machines,
// kernels and firmware attach, and the other way round.
//
// Each verb has a file of its own, which declares its flags, calls the
// packages below and prints what they return. What verbs share: values of
// flags (values.go), the flags that describe a disk (diskflags.go), output
// (output.go), the progress bar (progress.go), exit codes (exit.go).
package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
)

// version is set when the program is linked; a build without it takes the
// version of the module.
var version string

func main() { os.Exit(run(context.Background(), arguments(os.Args))) }

// arguments returns the arguments of the command line, which mount(8) writes in
// its own way when it calls the program by the name of a helper.
func arguments(argv []string) []string {
	if slices.Contains(mountHelpers, filepath.Base(argv[0])) {
		return asHelper(argv[1:])
	}
	return argv[1:]
}

// run executes the command line and returns the exit code.
func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return report(cmd, err)
}
