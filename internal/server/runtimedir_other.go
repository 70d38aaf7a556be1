//go:build !unix

package server

import (
	"os"
	"path/filepath"
)

// fallbackRuntimeDir returns the folder for a user who has no runtime folder.
// The user's cache folder is private to the user by inheritance.
func fallbackRuntimeDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "fatkit", "run")
}

// checkPrivate trusts the permissions that the folder inherits.
func checkPrivate(dir string) error {
	_, err := os.Lstat(dir)
	return err
}
