package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/test/tools"
)

// scripts are the examples of the manual and much more, run by the program as
// it is built for tests.
const scripts = "../../test/script"

// patience ends a wait for something that does not come. It is no measure of
// speed.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"fatkit": func() { os.Exit(run(context.Background(), os.Args[1:])) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: scripts,
		Setup: func(env *testscript.Env) error {
			// The paths of sockets are short, those of test folders are not.
			dir, err := os.MkdirTemp("", "fk")
			if err != nil {
				return err
			}
			env.Defer(func() { os.RemoveAll(dir) })
			env.Defer(func() { tools.UnmountBelow(env.WorkDir) })
			env.Setenv("XDG_RUNTIME_DIR", dir)
			env.Setenv("SHORT", dir)
			env.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state"))
			env.Setenv("TZ", "UTC")
			env.Setenv("PATH", env.Getenv("PATH")+":/usr/sbin:/sbin") // where fsck.fat is
			return nil
		},
		Condition: haveTools,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": scriptExits, "awaits": scriptAwaits, "touch": scriptTouch,
		},
	})
}

// haveTools is the condition [tools:a,b]: the programs are there; and the
// condition [python3-libnbd]: Debian's package of that name is. [fuse] says that
// this machine has FUSE, which a container may lack whatever is installed. Where CI is set a
// missing one is an error.
func haveTools(cond string) (bool, error) {
	names, ok := strings.CutPrefix(cond, "tools:")
	if cond == "python3-libnbd" {
		err := exec.Command("/usr/bin/python3", "-I", "-c", "import nbd; nbd.NBD").Run()
		if err != nil && os.Getenv("CI") != "" {
			return false, fmt.Errorf("%s is not installed: %w", cond, err)
		}
		return err == nil, nil
	}
	if cond == "fuse" {
		return tools.FUSE() == nil, nil
	}
	if !ok {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	for _, name := range strings.Split(names, ",") {
		if tools.Lookup(name) != "" {
			continue
		}
		if os.Getenv("CI") != "" {
			return false, fmt.Errorf("%s is not installed", name)
		}
		return false, nil
	}
	return true, nil
}

// scriptExits runs a command and compares its exit code: exits CODE COMMAND...
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// scriptAwaits repeats a command until it succeeds, or fails if negated. It does
// not log each attempt.
func scriptAwaits(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: awaits COMMAND ARG...")
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		cmd := exec.Command("/usr/bin/env", args...)
		cmd.Dir = ts.MkAbs(".")
		for _, name := range []string{"PATH", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "SHORT"} {
			cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
		}
		out, err := cmd.CombinedOutput()
		if (err == nil) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("in vain: %v\n%s", err, out)
		}
	}
}

// scriptTouch sets the time of files, in seconds since 1970.
func scriptTouch(ts *testscript.TestScript, _ bool, args []string) {
	seconds, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	for _, name := range args[1:] {
		ts.Check(os.Chtimes(ts.MkAbs(name), time.Unix(seconds, 0), time.Unix(seconds, 0)))
	}
}

// TestExamplesAreTested makes sure that each example of the manual is a line of
// a script, to which a script may add where the output goes and &.
func TestExamplesAreTested(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(scripts, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s: %v", scripts, err)
	}
	lines := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			line, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "exits 4 "), " &")
			lines[line] = true
		}
	}
	examples := 0
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Name() == "completion" {
			return // its text is cobra's
		}
		for _, line := range strings.Split(cmd.Example, "\n") {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " >")
			if line == "" {
				continue
			}
			examples++
			if !lines[line] {
				t.Errorf("no script runs the example\n\t%s", line)
			}
		}
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit(newRoot())
	if examples == 0 {
		t.Error("there are no examples")
	}
}

// TestManualIsUpToDate compares the pages in docs/man with the program.
func TestManualIsUpToDate(t *testing.T) {
	const dir = "../../docs/man"
	pages := manPages(newRoot())
	for name, want := range pages {
		have, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(have) != want {
			t.Errorf("docs/man/%s is not what the program says: run `make man` (%v)", name, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := pages[e.Name()]; !ok {
			t.Errorf("docs/man/%s belongs to no command", e.Name())
		}
	}
}
