package vfstest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"testing"

	"github.com/fatkit/fatkit/vfs"
)

func init() {
	Cases["file/write-read"] = fileWriteRead
	Cases["file/flags"] = fileFlags
	Cases["file/append"] = fileAppend
	Cases["file/gap-is-zero"] = fileGap
	Cases["file/truncate"] = fileTruncate
	Cases["file/seek"] = fileSeek
	Cases["file/overwrite-inside"] = fileOverwrite
	Cases["file/large-scattered"] = fileScattered
	Cases["file/closed"] = fileClosed
	Cases["file/two-handles"] = fileTwoHandles
	Cases["file/removed-while-open"] = fileRemovedOpen
	Cases["file/modes"] = fileModes
}

func fileWriteRead(t *testing.T, e Env) {
	for _, n := range []int{0, 1, 511, 512, 513, 4096, 70_000, 300_001} {
		want := pattern(n, byte(n))
		must(t, vfs.WriteFile(e.FS, "f", want, 0o666))
		e.wantFile(t, "f", want)
	}
}

func fileFlags(t *testing.T, e Env) {
	_, err := e.FS.OpenFile("f", os.O_RDWR, 0)
	wantErr(t, "open what is not there", err, fs.ErrNotExist)
	_, err = e.FS.OpenFile("no/f", os.O_RDWR|os.O_CREATE, 0o666)
	wantErr(t, "create in a missing directory", err, fs.ErrNotExist)
	for _, bad := range []string{"/f", "../f", "", "a//b", "f/"} {
		_, err = e.FS.OpenFile(bad, os.O_RDWR|os.O_CREATE, 0o666)
		wantErr(t, "create "+bad, err, fs.ErrInvalid)
	}
	e.write(t, "f", "hello")
	_, err = e.FS.OpenFile("f", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	wantErr(t, "exclusive create of a file that exists", err, fs.ErrExist)
	_, err = e.FS.OpenFile("f", os.O_RDONLY|os.O_EXCL, 0)
	wantErr(t, "O_EXCL without O_CREATE", err, fs.ErrInvalid)
	e.wantFile(t, "f", []byte("hello"))
	f, err := e.FS.OpenFile("f", os.O_RDWR|os.O_CREATE, 0o666)
	must(t, err)
	must(t, f.Close())
	e.wantFile(t, "f", []byte("hello"))
	f, err = e.FS.OpenFile("f", os.O_WRONLY|os.O_TRUNC, 0)
	must(t, err)
	must(t, f.Close())
	e.wantFile(t, "f", nil)
	must(t, e.FS.Mkdir("d", 0o777))
	if _, err = e.FS.OpenFile("d", os.O_RDWR, 0); err == nil {
		t.Fatal("a directory was opened for writing")
	}
	_, err = e.FS.OpenFile("d", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	wantErr(t, "exclusive create over a directory", err, fs.ErrExist)
	if _, err = e.FS.OpenFile("f/g", os.O_RDWR|os.O_CREATE, 0o666); err == nil {
		t.Fatal("a file was created below a file")
	}
}

func fileAppend(t *testing.T, e Env) {
	e.write(t, "f", "one")
	f, err := e.FS.OpenFile("f", os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	for range 3 {
		_, err = f.Write([]byte(",two"))
		must(t, err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Fatal("WriteAt of a file opened with O_APPEND worked")
	}
	must(t, f.Close())
	e.wantFile(t, "f", []byte("one,two,two,two"))
}

func fileGap(t *testing.T, e Env) {
	// Fill space first and free it, so that the gap lies on old bytes.
	must(t, vfs.WriteFile(e.FS, "old", bytes.Repeat([]byte{0xEE}, 200_000), 0o666))
	must(t, e.FS.Remove("old"))
	must(t, vfs.Sync(e.FS))
	f, err := vfs.Create(e.FS, "f")
	must(t, err)
	_, err = f.WriteAt([]byte("a"), 0)
	must(t, err)
	_, err = f.WriteAt([]byte("b"), 100_000)
	must(t, err)
	want := make([]byte, 100_001)
	want[0], want[100_000] = 'a', 'b'
	e.wantFile(t, "f", want)
	must(t, f.Truncate(150_000))
	must(t, f.Close())
	e.wantFile(t, "f", append(want, make([]byte, 49_999)...))
}

func fileTruncate(t *testing.T, e Env) {
	want := pattern(50_000, 7)
	must(t, vfs.WriteFile(e.FS, "f", want, 0o666))
	f, err := e.FS.OpenFile("f", os.O_RDWR, 0)
	must(t, err)
	if err := f.Truncate(-1); err == nil {
		t.Fatal("a file was truncated to a negative size")
	}
	for _, n := range []int{49_999, 40_960, 40_000, 513, 512, 511, 1} {
		must(t, f.Truncate(int64(n)))
		e.wantFile(t, "f", want[:n])
	}
	must(t, f.Truncate(20_000))
	e.wantFile(t, "f", append(want[:1:1], make([]byte, 19_999)...))
	must(t, f.Truncate(0))
	e.wantFile(t, "f", nil)
	_, err = f.WriteAt([]byte("again"), 0)
	must(t, err)
	must(t, f.Close())
	e.wantFile(t, "f", []byte("again"))
}

func fileSeek(t *testing.T, e Env) {
	f, err := vfs.Create(e.FS, "f")
	must(t, err)
	_, err = f.Write([]byte("0123456789"))
	must(t, err)
	for _, c := range []struct {
		off    int64
		whence int
		pos    int64
		next   string
	}{{2, io.SeekStart, 2, "23"}, {1, io.SeekCurrent, 5, "56"}, {-3, io.SeekEnd, 7, "78"}} {
		pos, err := f.Seek(c.off, c.whence)
		must(t, err)
		buf := make([]byte, 2)
		_, err = io.ReadFull(f, buf)
		must(t, err)
		if pos != c.pos || string(buf) != c.next {
			t.Fatalf("Seek(%d, %d) is %d and reads %q, want %d and %q", c.off, c.whence, pos, buf, c.pos, c.next)
		}
	}
	if _, err := f.Seek(-1, io.SeekStart); err == nil {
		t.Fatal("Seek before the start worked")
	}
	_, err = f.Seek(20, io.SeekStart)
	must(t, err)
	if n, err := f.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("Read past the end is %d, %v", n, err)
	}
	_, err = f.Write([]byte("x"))
	must(t, err)
	must(t, f.Close())
	e.wantFile(t, "f", append([]byte("0123456789"), "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00x"...))
}

func fileOverwrite(t *testing.T, e Env) {
	want := pattern(100_000, 1)
	must(t, vfs.WriteFile(e.FS, "f", want, 0o666))
	f, err := e.FS.OpenFile("f", os.O_WRONLY, 0)
	must(t, err)
	for _, off := range []int{0, 1, 511, 4095, 4096, 65_535, 99_990} {
		_, err = f.WriteAt([]byte("0123456789"), int64(off))
		must(t, err)
		copy(want[off:], "0123456789")
	}
	if _, err := f.Read(make([]byte, 1)); err == nil {
		t.Fatal("a file opened for writing only was read")
	}
	must(t, f.Close())
	e.wantFile(t, "f", want)
}

func fileScattered(t *testing.T, e Env) {
	// Two files that grow in turns, so that neither lies in one piece.
	names := []string{"a", "b"}
	files := []vfs.File{}
	for _, n := range names {
		f, err := vfs.Create(e.FS, n)
		must(t, err)
		files = append(files, f)
	}
	want := pattern(200_000, 9)
	for off := 0; off < len(want); off += 5000 {
		for _, f := range files {
			_, err := f.Write(want[off : off+5000])
			must(t, err)
		}
	}
	for i, f := range files {
		got := make([]byte, 70_000)
		_, err := f.ReadAt(got, 65_000)
		must(t, err)
		if !bytes.Equal(got, want[65_000:135_000]) {
			t.Fatalf("%s reads wrong bytes in the middle", names[i])
		}
		if n, err := f.ReadAt(got, 199_990); n != 10 || err != io.EOF {
			t.Fatalf("ReadAt across the end is %d, %v", n, err)
		}
		must(t, f.Sync())
		must(t, f.Close())
		e.wantFile(t, names[i], want)
	}
}

func fileClosed(t *testing.T, e Env) {
	f, err := vfs.Create(e.FS, "f")
	must(t, err)
	must(t, f.Close())
	_, err = f.Write([]byte("x"))
	wantErr(t, "Write after Close", err, fs.ErrClosed)
	_, err = f.Read(make([]byte, 1))
	wantErr(t, "Read after Close", err, fs.ErrClosed)
	wantErr(t, "Truncate after Close", f.Truncate(3), fs.ErrClosed)
	wantErr(t, "Close after Close", f.Close(), fs.ErrClosed)
}

func fileTwoHandles(t *testing.T, e Env) {
	w, err := vfs.Create(e.FS, "f")
	must(t, err)
	r, err := e.FS.Open("f")
	must(t, err)
	_, err = w.Write([]byte("shared"))
	must(t, err)
	got, err := io.ReadAll(r)
	must(t, err)
	if string(got) != "shared" {
		t.Fatalf("the other handle reads %q", got)
	}
	must(t, r.Close())
	must(t, e.FS.Rename("f", "g"))
	_, err = w.Write([]byte("!"))
	must(t, err)
	must(t, w.Close())
	e.wantFile(t, "g", []byte("shared!"))
	e.wantNames(t, ".", "g")
}

func fileRemovedOpen(t *testing.T, e Env) {
	if !e.OpenRemoved {
		t.Skip("this tree does not keep files that are removed while open")
	}
	f, err := vfs.Create(e.FS, "f")
	must(t, err)
	_, err = f.Write(pattern(10_000, 1))
	must(t, err)
	must(t, e.FS.Remove("f"))
	e.wantNames(t, ".")
	e.write(t, "f", "another")
	_, err = f.WriteAt([]byte("late"), 20_000)
	must(t, err)
	got := make([]byte, 10_000)
	_, err = f.ReadAt(got, 0)
	must(t, err)
	if !bytes.Equal(got, pattern(10_000, 1)) {
		t.Fatal("the removed file lost its content")
	}
	must(t, f.Close())
	e.wantFile(t, "f", []byte("another"))
}

func fileModes(t *testing.T, e Env) {
	e.write(t, "f", "x")
	if err := vfs.Chmod(e.FS, "f", 0o444); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("no permission bits")
	} else {
		must(t, err)
	}
	fi, err := fs.Stat(e.FS, "f")
	must(t, err)
	if fi.Mode().Perm()&0o222 != 0 {
		t.Fatalf("mode after Chmod 0444 is %v", fi.Mode())
	}
	if os.Getuid() != 0 || e.Attr { // root may write what it cannot
		_, err = e.FS.OpenFile("f", os.O_RDWR, 0)
		wantErr(t, "open a read-only file for writing", err, fs.ErrPermission)
	}
	must(t, vfs.Chmod(e.FS, "f", 0o666))
	e.write(t, "f", "y")
	e.wantFile(t, "f", []byte("y"))
}
