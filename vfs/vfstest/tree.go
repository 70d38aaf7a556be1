package vfstest

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fatkit/fatkit/vfs"
)

func init() {
	Cases["tree/mkdir"] = treeMkdir
	Cases["tree/remove"] = treeRemove
	Cases["tree/remove-all"] = treeRemoveAll
	Cases["tree/rename"] = treeRename
	Cases["tree/rename-replaces"] = treeRenameReplaces
	Cases["tree/rename-directory"] = treeRenameDir
	Cases["tree/rename-case"] = treeRenameCase
	Cases["tree/many-names"] = treeManyNames
	Cases["tree/names"] = treeNames
	Cases["tree/times"] = treeTimes
	Cases["tree/attributes"] = treeAttributes
	Cases["tree/sub"] = treeSub
	Cases["tree/copy-and-walk"] = treeCopyWalk
	Cases["tree/concurrent"] = treeConcurrent
}

func treeMkdir(t *testing.T, e Env) {
	must(t, e.FS.Mkdir("d", 0o777))
	wantErr(t, "mkdir of what exists", e.FS.Mkdir("d", 0o777), fs.ErrExist)
	wantErr(t, "mkdir of the root", e.FS.Mkdir(".", 0o777), fs.ErrExist)
	wantErr(t, "mkdir in a missing directory", e.FS.Mkdir("x/y", 0o777), fs.ErrNotExist)
	wantErr(t, "mkdir of a bad name", e.FS.Mkdir("../y", 0o777), fs.ErrInvalid)
	e.write(t, "f", "")
	if err := e.FS.Mkdir("f/y", 0o777); err == nil {
		t.Fatal("a directory was made below a file")
	}
	wantErr(t, "mkdir over a file", e.FS.Mkdir("f", 0o777), fs.ErrExist)
	must(t, vfs.MkdirAll(e.FS, "d/e/f/g", 0o777))
	must(t, vfs.MkdirAll(e.FS, "d/e/f/g", 0o777))
	must(t, vfs.MkdirAll(e.FS, ".", 0o777))
	if err := vfs.MkdirAll(e.FS, "f/y/z", 0o777); err == nil {
		t.Fatal("MkdirAll went through a file")
	}
	e.wantNames(t, "d/e/f", "g")
	e.wantNames(t, ".", "d", "f")
}

func treeRemove(t *testing.T, e Env) {
	wantErr(t, "remove what is not there", e.FS.Remove("f"), fs.ErrNotExist)
	wantErr(t, "remove the root", e.FS.Remove("."), fs.ErrInvalid)
	must(t, e.FS.Mkdir("d", 0o777))
	e.write(t, "d/f", "x")
	if err := e.FS.Remove("d"); err == nil {
		t.Fatal("a directory that is not empty was removed")
	}
	e.wantNames(t, "d", "f")
	must(t, e.FS.Remove("d/f"))
	must(t, e.FS.Remove("d"))
	e.wantNames(t, ".")
}

func treeRemoveAll(t *testing.T, e Env) {
	must(t, vfs.RemoveAll(e.FS, "nothing"))
	for i := range 20 {
		d := fmt.Sprintf("d/%d/sub", i)
		must(t, vfs.MkdirAll(e.FS, d, 0o777))
		e.write(t, d+"/f", strings.Repeat("x", i*1000))
	}
	e.write(t, "f", "stays")
	must(t, vfs.RemoveAll(e.FS, "d/3"))
	if _, err := fs.Stat(e.FS, "d/3"); err == nil {
		t.Fatal("d/3 is still there")
	}
	must(t, vfs.RemoveAll(e.FS, "d"))
	e.wantNames(t, ".", "f")
	must(t, vfs.RemoveAll(e.FS, "."))
	e.wantNames(t, ".")
}

func treeRename(t *testing.T, e Env) {
	wantErr(t, "rename of what is not there", e.FS.Rename("a", "b"), fs.ErrNotExist)
	must(t, e.FS.Mkdir("d", 0o777))
	e.write(t, "a", "content of a")
	must(t, e.FS.Rename("a", "b"))
	must(t, e.FS.Rename("b", "b"))
	must(t, e.FS.Rename("b", "d/a name that is long enough to need many slots.text"))
	wantErr(t, "rename into a missing directory",
		e.FS.Rename("d/a name that is long enough to need many slots.text", "no/x"), fs.ErrNotExist)
	must(t, e.FS.Rename("d/a name that is long enough to need many slots.text", "d/s"))
	e.wantNames(t, ".", "d")
	e.wantNames(t, "d", "s")
	e.wantFile(t, "d/s", []byte("content of a"))
	wantErr(t, "rename of the root", e.FS.Rename(".", "x"), fs.ErrInvalid)
}

