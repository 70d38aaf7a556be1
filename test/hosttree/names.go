package hosttree

import (
	"fmt"
	"hash/fnv"
	"path"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/fatkit/fatkit/test/tools"
)

// The documented mapping of names: a character U+F000+b stands for the byte b
// of the host's name. A name that is too long, or that differs from another in
// case alone, ends in "~" and eight hexadecimal digits before its extension,
// the FNV-1a hash of the host's name, and a number that counts up from 1 after
// a slash should that be taken.

const (
	privateFirst = 0xF000
	privateLast  = 0xF0FF
	maxTries     = 4 // numbers tried in distinct names
)

var distinct = regexp.MustCompile(`(?s)^(.*)~([0-9a-f]{8})(\.[^.]*)?$`)

// undo returns the host's name of a name on the disk, for names that are not
// distinct ones.
func undo(name string) string {
	var b []byte
	for _, r := range name {
		if r >= privateFirst && r <= privateLast {
			b = append(b, byte(r-privateFirst))
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}

// isDistinct tells whether name is a distinct name of host.
func isDistinct(name, host string) bool {
	m := distinct.FindStringSubmatch(name)
	if m == nil || !strings.HasPrefix(host, undo(m[1])) || !strings.HasSuffix(host, undo(m[3])) {
		return false
	}
	for try := range maxTries {
		h := fnv.New32a()
		h.Write([]byte(host))
		if try > 0 {
			fmt.Fprintf(h, "/%d", try)
		}
		if fmt.Sprintf("%08x", h.Sum32()) == m[2] {
			return true
		}
	}
	return false
}

// DiskNames matches the paths on a disk with those of the host and returns the
// function from the latter to the former. Every path must have exactly one
// counterpart.
func DiskNames(t tools.T, disk []string, host map[string]File) func(string) string {
	t.Helper()
	onDisk := byFolder(disk)
	var paths []string
	for p := range host {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	onHost := byFolder(paths)
	names := map[string]string{"": ""}
	var match func(hostDir, diskDir string)
	match = func(hostDir, diskDir string) {
		left := map[string]bool{}
		for _, h := range onHost[hostDir] {
			left[h] = true
		}
		var late []string
		for _, d := range onDisk[diskDir] {
			if h := undo(d); left[h] {
				names[path.Join(hostDir, h)] = path.Join(diskDir, d)
				delete(left, h)
			} else {
				late = append(late, d)
			}
		}
		for _, d := range late {
			h, ok := findDistinct(d, left)
			if !ok {
				t.Errorf("%q on the disk stands for no name in %q of the host", path.Join(diskDir, d), hostDir)
				continue
			}
			names[path.Join(hostDir, h)] = path.Join(diskDir, d)
			delete(left, h)
		}
		for _, h := range onHost[hostDir] {
			p := path.Join(hostDir, h)
			if left[h] {
				t.Errorf("%q of the host has no name on the disk", p)
			} else if host[p].Dir {
				match(p, names[p])
			}
		}
	}
	match("", "")
	return func(p string) string { return names[p] }
}

// findDistinct returns the one of the host's names that d is a distinct name
// of.
func findDistinct(d string, hosts map[string]bool) (string, bool) {
	for h := range hosts {
		if isDistinct(d, h) {
			return h, true
		}
	}
	return "", false
}

// byFolder groups the last elements of paths by what is before them.
func byFolder(paths []string) map[string][]string {
	m := map[string][]string{}
	for _, p := range paths {
		dir, name := path.Split(p)
		dir = strings.TrimSuffix(dir, "/")
		m[dir] = append(m[dir], name)
	}
	return m
}
