package apply

import (
	"context"
	"errors"
	"testing"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// check compares the machine with what the plan makes of it.
func (h *host) check(what string) {
	h.Helper()
	if err := same(h.all(), after); err != nil {
		h.Errorf("%s:\n\t%v", what, err)
	}
	if id := h.lookup("share/times"); id.Mtime != 6e17 || id.Mode != 0o444 {
		h.Errorf("%s: times is %+v", what, id)
	}
	if id := h.lookup("share/log"); id.Mtime != 8e17 {
		h.Errorf("%s: log is %+v", what, id)
	}
}

func TestExecute(t *testing.T) {
	h := newHost(t)
	res, err := h.work()
	h.must(err)
	h.check("after the commit")
	for _, r := range res.List {
		want := Done
		if r.Tag == 21 {
			want = NotEmpty
		}
		if r.Status != want {
			t.Errorf("%+v", r)
		}
		if r.Op == OpMove && (r.ID.Ino == 0 || r.At == Place{}) {
			t.Errorf("not described: %+v", r)
		}
	}
	again, err := h.work()
	h.must(err)
	if len(again.List) != len(res.List) {
		t.Errorf("%d results were recorded of %d", len(again.List), len(res.List))
	}
	for i := range again.List {
		if again.List[i] != res.List[i] {
			t.Errorf("recorded %+v of %+v", again.List[i], res.List[i])
		}
	}
	h.check("after a restart")
}

// Hosts that cannot exchange, or have no leases, reflinks or attributes.
func TestExecutePoorHost(t *testing.T) {
	h := newHost(t)
	h.m.Lacks.Exchange, h.m.Lacks.UserXattr = true, true
	_, err := h.work()
	h.must(err)
	h.check("without exchange")

	h = newHost(t)
	h.m.Lacks.Lease = true
	res, err := h.work()
	h.must(err)
	for _, r := range res.List {
		if r.Op == OpPatch && r.Status != NeedsCopy {
			t.Errorf("patched without a lease: %+v", r)
		}
	}
	h = newHost(t)
	h.m.Lacks.NoReplace = true
	if _, err := h.work(); !errors.Is(err, ErrHost) {
		t.Errorf("a host that cannot rename without replacing: %v", err)
	}
}

// A plan that was begun must be recovered before another.
func TestOpenPlanBlocks(t *testing.T) {
	h := newHost(t)
	s, err := h.start()
	h.must(err)
	p, err := h.plan(s.x)
	h.must(err)
	h.m.FailAt(h.m.Ops()+1_000_000, nil, false)
	failed := errors.New("a broken disk")
	h.m.Before(nil)
	h.m.FailAt(4, failed, true) // after the intent's sync
	_, err = s.x.Execute(context.Background(), p, nil)
	h.m.FailAt(-1, nil, false)
	if !errors.Is(err, ErrOpen) || !errors.Is(err, failed) {
		t.Fatalf("%v", err)
	}
	if _, err := s.x.Execute(context.Background(), p, nil); !errors.Is(err, ErrOpen) {
		t.Errorf("a second plan: %v", err)
	}
	if err := s.x.Sweep(); !errors.Is(err, ErrOpen) {
		t.Errorf("sweep: %v", err)
	}
	_, err = h.work()
	h.must(err)
	h.check("recovered")
}

func TestCancelled(t *testing.T) {
	h := newHost(t)
	s, err := h.start()
	h.must(err)
	p, err := h.plan(s.x)
	h.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.x.Execute(ctx, p, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := same(h.tree("share"), union(before, map[string]string{"d/": "", "e/": "", "e/deep/": ""})); err != nil {
		t.Error(err)
	}
}

// A plan that would leave something of the host's in the stage folder is
// refused.
func TestRefusedPlans(t *testing.T) {
	h := newHost(t)
	s, err := h.start()
	h.must(err)
	id := hostfs.Identity{}
	for _, m := range []Move{
		{To: Place{Stage, "new-1"}},
		{To: Place{0, "x"}, Displaces: &id, DisplacedTo: Place{Stage, "y"}},
	} {
		if _, err := s.x.Execute(context.Background(), &Plan{Dirs: []Dir{{}}, Moves: []Move{m}}, nil); err == nil {
			t.Errorf("%+v was accepted", m)
		}
	}
}
