package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vfs/host"
)

// Verbs of the benchmark's own, for what fatkit has no verb for: they show the
// packages alone.
const (
	copyVerb  = "copy-into"    // DIR IMAGE
	checkVerb = "check-volume" // IMAGE
)

// innerVerbs are what the first argument of a process may be.
var innerVerbs = map[string]func(args []string) error{
	memoryVerb: serveMemory,
	copyVerb:   copyInto,
	checkVerb:  checkVolume,
}

// copyInto copies a folder into the root of a volume.
func copyInto(args []string) (err error) {
	if len(args) != 2 {
		return fmt.Errorf("%s DIR IMAGE", copyVerb)
	}
	src, err := host.New(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dev, err := file.Open(args[1], file.Options{Lock: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	v, err := fat.Open(dev, fat.Options{})
	if err != nil {
		return err
	}
	_, err = vfs.Copy(context.Background(), v, ".", src, ".", vfs.CopyOptions{Preserve: true})
	return errors.Join(err, v.Close())
}

// checkVolume checks a volume, and fails if anything is wrong with it.
func checkVolume(args []string) (err error) {
	if len(args) != 1 {
		return fmt.Errorf("%s IMAGE", checkVerb)
	}
	dev, err := file.Open(args[0], file.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	r, err := fat.Check(context.Background(), dev, fat.CheckOptions{})
	if err == nil && !r.Clean() {
		err = fmt.Errorf("found: %+v", r.Findings)
	}
	return err
}

// beInner runs a verb of the benchmark's own and ends the process, if that is
// what the arguments of the process say.
func beInner() {
	if len(os.Args) < 2 || innerVerbs[os.Args[1]] == nil {
		return
	}
	if err := innerVerbs[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, strings.TrimSpace(err.Error()))
		os.Exit(1)
	}
	os.Exit(0)
}
