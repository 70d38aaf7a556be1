package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// findTimeout bounds the wait for one server's answer.
const findTimeout = 5 * time.Second

// staleAfter is how old a control socket that nobody answers must be before
// its folder is removed. A younger one may belong to a server that is starting.
const staleAfter = 10 * time.Second

// Find returns the status of each of the user's running servers, the oldest
// first.
func Find(ctx context.Context) ([]Status, error) {
	base := runtimeDir()
	entries, err := os.ReadDir(base)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var found []Status
	for _, entry := range entries {
		s, err := askStatus(ctx, filepath.Join(base, entry.Name(), controlSocketName))
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil:
			found = append(found, *s)
		}
	}
	slices.SortFunc(found, func(a, b Status) int { return a.Started.Compare(b.Started) })
	return found, nil
}

func askStatus(ctx context.Context, path string) (*Status, error) {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	reply, err := Ask(ctx, path, Request{Command: CommandStatus})
	if err != nil {
		return nil, err
	}
	if reply.Status == nil {
		return nil, fmt.Errorf("%s: the answer holds no status", path)
	}
	return reply.Status, nil
}

// removeStale removes the folders of servers that were killed.
func removeStale(base string) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return
	}
	for _, entry := range entries {
		dir := RuntimeDir{filepath.Join(base, entry.Name())}
		fi, err := os.Lstat(dir.ControlSocket())
		if err != nil || time.Since(fi.ModTime()) < staleAfter {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), findTimeout)
		if _, err := askStatus(ctx, dir.ControlSocket()); errors.Is(err, syscall.ECONNREFUSED) {
			dir.Remove()
		}
		cancel()
	}
}

// Target is what a person named: a server, and the exports of it that are meant.
type Target struct {
	Status Status
	Source string // exports of this source only, if not empty
	Export *string
}

// Locate returns the server that name means: a served directory, a socket
// (the server's NBD or control socket) or an NBD URI. The empty name means
// the only server that runs.
func Locate(ctx context.Context, name string) (Target, error) {
	servers, err := Find(ctx)
	if err != nil {
		return Target{}, err
	}
	if name == "" {
		return onlyOne(servers)
	}
	var matches []Target
	for _, s := range servers {
		if t, ok := match(s, name); ok {
			matches = append(matches, t)
		}
	}
	switch len(matches) {
	case 0:
	case 1:
		return matches[0], nil
	default:
		return Target{}, fmt.Errorf("%s: %d servers show it: name one by its socket:%s", name, len(matches), listing(targetStatuses(matches)))
	}
	if fi, err := os.Stat(name); err == nil && fi.Mode()&os.ModeSocket != 0 {
		if s, err := askStatus(ctx, name); err == nil {
			return Target{Status: *s}, nil
		}
	}
	if len(servers) == 0 {
		return Target{}, fmt.Errorf("%s: no server of yours is running", name)
	}
	return Target{}, fmt.Errorf("%s: no server of yours shows it; running:%s", name, listing(servers))
}

func onlyOne(servers []Status) (Target, error) {
	switch len(servers) {
	case 0:
		return Target{}, errors.New("no server of yours is running: start one with `fatkit serve DIR`")
	case 1:
		return Target{Status: servers[0]}, nil
	default:
		return Target{}, fmt.Errorf("%d servers are running: name one:%s", len(servers), listing(servers))
	}
}

// match reports whether name means s, and what of it.
func match(s Status, name string) (Target, bool) {
	if strings.Contains(name, "://") {
		return matchURI(s, name)
	}
	if name == s.Control {
		return Target{Status: s}, true
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return Target{}, false
	}
	for _, l := range s.Listen {
		if path, ok := strings.CutPrefix(l, "unix:"); l == name || ok && sameFile(path, abs) {
			return Target{Status: s}, true
		}
	}
	for _, e := range s.Exports {
		if sameFile(e.Source, abs) {
			return Target{Status: s, Source: e.Source}, true
		}
	}
	return Target{}, false
}

// matchURI compares URIs by what they mean; an export's name picks that export.
func matchURI(s Status, name string) (Target, bool) {
	want, err := url.Parse(name)
	if err != nil {
		return Target{}, false
	}
	for i := range s.Exports {
		for _, text := range s.Exports[i].URIs {
			have, err := url.Parse(text)
			if err != nil || have.Scheme != want.Scheme || have.Host != want.Host || have.Query().Get("socket") != want.Query().Get("socket") {
				continue
			}
			export := strings.TrimPrefix(want.Path, "/")
			for _, e := range s.Exports {
				if e.Name == export || slices.Contains(e.Aliases, export) {
					return Target{Status: s, Export: &e.Name}, true
				}
			}
		}
	}
	return Target{}, false
}

// sameFile reports whether two paths lead to one file.
func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	fa, err := os.Stat(a)
	if err != nil {
		return false
	}
	fb, err := os.Stat(b)
	return err == nil && os.SameFile(fa, fb)
}

// listing names servers, for an error that asks to choose.
func listing(servers []Status) string {
	var names []string
	for _, s := range servers {
		for _, e := range s.Exports {
			names = append(names, fmt.Sprintf("%s at %s", e.Source, strings.Join(s.Listen, " ")))
		}
	}
	return " " + strings.Join(names, ", ")
}

func targetStatuses(targets []Target) []Status {
	out := make([]Status, len(targets))
	for i, t := range targets {
		out[i] = t.Status
	}
	return out
}
