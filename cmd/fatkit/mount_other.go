//go:build !linux

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// errNoMount is the answer of mount and umount where there is no FUSE of Linux.
var errNoMount = errors.New("mounting needs FUSE on Linux: fatkit cp, cat and shell work with images without it")

func (f *mountFlags) run(*cobra.Command, []string, string) error { return errNoMount }

func (f *umountFlags) run(*cobra.Command, []string) error { return errNoMount }
