package volume_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vfs/host"
	"github.com/fatkit/fatkit/vfs/iofs"
	"github.com/fatkit/fatkit/vfs/vfstest"
	"github.com/fatkit/fatkit/volume"
)

// fatDriver mounts FAT volumes of devices.
type fatDriver struct{}

func (fatDriver) Name() string { return "fat" }

func (fatDriver) Probe(_ context.Context, src *volume.Source) (volume.Confidence, string) {
	if src.Device == nil {
		return volume.Cannot, "no device"
	}
	v, err := fat.Open(src.Device, fat.Options{ReadOnly: true})
	if err != nil {
		return volume.Cannot, err.Error()
	}
	v.Close()
	return volume.Certain, "FAT"
}

func (fatDriver) Mount(_ context.Context, src *volume.Source) (vfs.FS, error) {
	return fat.Open(src.Device, fat.Options{})
}

func (fatDriver) Format(_ context.Context, src *volume.Source, o volume.FormatOptions) error {
	_, err := fat.Format(src.Device, fat.FormatOptions{Label: o.Label})
	return err
}

func (fatDriver) Check(ctx context.Context, src *volume.Source, repair bool, found func(diskerr.Finding)) error {
	_, err := fat.Check(ctx, src.Device, fat.CheckOptions{Repair: repair, Found: found})
	return err
}

