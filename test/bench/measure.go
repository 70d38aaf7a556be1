package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
	"github.com/fatkit/fatkit/test/trees"
)

// clockTick is the unit of times in /proc/PID/stat: USER_HZ, which is 100 on
// every Linux.
const clockTick = 10 * time.Millisecond

// command runs a program and returns how long it took.
func command(name string, args ...string) (time.Duration, string, error) {
	path := tools.Lookup(name)
	if path == "" {
		path = name
	}
	cmd := exec.Command(path, args...)
	cmd.Env = environment()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		return 0, "", fmt.Errorf("%s: %w\n%s", cmd, err, errOut.String())
	}
	return took, out.String(), nil
}

// watched runs a program that lasts a while, and returns how many milliseconds
// it took, with its CPU time and its peak of resident memory, which may have
// risen in its last millisecond unseen.
func watched(args ...string) (sample, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = environment()
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return sample{}, err
	}
	var took time.Duration
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		took = time.Since(start)
		ended <- err
	}()
	peak := 0.0
	for {
		select {
		case err := <-ended:
			if err != nil {
				return sample{}, fmt.Errorf("%s: %w\n%s", cmd, err, errOut.String())
			}
			cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			return sample{milliseconds(took), map[string]float64{"MiB peak": peak, "ms CPU": milliseconds(cpu)}}, nil
		case <-time.After(time.Millisecond):
			if _, p, err := residentMiB(cmd.Process.Pid); err == nil { // it may have ended
				peak = max(peak, p)
			}
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// environment is that of the programs: no settings of the user's.
func environment() []string {
	return append(os.Environ(), "TZ=UTC", "MTOOLS_SKIP_CHECK=1", "MTOOLSRC=/dev/null")
}

// tree returns the folder of a tree, made when it is first asked for. In the
// short form it is a sixteenth of what its name says.
func (b *bench) tree(name string) (string, error) {
	if dir, ok := b.trees[name]; ok {
		return dir, nil
	}
	var t trees.Tree
	scale := int64(1)
	if b.short {
		scale = 16
	}
	switch name {
	case "T1":
		t = trees.Flat(8, 48<<20/scale)
	case "T2":
		t = trees.Grid(int(200/scale), 100, 4<<10)
	case "T3":
		t = trees.Grid(int(2000/scale), 100, 1<<10)
	case "few files":
		t = trees.Grid(3, 10, 100<<10)
	case "T4":
		t = trees.Flat(10, 400<<20/scale)
	default:
		return "", fmt.Errorf("no tree %q", name)
	}
	err := b.write(name, t)
	return b.trees[name], err
}

// write makes the folder of a tree.
func (b *bench) write(name string, t trees.Tree) error {
	dir := filepath.Join(b.dir, name)
	if _, err := t.Write(dir); err != nil {
		return err
	}
	b.trees[name] = dir
	_, b.bytes[name] = t.Files()
	return nil
}

// image returns a raw image of a tree, as fatkit builds it, for servers of
// files.
func (b *bench) image(name string) (string, error) {
	if img, ok := b.images[name]; ok {
		return img, nil
	}
	dir, err := b.tree(name)
	if err != nil {
		return "", err
	}
	img := filepath.Join(b.dir, name+".img")
	if _, _, err := command(b.bin, "build", dir, img); err != nil {
		return "", err
	}
	b.images[name] = img
	return img, nil
}

// serverOf starts a server of a kind for a tree.
type serverOf func(b *bench, tree string) (*product.Server, error)

func (b *bench) socket() (string, error) { return b.out("sock") }

func serveFatkit(b *bench, tree string) (*product.Server, error) {
	dir, err := b.tree(tree)
	if err != nil {
		return nil, err
	}
	sock, err := b.socket()
	if err != nil {
		return nil, err
	}
	return product.StartServer(sock, []string{"XDG_RUNTIME_DIR=" + b.tmp}, b.bin, "serve", "--quiet", "--listen", "unix:"+sock, dir)
}

func serveFloppy(b *bench, tree string) (*product.Server, error) {
	dir, err := b.tree(tree)
	if err != nil {
		return nil, err
	}
	sock, err := b.socket()
	if err != nil {
		return nil, err
	}
	return product.StartServer(sock, nil, tools.Lookup("nbdkit"), "-f", "-r", "-U", sock, "floppy", "dir="+dir)
}

func serveFile(b *bench, tree string) (*product.Server, error) {
	img, err := b.image(tree)
	if err != nil {
		return nil, err
	}
	sock, err := b.socket()
	if err != nil {
		return nil, err
	}
	return product.StartServer(sock, nil, tools.Lookup("nbdkit"), "-f", "-r", "-U", sock, "file", img)
}

// cpuTime returns the time that a process has spent on CPUs, in user and
// system mode.
func cpuTime(pid int) (time.Duration, error) {
	p, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold spaces; what follows are fields 3 on.
	fields := strings.Fields(string(p[bytes.LastIndexByte(p, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, p)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, err
}

// residentMiB returns the resident memory of a process now and at its peak.
func residentMiB(pid int) (now, peak float64, err error) {
	p, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for _, line := range strings.Split(string(p), "\n") {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		kib, err := strconv.ParseFloat(f[1], 64)
		switch {
		case err != nil:
		case f[0] == "VmRSS:":
			now = kib / 1024
		case f[0] == "VmHWM:":
			peak = kib / 1024
		}
	}
	return now, peak, nil
}

// withServer starts a server, runs f with it, and stops it.
func withServer(b *bench, start serverOf, tree string, f func(s *product.Server) (sample, error)) (sample, error) {
	s, err := start(b, tree)
	if err != nil {
		return sample{}, err
	}
	got, err := f(s)
	if stopErr := s.Stop(); err == nil && stopErr != nil && !strings.Contains(stopErr.Error(), "signal") {
		err = stopErr
	}
	return got, err
}
