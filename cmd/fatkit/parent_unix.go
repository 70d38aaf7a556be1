//go:build unix && !linux

package main

import (
	"context"
	"os"
)

// watchParent calls gone once, when the process that started this one has
// ended, or never if ctx ends first.
func watchParent(ctx context.Context, gone func()) error {
	go pollParent(ctx, os.Getppid(), gone)
	return nil
}