func treeRenameReplaces(t *testing.T, e Env) {
	e.write(t, "a", "new")
	e.write(t, "b", "old")
	must(t, e.FS.Rename("a", "b"))
	e.wantNames(t, ".", "b")
	e.wantFile(t, "b", []byte("new"))
	must(t, e.FS.Mkdir("d", 0o777))
	must(t, e.FS.Mkdir("full", 0o777))
	e.write(t, "full/x", "")
	if err := e.FS.Rename("b", "d"); err == nil {
		t.Fatal("a file replaced a directory")
	}
	if err := e.FS.Rename("d", "b"); err == nil {
		t.Fatal("a directory replaced a file")
	}
	if err := e.FS.Rename("d", "full"); err == nil {
		t.Fatal("a directory replaced one that is not empty")
	}
	e.wantNames(t, ".", "b", "d", "full")
	// A three-way swap through a spare name.
	e.write(t, "p", "P")
	e.write(t, "q", "Q")
	must(t, e.FS.Rename("p", "tmp"))
	must(t, e.FS.Rename("q", "p"))
	must(t, e.FS.Rename("tmp", "q"))
	e.wantFile(t, "p", []byte("Q"))
	e.wantFile(t, "q", []byte("P"))
}

func treeRenameDir(t *testing.T, e Env) {
	must(t, vfs.MkdirAll(e.FS, "a/b/c", 0o777))
	e.write(t, "a/b/c/f", "deep")
	if err := e.FS.Rename("a", "a/b/x"); err == nil {
		t.Fatal("a directory moved into itself")
	}
	must(t, e.FS.Mkdir("z", 0o777))
	must(t, e.FS.Rename("a/b", "z/moved"))
	e.wantFile(t, "z/moved/c/f", []byte("deep"))
	e.wantNames(t, "a")
	must(t, e.FS.Rename("z/moved", "up"))
	e.wantFile(t, "up/c/f", []byte("deep"))
	must(t, e.FS.Mkdir("empty", 0o777))
	must(t, e.FS.Rename("z", "zz"))
	e.wantNames(t, ".", "a", "empty", "up", "zz")
}

func treeRenameCase(t *testing.T, e Env) {
	if !e.IgnoresCase {
		e.write(t, "name", "lower")
		e.write(t, "NAME", "upper")
		e.wantFile(t, "name", []byte("lower"))
		e.wantNames(t, ".", "NAME", "name")
		return
	}
	e.write(t, "Straße.txt", "1")
	e.wantFile(t, "STRAßE.TXT", []byte("1"))
	_, err := e.FS.OpenFile("sTRAße.TXT", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	wantErr(t, "create another spelling", err, fs.ErrExist)
	if !e.KeepsCase {
		return
	}
	must(t, e.FS.Rename("Straße.txt", "STRAßE.txt"))
	e.wantNames(t, ".", "STRAßE.txt")
	must(t, e.FS.Rename("straße.txt", "short"))
	must(t, e.FS.Rename("short", "SHORT"))
	e.wantNames(t, ".", "SHORT")
	must(t, e.FS.Rename("SHORT", "ShOrT"))
	e.wantNames(t, ".", "ShOrT")
	e.wantFile(t, "short", []byte("1"))
}

func treeManyNames(t *testing.T, e Env) {
	must(t, e.FS.Mkdir("d", 0o777))
	var want []string
	for i := range 300 {
		name := fmt.Sprintf("a rather long file name, number %03d.txt", i)
		e.write(t, "d/"+name, name)
		want = append(want, name)
	}
	e.wantNames(t, "d", want...)
	for i := 0; i < 300; i += 2 {
		must(t, e.FS.Remove("d/"+want[i]))
	}
	for i := 1; i < 300; i += 2 {
		e.wantFile(t, "d/"+want[i], []byte(want[i]))
	}
	for i := 0; i < 300; i += 2 {
		e.write(t, "d/"+want[i], "again")
	}
	e.wantNames(t, "d", want...)
	f, err := e.FS.Open("d")
	must(t, err)
	var got []string
	for {
		list, err := f.(fs.ReadDirFile).ReadDir(7)
		for _, x := range list {
			got = append(got, x.Name())
		}
		if err != nil {
			break
		}
	}
	must(t, f.Close())
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("ReadDir in pieces finds %d names, want %d", len(got), len(want))
	}
}

func treeNames(t *testing.T, e Env) {
	names := []string{
		"8DOT3.TXT", "lower.txt", "MiXed.TxT", "no-extension", ".hidden", "two.dots.here",
		"with space", "Ünïcödé.txt", "日本語", "emoji 😀.png", "plus+comma,semi;eq=[x]",
		strings.Repeat("x", 200) + ".long", "~tilde", "a~1", "a~1.b~2",
	}
	for i, n := range names {
		e.write(t, n, fmt.Sprint(i))
	}
	for i, n := range names {
		e.wantFile(t, n, []byte(fmt.Sprint(i)))
	}
	slices.Sort(names)
	e.wantNames(t, ".", names...)
}

