package vvfat

import (
	"fmt"
)

// Policy says what to do about a file that a disk cannot show.
type Policy uint8

const (
	// Fail stops with an error that names the file and the flag that helps.
	Fail Policy = iota
	// Skip leaves the file out, with a Warning.
	Skip
)

var policyNames = [...]string{"error", "skip"}

func (p Policy) String() string {
	if int(p) < len(policyNames) {
		return policyNames[p]
	}
	return fmt.Sprintf("Policy(%d)", uint8(p))
}

// ParsePolicy returns the policy that a flag names, "error" or "skip".
func ParsePolicy(s string) (Policy, error) {
	for i, name := range policyNames {
		if s == name {
			return Policy(i), nil
		}
	}
	return 0, fmt.Errorf("%q is neither error nor skip", s)
}

// WarningKind says what a [Warning] is about.
type WarningKind string

// The kinds of warnings.
const (
	WarnOutside    WarningKind = "symlink-outside"  // a link leads out of the root; skipped
	WarnDangling   WarningKind = "symlink-dangling" // a link leads nowhere; skipped
	WarnLoop       WarningKind = "symlink-loop"     // a link leads to itself or a directory above it; skipped
	WarnSpecial    WarningKind = "special-file"     // a socket, device or pipe; skipped
	WarnTooLarge   WarningKind = "too-large"        // more than 4 GiB - 1; skipped
	WarnUnreadable WarningKind = "unreadable"       // skipped
	WarnVanished   WarningKind = "vanished"         // removed during the scan; skipped
	WarnName       WarningKind = "name"             // shown under another name
)

// Warning is something of the tree that the disk does not show, or not under
// its own name.
type Warning struct {
	Kind WarningKind
	Path string // slash-separated, relative to the root; bytes as the host has them
	Text string // what was done, and why
}

func (w Warning) String() string { return fmt.Sprintf("%q: %s", w.Path, w.Text) }
