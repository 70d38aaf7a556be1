package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/internal/hostfs/hosttwin"
)

// long says whether the full counts are asked for.
func long() bool { return os.Getenv("FATKIT_LONG") != "" }

// operations returns how many operations a commit takes.
func operations(t *testing.T) int {
	h := newHost(t)
	h.m.CutAt(-1)
	_, err := h.work()
	h.must(err)
	return h.m.Ops()
}

// survive returns the machine after a cut: killed, or rebooted by a seed.
func survive(m *hosttwin.Machine, seed int) *hosttwin.Machine {
	if seed < 0 {
		return m.Kill()
	}
	return m.Reboot(uint64(seed))
}

// TestCut cuts the power, or kills the server, at every operation of a commit,
// and checks that the next server completes it.
func TestCut(t *testing.T) {
	seeds := 4
	if long() {
		seeds = 40
	}
	n := operations(t)
	t.Logf("%d operations", n)
	for k := range n + 1 {
		h := newHost(t)
		h.m.CutAt(k)
		_, err := h.work()
		if (err == nil) != (k == n) {
			t.Fatalf("cut at %d: %v", k, err)
		}
		for seed := -1; seed < seeds; seed++ {
			again := &host{TB: t, m: survive(h.m, seed)}
			if _, err := again.work(); err != nil {
				t.Fatalf("cut at %d (%s), seed %d: %v", k, h.m.Describe(k), seed, err)
			}
			again.check(fmt.Sprintf("cut at %d (%s), seed %d", k, h.m.Describe(k), seed))
			if t.Failed() {
				return
			}
		}
	}
}

// TestCutRecovery cuts the recovery, too, and the recovery of that.
func TestCutRecovery(t *testing.T) {
	step, seeds := 11, 1
	if long() {
		step, seeds = 1, 3
	}
	n := operations(t)
	for k := 0; k < n; k += step {
		first := newHost(t)
		first.m.CutAt(k)
		first.work()
		for seed := -1; seed < seeds; seed++ {
			for j := (k * 5) % step; ; j += step {
				h := &host{TB: t, m: survive(first.m, seed)}
				h.m.CutAt(j)
				_, err := h.work()
				if err == nil {
					break
				}
				h.m = survive(h.m, seed)
				if _, err := h.work(); err != nil {
					t.Fatalf("cuts at %d and %d, seed %d: %v", k, j, seed, err)
				}
				h.check(fmt.Sprintf("cuts at %d and %d, seed %d", k, j, seed))
				if t.Failed() {
					return
				}
			}
		}
	}
}

// contents counts every content of the machine, whatever it is called.
func (h *host) contents() map[string]int {
	out := map[string]int{}
	for _, content := range h.all() {
		out[content]++
	}
	return out
}

// TestFailures makes every operation fail, once or from there on. What the plan
// could not do waits, and nothing is lost or done twice.
func TestFailures(t *testing.T) {
	n, step := operations(t), 3
	if long() {
		step = 1
	}
	for i, failure := range []error{syscall.EIO, syscall.ENOSPC} {
		for _, sticky := range []bool{false, true} {
			for k := i; k < n; k += step {
				h := newHost(t)
				h.m.FailAt(k, failure, sticky)
				_, err := h.work()
				what := fmt.Sprintf("%v at %d (%s), sticky %v, then %v", failure, k, h.m.Describe(k), sticky, err)
				h.m.FailAt(-1, nil, false)
				if err != nil {
					if _, err := h.work(); err != nil {
						t.Fatalf("%s: recovery: %v", what, err)
					}
				}
				h.lossless(what)
				if t.Failed() {
					return
				}
			}
		}
	}
}

// TestFailuresInOneServer does the same to a server that goes on: it recovers
// what it had begun, at the second try if the first fails too.
func TestFailuresInOneServer(t *testing.T) {
	step := 3
	if long() {
		step = 1
	}
	for k := 0; ; k += step {
		h := newHost(t)
		s, err := h.start()
		h.must(err)
		p, err := h.plan(s.x)
		h.must(err)
		h.m.FailAt(k, syscall.EIO, false)
		_, err = s.x.Execute(context.Background(), p, nil)
		what := fmt.Sprintf("failure at %d (%s): %v", k, h.m.Describe(k), err)
		ended := h.m.Ops() <= k
		h.m.FailAt(k/2, syscall.EIO, false)
		for range 3 {
			if !errors.Is(err, ErrOpen) {
				break
			}
			asked := false
			_, err = s.x.Recover(context.Background(), p, source, func(Results) []byte {
				asked = true
				return nil
			})
			if err == nil && !asked {
				t.Errorf("%s: recovered without asking for a payload", what)
			}
		}
		h.m.FailAt(-1, nil, false)
		if errors.Is(err, ErrOpen) {
			t.Fatalf("%s: not recovered: %v", what, err)
		}
		h.lossless(what)
		again, err := (&host{TB: t, m: h.m.Reboot(0)}).start()
		if err != nil || again.open != nil {
			t.Fatalf("%s: the journal holds an open plan, %v", what, err)
		}
		if t.Failed() || ended {
			return
		}
	}
}

// lossless checks that every content of the host is there exactly once.
func (h *host) lossless(what string) {
	h.Helper()
	now := h.contents()
	for name, content := range before {
		if strings.HasSuffix(name, "/") || content == logOld {
			continue
		}
		if now[content] != 1 {
			h.Errorf("%s: %q of %q is there %d times", what, content, name, now[content])
		}
	}
	if len(h.tree("share")) == 0 {
		h.Errorf("%s: nothing is left", what)
	}
}