func treeTimes(t *testing.T, e Env) {
	if e.TimeStep == 0 {
		t.Skip("times cannot be set")
	}
	e.write(t, "f", "x")
	must(t, e.FS.Mkdir("d", 0o777))
	want := time.Date(2013, 5, 17, 13, 37, 41, 0, time.UTC)
	for _, name := range []string{"f", "d"} {
		must(t, vfs.Chtimes(e.FS, name, vfs.Times{Modified: want}))
		fi, err := fs.Stat(e.FS, name)
		must(t, err)
		if diff := fi.ModTime().Sub(want).Abs(); diff >= e.TimeStep {
			t.Fatalf("%s: time of change is %v, want %v", name, fi.ModTime(), want)
		}
	}
	start := time.Now().Add(-e.TimeStep)
	e.write(t, "f", "y")
	fi, err := fs.Stat(e.FS, "f")
	must(t, err)
	if fi.ModTime().Before(start) {
		t.Fatalf("time of change after a write is %v, before %v", fi.ModTime(), start)
	}
}

func treeAttributes(t *testing.T, e Env) {
	if !e.Attr {
		t.Skip("no attributes")
	}
	e.write(t, "f", "x")
	must(t, vfs.SetAttr(e.FS, "f", vfs.AttrHidden|vfs.AttrSystem|vfs.AttrReadOnly, vfs.AttrArchive))
	a, err := vfs.GetAttr(e.FS, "f")
	must(t, err)
	if a != vfs.AttrHidden|vfs.AttrSystem|vfs.AttrReadOnly {
		t.Fatalf("attributes are %#x", a)
	}
	must(t, vfs.SetAttr(e.FS, "f", vfs.AttrArchive, vfs.AttrHidden|vfs.AttrSystem|vfs.AttrReadOnly))
	a, err = vfs.GetAttr(e.FS, "f")
	must(t, err)
	if a != vfs.AttrArchive {
		t.Fatalf("attributes are %#x", a)
	}
}

func treeSub(t *testing.T, e Env) {
	must(t, vfs.MkdirAll(e.FS, "a/b", 0o777))
	sub, err := vfs.Sub(e.FS, "a")
	must(t, err)
	must(t, vfs.WriteFile(sub, "b/f", []byte("x"), 0o666))
	e.wantFile(t, "a/b/f", []byte("x"))
	_, err = sub.OpenFile("../x", os.O_RDWR|os.O_CREATE, 0o666)
	wantErr(t, "leave a sub-tree", err, fs.ErrInvalid)
	must(t, sub.Rename("b/f", "g"))
	e.wantNames(t, "a", "b", "g")
	must(t, vfs.RemoveAll(sub, "."))
	e.wantNames(t, "a")
	if _, err := vfs.Sub(e.FS, "missing"); err == nil {
		t.Fatal("Sub of a missing directory worked")
	}
}

func treeCopyWalk(t *testing.T, e Env) {
	ctx := context.Background()
	must(t, vfs.MkdirAll(e.FS, "a/b", 0o777))
	e.write(t, "a/one", strings.Repeat("1", 3_000_000))
	e.write(t, "a/b/two", "2")
	var last vfs.Tally
	done, err := vfs.Copy(ctx, e.FS, "c", e.FS, "a", vfs.CopyOptions{
		Preserve: true, Progress: func(p vfs.Tally) { last = p },
	})
	must(t, err)
	want := vfs.Tally{Files: 2, Dirs: 2, Bytes: 3_000_001}
	if done != want || last != want {
		t.Fatalf("copied %+v, last progress %+v, want %+v", done, last, want)
	}
	measured, err := vfs.Measure(ctx, e.FS, "c", nil)
	must(t, err)
	if measured != want {
		t.Fatalf("measured %+v, want %+v", measured, want)
	}
	e.wantFile(t, "c/b/two", []byte("2"))
	e.wantFile(t, "c/one", []byte(strings.Repeat("1", 3_000_000)))
	stopped, stop := context.WithCancel(ctx)
	stop()
	if _, err := vfs.Copy(stopped, e.FS, "d", e.FS, "a", vfs.CopyOptions{}); err != context.Canceled {
		t.Fatalf("a cancelled copy gives %v", err)
	}
	e.write(t, "a/one", "changed")
	_, err = vfs.Copy(ctx, e.FS, "c", e.FS, "a", vfs.CopyOptions{NoReplace: true})
	must(t, err)
	e.wantFile(t, "c/one", []byte(strings.Repeat("1", 3_000_000)))
}

func treeConcurrent(t *testing.T, e Env) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			dir := fmt.Sprintf("g%d", g)
			if err := e.FS.Mkdir(dir, 0o777); err != nil {
				t.Error(err)
				return
			}
			for i := range 20 {
				name := path.Join(dir, fmt.Sprintf("file number %d", i))
				data := pattern(i*700, byte(g))
				if err := vfs.WriteFile(e.FS, name, data, 0o666); err != nil {
					t.Error(err)
				}
				if got, err := fs.ReadFile(e.FS, name); err != nil || string(got) != string(data) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
				if i%3 == 0 {
					if err := e.FS.Rename(name, name+" moved"); err != nil {
						t.Error(err)
					}
				}
				if i%7 == 0 {
					if err := vfs.Sync(e.FS); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	m, err := vfs.Measure(context.Background(), e.FS, ".", nil)
	must(t, err)
	if m.Files != 160 || m.Dirs != 9 {
		t.Fatalf("found %+v", m)
	}
}
