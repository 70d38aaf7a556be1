package stack

import (
	"fmt"
	"os"
	"strings"
)

// Kind says what a name stands for.
type Kind uint8

const (
	// KindDirectory is a directory, shown as a FAT disk.
	KindDirectory Kind = iota
	// KindImage is a disk in a file, on a block device or on an NBD server.
	KindImage
)

// KindOf says what name stands for. A path that does not exist is an error.
// One that looks like another form of name is written with "./" in front.
func KindOf(name string) (Kind, error) {
	switch {
	case IsFatName(name):
		return KindDirectory, nil
	case IsURI(name):
		return KindImage, checkScheme(name)
	}
	fi, err := os.Stat(name)
	if err != nil {
		return 0, pathError("open", name, err)
	}
	if fi.IsDir() {
		return KindDirectory, nil
	}
	return KindImage, nil
}

// IsURI reports whether a name is a URI: a scheme and "://" (RFC 3986,
// section 3.1 "Scheme").
func IsURI(name string) bool {
	scheme, _, found := strings.Cut(name, "://")
	if !found || scheme == "" || !isLetter(scheme[0]) {
		return false
	}
	return strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.") == ""
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// checkScheme refuses URIs of anything but NBD.
func checkScheme(uri string) error {
	scheme, _, _ := strings.Cut(uri, "://")
	switch scheme {
	case "nbd", "nbds", "nbd+unix", "nbds+unix":
		return nil
	}
	return fmt.Errorf("%s: a URI of an image begins with nbd, nbds, nbd+unix or nbds+unix, not %s", uri, scheme)
}
