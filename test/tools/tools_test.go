package tools

import (
	"strings"
	"testing"
)

// fakeTest notes how a test would end.
type fakeTest struct {
	testing.TB
	failed, skipped bool
}

func (f *fakeTest) Helper()      {}
func (f *fakeTest) Fatal(...any) { f.failed = true }
func (f *fakeTest) Skip(...any)  { f.skipped = true }

func TestNeed(t *testing.T) {
	for _, c := range []struct {
		ci, program     string
		failed, skipped bool
	}{
		{"", "no-such-program", false, true},
		{"true", "no-such-program", true, false},
		{"true", "go", false, false},
	} {
		t.Setenv("CI", c.ci)
		f := &fakeTest{TB: t}
		Need(f, c.program)
		if f.failed != c.failed || f.skipped != c.skipped && !f.failed {
			t.Errorf("CI=%q, %s: failed %v, skipped %v", c.ci, c.program, f.failed, f.skipped)
		}
	}
}

func TestTryReturnsTheExitCode(t *testing.T) {
	Need(t, "sh")
	r := Try(t, "sh", "-c", "echo out; echo err >&2; exit 7")
	if r.Code != 7 || r.Stdout != "out\n" || !strings.Contains(r.Stderr, "err") {
		t.Errorf("%+v", r)
	}
}
