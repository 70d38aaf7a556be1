package vvfat

import (
	"fmt"
	"path"
	"strings"
)

// excluder decides which names a scan leaves out.
//
// A pattern is a glob of path.Match. Without a slash it is compared with the
// base name of every file and directory; with a slash, also a leading one,
// with the whole path from the root. A trailing slash makes it match
// directories only and does not count as a slash otherwise. A component **
// stands for any number of directories, also none.
type excluder struct{ patterns []pattern }

type pattern struct {
	parts   []string
	whole   bool // compared with the whole path
	dirOnly bool
}

func newExcluder(globs []string) (*excluder, error) {
	x := new(excluder)
	for _, g := range globs {
		p := pattern{}
		s := g
		if strings.HasSuffix(s, "/") {
			p.dirOnly, s = true, strings.TrimRight(s, "/")
		}
		p.whole = strings.Contains(s, "/")
		p.parts = strings.Split(strings.TrimLeft(s, "/"), "/")
		for _, part := range p.parts {
			if _, err := path.Match(part, ""); err != nil || part == "" {
				return nil, &OptionError{Option: "--exclude", Reason: fmt.Sprintf("%q is not a valid pattern", g)}
			}
		}
		x.patterns = append(x.patterns, p)
	}
	return x, nil
}

// match reports whether the entry name of the directory dir is left out.
func (x *excluder) match(dir string, name []byte, isDir bool) bool {
	if len(x.patterns) == 0 {
		return false
	}
	base := string(name)
	for i := range x.patterns {
		p := &x.patterns[i]
		switch {
		case p.dirOnly && !isDir:
		case !p.whole:
			if ok, _ := path.Match(p.parts[0], base); ok {
				return true
			}
		default:
			full := base
			if dir != "." {
				full = dir + "/" + base
			}
			if matchParts(p.parts, strings.Split(full, "/")) {
				return true
			}
		}
	}
	return false
}

// matchParts matches components. It keeps one place to come back to, the last
// **, so it costs at most len(pattern) times len(name).
func matchParts(pat, name []string) bool {
	p, n, star, mark := 0, 0, -1, 0
	for n < len(name) {
		if p < len(pat) && pat[p] == "**" {
			star, mark = p, n
			p++
			continue
		}
		if p < len(pat) {
			if ok, _ := path.Match(pat[p], name[n]); ok {
				p, n = p+1, n+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, n = star+1, mark
	}
	for p < len(pat) && pat[p] == "**" {
		p++
	}
	return p == len(pat)
}