// An edit is something that a program of the host does to a name.
type edit struct {
	name string
	do   func(h *host, p string) error
}

const hostText = "written by a program of the host"

var edits = []edit{
	{"write", func(h *host, p string) error {
		return h.in(p, func(d hostfs.Dir, name string) error {
			f, err := d.OpenFile(name)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte(hostText), 0)
			return errors.Join(err, f.Truncate(int64(len(hostText))), f.Close())
		})
	}},
	{"replace", func(h *host, p string) error {
		return h.in(p, func(d hostfs.Dir, name string) error {
			if _, err := d.Lookup(name); err != nil {
				return err
			}
			f, err := d.Create("editor~", 0o644)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte(hostText), 0)
			return errors.Join(err, f.Close(), d.Rename("editor~", d, name, hostfs.Replace))
		})
	}},
	{"create", func(h *host, p string) error {
		return h.in(p, func(d hostfs.Dir, name string) error {
			f, err := d.Create(name, 0o644)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte(hostText), 0)
			return errors.Join(err, f.Close())
		})
	}},
	{"delete", func(h *host, p string) error {
		return h.in(p, func(d hostfs.Dir, name string) error { return d.Unlink(name) })
	}},
	{"link", func(h *host, p string) error {
		return h.in(p, func(d hostfs.Dir, name string) error { return d.Link(name, d, "second name") })
	}},
	{"move away", func(h *host, p string) error {
		return h.in(p, func(d hostfs.Dir, name string) error { return d.Rename(name, d, "moved away", hostfs.NoReplace) })
	}},
	{"symlink", func(h *host, p string) error {
		return h.in(p, func(d hostfs.Dir, name string) error {
			err := d.Rename(name, d, "moved away", hostfs.NoReplace)
			if err != nil {
				return err
			}
			return hosttwin.Symlink(d, name)
		})
	}},
}

// targets are the names that programs of the host work on.
var targets = []string{"a", "b", "c", "d", "d/a2", "e", "nd", "nd/f", "nd/e2", "p", "q", "r", "s", "t", "tmp", "target", "times", "log", "new", "z"}

// TestHostPrograms lets a program of the host do something to a file right before
// every operation of a commit. What it wrote stays visible in the tree, and
// nothing is lost but what it deleted itself.
func TestHostPrograms(t *testing.T) {
	step := 41
	if long() {
		step = 1
	}
	n := operations(t)
	for i, e := range edits {
		for j, name := range targets {
			for k := (i + j) % step; k < n; k += step {
				h := newHost(t)
				lost := h.meddle(e, name, k)
				_, err := h.work()
				what := fmt.Sprintf("%s of %s before %d (%s), then %v", e.name, name, k, h.m.Describe(k), err)
				h.m.Before(nil)
				if err != nil {
					_, err := h.work()
					what += fmt.Sprintf(", then %v", err)
				}
				h.kept(what, lost)
				if t.Failed() {
					return
				}
			}
		}
	}
}

// meddled is what a program of the host has done.
type meddled struct {
	done      bool
	destroyed string // the content that it destroyed itself, or ""
	wrote     bool
}

// meddle arranges for an edit before operation k.
func (h *host) meddle(e edit, name string, k int) *meddled {
	out := &meddled{}
	h.m.Before(func(at int, _ string) {
		if at != k {
			return
		}
		then := h.tree("share")
		err := e.do(h, "share/"+name)
		if err != nil {
			return
		}
		out.done = true
		switch e.name {
		case "write", "replace":
			out.destroyed, out.wrote = then[name], true
		case "create":
			out.wrote = true
		case "delete":
			out.destroyed = then[name]
		}
	})
	return out
}

// kept checks that what should be there is there.
func (h *host) kept(what string, by *meddled) {
	h.Helper()
	now := h.contents()
	for name, content := range before {
		if strings.HasSuffix(name, "/") || content == logOld || content == by.destroyed {
			continue
		}
		if now[content] < 1 {
			h.Errorf("%s: %q of %q is lost; there are\n\t%v", what, content, name, h.names())
		}
	}
	if by.wrote && !slices.Contains(slices.Collect(maps.Values(h.tree("share"))), hostText) {
		h.Errorf("%s: what the host wrote is not in the tree; there are\n\t%v", what, h.names())
	}
	for name := range h.tree("aside") {
		if strings.HasPrefix(name, "stage/") && name != "stage/" && !strings.HasPrefix(name, "stage/"+newPrefix) {
			h.Errorf("%s: %q was left in the stage folder", what, name)
		}
	}
}

// names lists everything, for messages.
func (h *host) names() string {
	var out []string
	for name, content := range h.all() {
		out = append(out, fmt.Sprintf("%s=%.10s", name, content))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// TestHostProgramsAndCuts does both.
func TestHostProgramsAndCuts(t *testing.T) {
	step := 61
	if long() {
		step = 3
	}
	n := operations(t)
	for i, e := range edits {
		for j, name := range targets {
			for k := (i*7 + j) % step; k < n; k += step {
				h := newHost(t)
				lost := h.meddle(e, name, k)
				cut := k + 1 + (i+j+k)%9
				h.m.CutAt(cut) // counts anew, as meddle does
				h.work()
				what := fmt.Sprintf("%s of %s before %d, cut at %d (%s)", e.name, name, k, cut, h.m.Describe(cut))
				h.m = h.m.Kill()
				if _, err := h.work(); err != nil && !errors.Is(err, fs.ErrNotExist) {
					what += fmt.Sprintf(", then %v", err)
				}
				h.kept(what, lost)
				if t.Failed() {
					return
				}
			}
		}
	}
}