// fatSource returns a formatted device, and whether it was closed.
func fatSource(t testing.TB, kib int64) (*volume.Source, *bool) {
	t.Helper()
	dev := mem.New(kib << 10)
	if _, err := fat.Format(dev, fat.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	closed := new(bool)
	return &volume.Source{Name: "memory", Device: dev, Close: func() error { *closed = true; return dev.Close() }}, closed
}

// newNamespace returns a namespace with a FAT volume at A: and a directory of
// the host at C:.
func newNamespace(t testing.TB, o volume.Options) *volume.Namespace {
	t.Helper()
	r := &volume.Registry{}
	must(t, r.Register(fatDriver{}))
	n := volume.New(r, o)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	src, _ := fatSource(t, 8<<10)
	must(t, n.Mount(t.Context(), "a:", src, ""))
	must(t, n.Attach("C:", newHost(t), "directory"))
	return n
}

func newHost(t testing.TB) vfs.FS {
	h, err := host.New(t.TempDir())
	must(t, err)
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErr fails the test unless err is a *fs.PathError about a path that
// matches want.
func wantErr(t *testing.T, what string, err error, path string, want error) {
	t.Helper()
	var pe *fs.PathError
	if !errors.Is(err, want) || !errors.As(err, &pe) || pe.Path != path {
		t.Errorf("%s: error is %#v, %v; want %v about %q", what, err, err, want, path)
	}
}

func write(t testing.TB, n vfs.FS, name, content string) {
	t.Helper()
	must(t, vfs.WriteFile(n, name, []byte(content), 0o666))
}

func wantFile(t testing.TB, n fs.FS, name, want string) {
	t.Helper()
	f, err := n.Open(name)
	must(t, err)
	got, err := io.ReadAll(f)
	if cerr := f.Close(); err != nil || cerr != nil || string(got) != want {
		t.Fatalf("%s holds %.40q, %v, %v; want %.40q", name, got, err, cerr, want)
	}
}

// Every volume is a tree as its driver's is, alone and through both ways of
// naming its files.
func TestConformance(t *testing.T) {
	fatOptions := vfstest.Options{IgnoresCase: true, KeepsCase: true, Attr: true, TimeStep: 2e9, OpenRemoved: true}
	hostOptions := vfstest.Options{TimeStep: 1e9, OpenRemoved: true}
	for name, c := range map[string]struct {
		options vfstest.Options
		open    func(n *volume.Namespace) (vfs.FS, error)
	}{
		"fat":         {fatOptions, func(n *volume.Namespace) (vfs.FS, error) { return n.Mounts()[0].Volume, nil }},
		"host":        {hostOptions, func(n *volume.Namespace) (vfs.FS, error) { return n.Mounts()[1].Volume, nil }},
		"fs.FS, fat":  {fatOptions, func(n *volume.Namespace) (vfs.FS, error) { return vfs.Sub(n.FS(), "A:") }},
		"fs.FS, host": {hostOptions, func(n *volume.Namespace) (vfs.FS, error) { return vfs.Sub(n.FS(), "C:") }},
		"subst": {fatOptions, func(n *volume.Namespace) (vfs.FS, error) {
			if err := n.MkdirAll(`a:\deep\er`, 0o777); err != nil {
				return nil, err
			}
			if err := n.Subst("/mnt/s", `a:\deep\er`); err != nil {
				return nil, err
			}
			return vfs.Sub(n.FS(), "mnt/s")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			vfstest.Run(t, func(t *testing.T) vfs.FS {
				fsys, err := c.open(newNamespace(t, volume.Options{}))
				must(t, err)
				return fsys
			}, c.options)
		})
	}
}

// A namespace is an fs.FS, whatever is mounted where.
func TestStandardLibrarySuite(t *testing.T) {
	n := newNamespace(t, volume.Options{})
	must(t, n.MkdirAll(`a:\x\y`, 0o777))
	write(t, n, `a:\x\y\f.txt`, "content")
	write(t, n, `c:\g.txt`, "more")
	must(t, n.Attach("/mnt/deep/map", iofs.New(fstest.MapFS{"d/e": {Data: []byte("e")}}), "map"))
	must(t, n.Subst("x:", `a:\x`))
	must(t, fstest.TestFS(n.FS(), "A:/x/y/f.txt", "C:/g.txt", "mnt/deep/map/d/e", "X:/y/f.txt"))
	must(t, fstest.TestFS(n.Mounts()[0].Volume, "x/y/f.txt"))
	// A volume at the root of the tree, with another on top of a directory of it.
	must(t, n.Attach("/", newHost(t), "root"))
	write(t, n.FS(), "own", "1")
	must(t, n.FS().MkdirAll("mnt/deep", 0o777)) // it leads to a mount point
	must(t, fstest.TestFS(n.FS(), "own", "A:/x/y/f.txt", "mnt/deep/map/d/e"))
}

func TestPathsLead(t *testing.T) {
	n := newNamespace(t, volume.Options{})
	must(t, n.Attach("/mnt/x", newHost(t), "x"))
	must(t, n.Attach("/mnt/x/in", newHost(t), "in"))
	must(t, n.MkdirAll(`a:\dir\sub`, 0o777))
	must(t, n.Chdir(`a:\dir`))
	must(t, n.Mkdir("c:/dir", 0o777))
	for _, c := range []struct{ drive, path, want string }{
		{"A", "f", `A:\dir\f`}, {"A", `\f`, `A:\f`}, {"A", "..", `A:\`}, {"A", `..\..\..\f`, `A:\f`}, {"A", ".", `A:\dir`},
		{"A", "c:f", `C:\f`}, {"C", "a:f", `A:\dir\f`}, {"C", `a:..\f`, `A:\f`}, {"C", "f", `C:\f`}, {"C", "a:", `A:\dir`},
		{"A", "/mnt/x/f", "/mnt/x/f"}, {"A", `\mnt\x\f`, "/mnt/x/f"}, {"A", "/mnt/x/in/f", "/mnt/x/in/f"}, {"A", "/mnt/xy", `A:\mnt\xy`},
		{"A", "/mnt/x/../../../f", `A:\f`}, {"A", "/mnt", "/mnt"}, {"A", "mnt", `A:\dir\mnt`},
	} {
		must(t, n.SetDrive(c.drive[0]))
		l, err := n.Locate(c.path)
		if err != nil || l.String() != c.want {
			t.Errorf("%s: %s leads to %s, %v; want %s", c.drive, c.path, l, err, c.want)
		}
	}
	must(t, n.SetDrive('c'))
	must(t, n.Chdir("/mnt/x"))
	if wd, err := n.Getwd(n.Drive()); err != nil || wd != "/mnt/x" {
		t.Errorf("in the tree: %q, %v", wd, err)
	}
	if l, err := n.Locate("in/../g"); err != nil || l.String() != "/mnt/x/g" {
		t.Errorf("relative in the tree: %v, %v", l, err)
	}
	must(t, n.SetDrive('A'))
	if wd, err := n.Getwd('a'); err != nil || wd != `A:\dir` {
		t.Errorf("on A: %q, %v", wd, err)
	}
	_, err := n.Stat("q:x")
	wantErr(t, "unknown letter", err, "q:x", volume.ErrNoDrive)
	wantErr(t, "unknown letter", err, "q:x", fs.ErrNotExist)
	wantErr(t, "chdir to a file", n.Chdir("none"), "none", fs.ErrNotExist)
	wantErr(t, "drive", n.SetDrive('q'), "q:", volume.ErrNoDrive)
	_, err = n.Stat(strings.Repeat("x", 5000))
	wantErr(t, "long path", err, strings.Repeat("x", 5000), volume.ErrPathTooLong)
	_, err = n.Create("/mnt/none")
	wantErr(t, "create in a directory of the tree", err, "/mnt/none", fs.ErrNotExist)
	wantErr(t, "a name that FAT cannot hold", n.Mkdir(`a:\a?b`, 0o777), `a:\a?b`, fs.ErrInvalid)
	wantErr(t, "remove a mount point", n.Remove("/mnt/x"), "/mnt/x", fs.ErrInvalid)
	wantErr(t, "rename a drive", n.Rename(`a:\`, `a:\x`), `a:\`, fs.ErrInvalid)
}

func TestMounting(t *testing.T) {
	n := newNamespace(t, volume.Options{})
	src, closed := fatSource(t, 1440)
	wantErr(t, "a letter in use", n.Mount(t.Context(), "A:", src, ""), "A:", volume.ErrInUse)
	wantErr(t, "a letter in use", n.Attach("c:", newHost(t), ""), "c:", fs.ErrExist)
	for _, bad := range []string{"", "a", "ab:", `a:\x`, "rel/x"} {
		wantErr(t, "a bad place", n.Mount(t.Context(), bad, src, ""), bad, fs.ErrInvalid)
	}
	err := n.Mount(t.Context(), "z:", src, "ext4")
	wantErr(t, "an unknown driver", err, "z:", fs.ErrNotExist)
	junk := &volume.Source{Name: "junk", Device: mem.New(1 << 20)}
	err = n.Mount(t.Context(), "z:", junk, "")
	wantErr(t, "a medium that nobody knows", err, "z:", errors.ErrUnsupported)
	if err == nil || !strings.Contains(err.Error(), "junk: no driver for this medium: fat: ") {
		t.Errorf("it does not say what it saw: %v", err)
	}
	must(t, n.Mount(t.Context(), "z:", src, "fat"))
	f, err := n.Create(`z:\f`)
	must(t, err)
	if _, err := f.Write([]byte("four")); err != nil {
		t.Fatal(err)
	}
	files := n.Files()
	if len(files) != 1 || files[0].Point != "Z:" || files[0].Name != "f" || files[0].Position != 4 || !files[0].Flags.Write || files[0].AtEnd {
		t.Errorf("open files: %+v", files)
	}
	wantErr(t, "unmount with an open file", n.Unmount("z:", false), "z:", volume.ErrBusy)
	must(t, n.Subst("s:", `z:\`))
	must(t, f.Close())
	wantErr(t, "unmount of what has two names", n.Unmount("z:", false), "z:", volume.ErrBusy)
	f, err = n.OpenFile(`s:\f`, os.O_RDWR, 0)
	must(t, err)
	must(t, n.Unmount("Z:", true))
	if !*closed {
		t.Error("the source was not closed")
	}
	_, err = f.Write(nil)
	if !errors.Is(err, fs.ErrClosed) {
		t.Errorf("write to a file of a volume that is gone: %v", err)
	}
	if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("close of it: %v", err)
	}
	_, err = n.Stat(`s:\f`)
	wantErr(t, "the second name of what is gone", err, `s:\f`, volume.ErrNoDrive)
	wantErr(t, "unmount twice", n.Unmount("z:", false), "z:", volume.ErrNoDrive)
}

func TestRegistry(t *testing.T) {
	n := newNamespace(t, volume.Options{})
	r := &volume.Registry{}
	must(t, r.Register(fatDriver{}))
	if err := r.Register(fatDriver{}); !errors.Is(err, volume.ErrInUse) {
		t.Errorf("registered twice: %v", err)
	}
	m := volume.New(r, volume.Options{})
	src, _ := fatSource(t, 1440)
	must(t, m.Mount(t.Context(), "b:", src, ""))
	if err := r.Unregister("fat"); !errors.Is(err, volume.ErrBusy) {
		t.Errorf("unregistered while mounted: %v", err)
	}
	must(t, m.Unmount("b:", false))
	must(t, r.Unregister("fat"))
	if err := r.Unregister("fat"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unregistered twice: %v", err)
	}
	src, _ = fatSource(t, 1440)
	wantErr(t, "no driver", m.Mount(t.Context(), "b:", src, ""), "b:", errors.ErrUnsupported)
	wantFileSystems(t, n)
}

func wantFileSystems(t *testing.T, n *volume.Namespace) {
	t.Helper()
	var points []string
	for _, m := range n.Mounts() {
		points = append(points, m.Point)
	}
	if !slices.Equal(points, []string{"A:", "C:"}) {
		t.Errorf("mounted: %q", points)
	}
}

func TestReadOnly(t *testing.T) {
	n := newNamespace(t, volume.Options{})
	src, _ := fatSource(t, 1440)
	src.ReadOnly = true
	must(t, n.Mount(t.Context(), "r:", src, ""))
	write(t, n, "c:f", "x")
	_, created := n.Create(`r:\f`)
	_, opened := n.OpenFile(`r:\f`, os.O_RDWR, 0)
	_, copied := n.Copy(t.Context(), `r:\f`, "c:f", vfs.CopyOptions{})
	for name, err := range map[string]error{
		"create": created, "open": opened, "copy": copied, "mkdir": n.Mkdir(`r:\f`, 0o777), "remove": n.Remove(`r:\f`), "remove all": n.RemoveAll(`r:\f`),
		"label": n.SetLabel(`r:`, "X"), "attributes": n.SetAttr(`r:\f`, vfs.AttrHidden, 0), "times": n.Chtimes(`r:\f`, vfs.Times{}),
		"rename": n.Rename(`r:\f`, `r:\g`), "move to it": n.Rename("c:f", `r:\g`), "format": n.Format(t.Context(), "r:", volume.FormatOptions{}),
		"repair": n.Check(t.Context(), "r:", true, func(diskerr.Finding) {}),
	} {
		var pe *fs.PathError
		if !errors.Is(err, diskerr.ErrReadOnly) || !errors.Is(err, fs.ErrPermission) || !errors.As(err, &pe) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, n.Check(t.Context(), "r:", false, func(f diskerr.Finding) { t.Errorf("found %v", f) }))
	wantFile(t, n, "c:f", "x")
}

func TestMoveAcross(t *testing.T) {
	n := newNamespace(t, volume.Options{})
	must(t, n.MkdirAll(`a:\tree\sub`, 0o777))
	write(t, n, `a:\tree\sub\f`, "deep")
	write(t, n, `a:\one`, "1")
	must(t, n.SetAttr(`a:\one`, vfs.AttrReadOnly, 0))
	write(t, n, `c:\two`, "old")
	must(t, n.Rename(`a:\tree`, `c:\moved`))
	must(t, n.Rename(`a:\one`, `c:\two`))
	wantFile(t, n, `c:\moved\sub\f`, "deep")
	wantFile(t, n, `c:\two`, "1")
	for _, gone := range []string{`a:\tree`, `a:\one`} {
		if _, err := n.Stat(gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", gone, err)
		}
	}
	must(t, n.Mkdir(`a:\full`, 0o777))
	write(t, n, `a:\full\f`, "x")
	if err := n.Rename(`c:\moved`, `a:\full`); err == nil {
		t.Error("a directory replaced one that is not empty")
	}
	if err := n.Rename(`c:\two`, `a:\full`); err == nil {
		t.Error("a file replaced a directory")
	}
	if err := n.Rename(`c:\two`, `a:\none\x`); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("into a missing directory: %v", err)
	}
	for dir, want := range map[string][]string{`a:\`: {"full"}, `c:\`: {"moved", "two"}} {
		list, err := n.ReadDir(dir)
		must(t, err)
		var names []string
		for _, e := range list {
			names = append(names, e.Name())
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s holds %q, want %q: a failed move left something", dir, names, want)
		}
	}
	// The target cannot hold all of it.
	must(t, n.Truncate(`c:\two`, 20<<20))
	if err := n.Rename(`c:\two`, `a:\big`); !errors.Is(err, diskerr.ErrNoSpace) {
		t.Errorf("to a full volume: %v", err)
	}
	if fi, err := n.Stat(`c:\two`); err != nil || fi.Size() != 20<<20 {
		t.Errorf("the source of a move that failed: %v, %v", fi, err)
	}
	wantErr(t, "the failed move", n.Rename(`c:\two`, `q:\two`), `q:\two`, volume.ErrNoDrive)
}

// A move that is interrupted leaves everything as it was.
func TestInterruptedMove(t *testing.T) {
	n := newNamespace(t, volume.Options{})
	write(t, n, `c:\big`, strings.Repeat("x", 4<<20))
	ctx, cancel := context.WithCancel(t.Context())
	var seen vfs.Tally
	err := n.Move(ctx, `c:\big`, `a:\big`, func(now vfs.Tally) {
		seen = now
		cancel()
	})
	if !errors.Is(err, context.Canceled) || seen.Bytes == 0 {
		t.Errorf("after %+v: %v", seen, err)
	}
	if list, err := n.ReadDir(`a:\`); err != nil || len(list) != 0 {
		t.Errorf("the target holds %v, %v", list, err)
	}
	wantFile(t, n, `c:\big`, strings.Repeat("x", 4<<20))
}

func TestCopyKeepsItsSource(t *testing.T) {
	n := newNamespace(t, volume.Options{})
	write(t, n, `a:\a longer name.txt`, "kept")
	must(t, n.MkdirAll(`a:\dir\sub`, 0o777))
	must(t, n.Subst("s:", `a:\dir`))
	for _, c := range []struct{ to, from string }{
		{`a:\A LONGER NAME.TXT`, `a:\a longer name.txt`}, {`a:\ALONGE~1.TXT`, `a:\a longer name.txt`},
		{`a:\dir\sub\x`, `a:\dir`}, {`s:\SUB\x`, `a:\dir`}, {`a:\x`, `a:\`},
	} {
		if _, err := n.Copy(t.Context(), c.to, c.from, vfs.CopyOptions{}); err == nil || !strings.Contains(err.Error(), "itself") {
			t.Errorf("copy %s to %s: %v", c.from, c.to, err)
		}
	}
	wantFile(t, n, `a:\a longer name.txt`, "kept")
	if _, err := n.Copy(t.Context(), `c:\tree`, `a:\`, vfs.CopyOptions{}); err != nil {
		t.Error(err)
	}
	wantFile(t, n, `c:\tree\a longer name.txt`, "kept")
}

// A forced unmount ends a copy, one without force refuses.
func TestUnmountDuringCopy(t *testing.T) {
	n := newNamespace(t, volume.Options{})
	write(t, n, `c:\big`, strings.Repeat("x", 4<<20))
	began, done := make(chan struct{}), make(chan error)
	o := vfs.CopyOptions{}
	o.Progress = func(p vfs.Tally) {
		if p.Bytes == 1<<20 {
			close(began)
			<-done
		}
	}
	ended := make(chan error)
	go func() {
		_, err := n.Copy(context.Background(), `a:\big`, `c:\big`, o)
		ended <- err
	}()
	<-began
	if err := n.Unmount("a:", false); !errors.Is(err, volume.ErrBusy) {
		t.Errorf("unmount during a copy: %v", err)
	}
	unmounted := make(chan error)
	go func() { unmounted <- n.Unmount("a:", true) }()
	for len(n.Mounts()) > 1 && n.Mounts()[0].Volume != nil {
		runtime.Gosched()
	}
	close(done)
	if err := <-ended; !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the copy ended with %v", err)
	}
	must(t, <-unmounted)
}

func TestDevices(t *testing.T) {
	console := make(chan string, 10)
	n := newNamespace(t, volume.Options{DeviceNames: true, Devices: map[string]func() vfs.File{
		"CON": func() vfs.File {
			f, _ := volume.New(nil, volume.Options{DeviceNames: true}).OpenFile("nul", 0, 0)
			return conFile{f, console}
		},
	}})
	write(t, n, "nul", "gone")
	write(t, n, `a:\NUL:`, "gone")
	wantFile(t, n, "Nul", "")
	write(t, n, "CON", "hello")
	if got := <-console; got != "hello" {
		t.Errorf("the console got %q", got)
	}
	_, err := n.Create(`a:\nul.txt`)
	wantErr(t, "create", err, `a:\nul.txt`, volume.ErrDeviceName)
	wantErr(t, "mkdir", n.Mkdir(`a:\con`, 0o777), `a:\con`, fs.ErrInvalid)
	wantErr(t, "mkdirs", n.MkdirAll(`a:\x\com1\y`, 0o777), `a:\x\com1\y`, volume.ErrDeviceName)
	write(t, n, `a:\f`, "f")
	wantErr(t, "rename", n.Rename(`a:\f`, `a:\LPT1.x`), `a:\f`, volume.ErrDeviceName)
	wantErr(t, "move", n.Rename(`a:\f`, `c:\aux`), `a:\f`, volume.ErrDeviceName)
	// A medium of another system may hold such a name. It can be used.
	m := volume.New(nil, volume.Options{DeviceNames: true})
	must(t, m.Attach("m:", iofs.New(fstest.MapFS{"aux.c": {Data: []byte("c")}}), ""))
	wantFile(t, m, `m:\aux.c`, "c")
	must(t, n.Attach("m:", iofs.New(fstest.MapFS{"aux.c": {Data: []byte("c")}, "b": {}}), ""))
	if _, err := n.Copy(t.Context(), `a:\m`, `m:\`, vfs.CopyOptions{}); !errors.Is(err, volume.ErrDeviceName) {
		t.Errorf("copy of a tree with such a name: %v", err)
	}
}

type conFile struct {
	vfs.File
	to chan string
}

func (c conFile) Write(p []byte) (int, error) { c.to <- string(p); return len(p), nil }

func TestCheckAndFormat(t *testing.T) {
	n := newNamespace(t, volume.Options{})
	write(t, n, `a:\f`, "x")
	f, err := n.Open(`a:\f`)
	must(t, err)
	none := func(f diskerr.Finding) { t.Errorf("found %v", f) }
	wantErr(t, "check with an open file", n.Check(t.Context(), "a:", false, none), "a:", volume.ErrBusy)
	must(t, f.Close())
	must(t, n.Chdir("a:"))
	must(t, n.Check(t.Context(), "a:", false, none))
	wantFile(t, n, `a:\f`, "x")
	must(t, n.Format(t.Context(), "a:", volume.FormatOptions{Label: "NEW"}))
	if list, err := n.ReadDir(`a:\`); err != nil || len(list) != 0 {
		t.Errorf("a volume that was formatted holds %v, %v", list, err)
	}
	wantErr(t, "check a directory", n.Check(t.Context(), "c:", false, none), "c:", errors.ErrUnsupported)
	wantErr(t, "format nothing", n.Format(t.Context(), "q:", volume.FormatOptions{}), "q:", volume.ErrNoDrive)
	must(t, n.Mkdir(`a:\d`, 0o777))
	must(t, n.Subst("s:", `a:\d`))
	wantErr(t, "check with a second name", n.Check(t.Context(), "a:", false, none), "a:", volume.ErrBusy)
	wantErr(t, "check a second name", n.Check(t.Context(), "s:", false, none), "s:", volume.ErrBusy)
	if len(n.Mounts()) != 3 {
		t.Errorf("mounted: %v", n.Mounts())
	}
}
