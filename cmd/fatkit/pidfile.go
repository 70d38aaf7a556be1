package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// writePIDFile writes the number of this process to path, whole or not at all,
// and returns what removes it.
func writePIDFile(path string) (remove func(), err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".fatkit-pid-*")
	if err != nil {
		return nil, fmt.Errorf("--pid-file: %w", err)
	}
	_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	if err == nil {
		err = f.Chmod(0o644)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return nil, fmt.Errorf("--pid-file: %w", err)
	}
	return func() { os.Remove(path) }, nil
}
