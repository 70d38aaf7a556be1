//go:build !unix

package nbd

import "os"

// pollable returns f: here a Read of a pipe that waits ends with the client.
func pollable(f *os.File) *os.File { return f }
