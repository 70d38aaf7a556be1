//go:build !linux

package vvfat

import "os"

// hasHoles reports whether holes are worth looking for.
func hasHoles(*os.File) bool { return false }

// nextData returns where the next data from off on begins and where it ends:
// all is data.
func nextData(_ *os.File, off, end int64) (data, hole int64) { return off, end }
