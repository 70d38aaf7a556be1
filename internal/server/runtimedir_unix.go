//go:build unix

package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// fallbackRuntimeDir returns the folder for a user who has no runtime folder.
func fallbackRuntimeDir() string {
	return filepath.Join(os.TempDir(), "fatkit-"+strconv.Itoa(os.Getuid()))
}

// checkPrivate refuses a folder that another user made or may write to: in a
// folder for all, such as /tmp, anybody may take the name first.
func checkPrivate(dir string) error {
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !fi.IsDir() || !ok || int(st.Uid) != os.Getuid() || fi.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s: not a folder of your own with mode 0700: remove it or set XDG_RUNTIME_DIR", dir)
	}
	return nil
}
