package mount

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fatkit/fatkit/fusemount"
)

// posix are the cases, each in a directory of its own.
var posix = map[string]func(t *testing.T, dir string){
	"files/write-read":      filesWriteRead,
	"files/append":          filesAppend,
	"files/truncate":        filesTruncate,
	"files/gap":             filesGap,
	"files/exclusive":       filesExclusive,
	"files/removed-open":    filesRemovedOpen,
	"files/replaced-open":   filesReplacedOpen,
	"files/mapped":          filesMapped,
	"files/direct":          filesDirect,
	"files/allocate":        filesAllocate,
	"files/too-large":       filesTooLarge,
	"files/full":            filesFull,
	"names/rename":          namesRename,
	"names/rename-flags":    namesRenameFlags,
	"names/case":            namesCase,
	"names/illegal":         namesIllegal,
	"names/no-such-kinds":   namesNoSuchKinds,
	"dirs/remove":           dirsRemove,
	"dirs/many":             dirsMany,
	"dirs/rewind":           dirsRewind,
	"dirs/changed-listing":  dirsChangedListing,
	"attributes/times":      attributesTimes,
	"attributes/modes":      attributesModes,
	"attributes/owners":     attributesOwners,
	"attributes/inodes":     attributesInodes,
	"attributes/dos":        attributesDOS,
	"attributes/filesystem": attributesFileSystem,
}

func TestPosix(t *testing.T) {
	types := []int{12, 16, 32}
	if testing.Short() { // the race detector sees enough of one
		types = types[2:]
	}
	for _, bits := range types {
		t.Run(fmt.Sprint("FAT", bits), func(t *testing.T) {
			v := newVolume(t, bits, fusemount.Options{Umask: 0o022, UID: uint32(os.Getuid()), GID: uint32(os.Getgid())})
			for name, fn := range posix {
				t.Run(name, func(t *testing.T) {
					dir := v.path(strings.ReplaceAll(name, "/", "-"))
					must(t, os.Mkdir(dir, 0o777))
					fn(t, dir)
					must(t, os.RemoveAll(dir))
				})
			}
		})
	}
}

// want checks the system's number of an error.
func want(t *testing.T, what string, err error, errno syscall.Errno) {
	t.Helper()
	if !errors.Is(err, errno) {
		t.Errorf("%s: %v, want %v", what, err, errno)
	}
}

// holds checks the content of a file, and its size.
func holds(t *testing.T, name string, content []byte) {
	t.Helper()
	got, err := os.ReadFile(name)
	must(t, err)
	fi, err := os.Stat(name)
	must(t, err)
	if !bytes.Equal(got, content) || fi.Size() != int64(len(content)) {
		t.Errorf("%s holds %d bytes, size %d; want %d, or they differ", filepath.Base(name), len(got), fi.Size(), len(content))
	}
}

// text returns n bytes that differ.
func text(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i * 131 >> 3)
	}
	return p
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	must(t, os.WriteFile(name, content, 0o666))
}

func filesWriteRead(t *testing.T, dir string) {
	for _, n := range []int{0, 1, 511, 4096, 4097, 300_001, 1<<20 + 5} {
		write(t, dir+"/f", text(n))
		holds(t, dir+"/F", text(n))
	}
}

func filesAppend(t *testing.T, dir string) {
	var files [2]*os.File
	for i := range files {
		f, err := os.OpenFile(dir+"/f", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
		must(t, err)
		defer f.Close()
		files[i] = f
	}
	for i := range 6 {
		_, err := files[i%2].WriteString(fmt.Sprint(i))
		must(t, err)
	}
	holds(t, dir+"/f", []byte("012345"))
}

func filesTruncate(t *testing.T, dir string) {
	name, p := dir+"/f", text(50_000)
	write(t, name, p)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	must(t, os.Truncate(name, 20_000)) // beneath the open file
	holds(t, name, p[:20_000])
	must(t, f.Truncate(30_000))
	holds(t, name, append(slices.Clone(p[:20_000]), make([]byte, 10_000)...))
	_, err = f.WriteAt([]byte("x"), 0)
	must(t, err)
	g, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	must(t, err)
	must(t, g.Close())
	holds(t, name, nil)
}

func filesGap(t *testing.T, dir string) {
	f, err := os.Create(dir + "/f")
	must(t, err)
	_, err = f.WriteAt([]byte("b"), 100_000)
	must(t, err)
	must(t, f.Close())
	holds(t, dir+"/f", append(make([]byte, 100_000), 'b'))
}

func filesExclusive(t *testing.T, dir string) {
	write(t, dir+"/f", nil)
	_, err := os.OpenFile(dir+"/F", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	want(t, "exclusive creation", err, syscall.EEXIST)
	_, err = os.Open(dir + "/none")
	want(t, "opening what is not there", err, syscall.ENOENT)
	_, err = os.Open(dir + "/f/g")
	want(t, "opening below a file", err, syscall.ENOTDIR)
	_, err = os.OpenFile(dir, os.O_RDWR, 0)
	want(t, "opening a directory for writing", err, syscall.EISDIR)
}

func filesRemovedOpen(t *testing.T, dir string) {
	f, err := os.OpenFile(dir+"/f", os.O_RDWR|os.O_CREATE, 0o666)
	must(t, err)
	defer f.Close()
	_, err = f.Write(text(100_000))
	must(t, err)
	must(t, os.Remove(dir+"/f"))
	_, err = os.Stat(dir + "/f")
	want(t, "the name", err, syscall.ENOENT)
	fi, err := f.Stat()
	must(t, err)
	if fi.Size() != 100_000 || fi.Sys().(*syscall.Stat_t).Nlink != 0 {
		t.Errorf("the removed file has %d bytes and %d links", fi.Size(), fi.Sys().(*syscall.Stat_t).Nlink)
	}
	write(t, dir+"/f", []byte("another"))
	must(t, f.Truncate(60_000))
	got := make([]byte, 60_000)
	_, err = f.ReadAt(got, 0)
	must(t, err)
	if !bytes.Equal(got, text(100_000)[:60_000]) {
		t.Error("the removed file has another content")
	}
	holds(t, dir+"/f", []byte("another"))
}

func filesReplacedOpen(t *testing.T, dir string) {
	write(t, dir+"/old", []byte("old"))
	write(t, dir+"/new", []byte("new"))
	f, err := os.Open(dir + "/old")
	must(t, err)
	defer f.Close()
	must(t, os.Rename(dir+"/new", dir+"/old"))
	got := make([]byte, 3)
	_, err = f.ReadAt(got, 0)
	must(t, err)
	if string(got) != "old" {
		t.Errorf("the replaced file reads %q", got)
	}
	holds(t, dir+"/old", []byte("new"))
}

func filesMapped(t *testing.T, dir string) {
	name, p := dir+"/f", text(20_000)
	write(t, name, p)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	m, err := unix.Mmap(int(f.Fd()), 0, len(p), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	if !bytes.Equal(m, p) {
		t.Error("the mapping reads something else")
	}
	copy(m[9000:], "mapped")
	copy(p[9000:], "mapped")
	must(t, unix.Msync(m, unix.MS_SYNC))
	must(t, unix.Munmap(m))
	must(t, f.Sync())
	holds(t, name, p)
}

func filesDirect(t *testing.T, dir string) {
	f, err := os.OpenFile(dir+"/f", os.O_RDWR|os.O_CREATE|unix.O_DIRECT, 0o666)
	must(t, err)
	defer f.Close()
	p, err := unix.Mmap(-1, 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	must(t, err)
	defer unix.Munmap(p)
	copy(p, text(8192))
	_, err = f.WriteAt(p, 4096)
	must(t, err)
	clear(p)
	_, err = f.ReadAt(p, 4096)
	must(t, err)
	if !bytes.Equal(p, text(8192)) {
		t.Error("reads something else")
	}
}

func filesAllocate(t *testing.T, dir string) {
	f, err := os.Create(dir + "/f")
	must(t, err)
	defer f.Close()
	must(t, unix.Fallocate(int(f.Fd()), 0, 0, 100_000))
	holds(t, dir+"/f", make([]byte, 100_000))
	must(t, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, 200_000))
	holds(t, dir+"/f", make([]byte, 100_000))
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096)
	want(t, "a hole", err, syscall.EOPNOTSUPP)
	want(t, "allocating too much", unix.Fallocate(int(f.Fd()), 0, 0, 1<<30), syscall.ENOSPC)
}

func filesTooLarge(t *testing.T, dir string) {
	f, err := os.Create(dir + "/f")
	must(t, err)
	defer f.Close()
	want(t, "4 GiB", f.Truncate(4<<30), syscall.EFBIG)
	_, err = f.WriteAt([]byte("x"), 4<<30-1)
	want(t, "a write at 4 GiB - 1", err, syscall.EFBIG)
	holds(t, dir+"/f", nil)
}

func filesFull(t *testing.T, dir string) {
	var st unix.Statfs_t
	must(t, unix.Statfs(dir, &st))
	free := int64(st.Bfree) * int64(st.Bsize)
	f, err := os.Create(dir + "/f")
	must(t, err)
	defer f.Close()
	buf := make([]byte, 1<<20)
	for written := int64(0); err == nil && written <= int64(st.Blocks)*int64(st.Bsize); {
		var n int
		n, err = f.Write(buf)
		written += int64(n)
	}
	want(t, "a full volume", err, syscall.ENOSPC)
	must(t, f.Truncate(0))
	must(t, f.Sync())
	must(t, unix.Statfs(dir, &st))
	// The kernel tells of closed files a little later, so more can be free now.
	if again := int64(st.Bfree) * int64(st.Bsize); again < free {
		t.Errorf("%d bytes are free, were %d", again, free)
	}
}

func namesRename(t *testing.T, dir string) {
	must(t, os.MkdirAll(dir+"/d/sub", 0o777))
	must(t, os.Mkdir(dir+"/empty", 0o777))
	write(t, dir+"/f", []byte("f"))
	write(t, dir+"/d/sub/g", []byte("g"))
	f, err := os.Open(dir + "/d/sub/g")
	must(t, err)
	defer f.Close()
	want(t, "into itself", syscall.Rename(dir+"/d", dir+"/d/sub/x"), syscall.EINVAL)
	want(t, "over what is not empty", syscall.Rename(dir+"/empty", dir+"/d"), syscall.ENOTEMPTY)
	want(t, "a file over a directory", syscall.Rename(dir+"/f", dir+"/empty"), syscall.EISDIR)
	want(t, "a directory over a file", syscall.Rename(dir+"/empty", dir+"/f"), syscall.ENOTDIR)
	must(t, syscall.Rename(dir+"/d", dir+"/empty"))
	holds(t, dir+"/empty/sub/g", []byte("g"))
	must(t, os.Rename(dir+"/f", dir+"/empty/sub/g"))
	holds(t, dir+"/empty/sub/G", []byte("f"))
	got := make([]byte, 1)
	_, err = f.ReadAt(got, 0)
	must(t, err)
	if got[0] != 'g' {
		t.Error("the open file is another one after the rename")
	}
}

func namesRenameFlags(t *testing.T, dir string) {
	write(t, dir+"/a", []byte("a"))
	write(t, dir+"/b", []byte("b"))
	rename := func(from, to string, flags uint) error {
		return unix.Renameat2(unix.AT_FDCWD, dir+"/"+from, unix.AT_FDCWD, dir+"/"+to, flags)
	}
	want(t, "over another without replacing", rename("a", "B", unix.RENAME_NOREPLACE), syscall.EEXIST)
	want(t, "an exchange", rename("a", "b", unix.RENAME_EXCHANGE), syscall.EINVAL)
	must(t, rename("a", "c", unix.RENAME_NOREPLACE))
	holds(t, dir+"/c", []byte("a"))
	holds(t, dir+"/b", []byte("b"))
}

// names returns the sorted names in a directory.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range list {
		all = append(all, e.Name())
	}
	return all
}

func namesCase(t *testing.T, dir string) {
	write(t, dir+"/Note.txt", []byte("1"))
	inode := func(name string) uint64 {
		var st unix.Stat_t
		must(t, unix.Lstat(dir+"/"+name, &st))
		return st.Ino
	}
	if inode("Note.txt") != inode("nOTE.TXT") {
		t.Error("two spellings have two inode numbers")
	}
	must(t, os.Rename(dir+"/Note.txt", dir+"/between"))
	must(t, os.Rename(dir+"/between", dir+"/NOTE.txt"))
	if got := names(t, dir); !slices.Equal(got, []string{"NOTE.txt"}) {
		t.Errorf("after a change of case: %q", got)
	}
	holds(t, dir+"/note.txt", []byte("1"))
	must(t, os.Remove(dir+"/note.TXT"))
	for _, name := range []string{"NOTE.txt", "Note.txt", "nOTE.TXT", "note.txt"} {
		vanishes(t, dir+"/"+name)
	}
	write(t, dir+"/Second", nil)
	_, err := os.Stat(dir + "/Second")
	must(t, err)
	must(t, os.Rename(dir+"/SECOND", dir+"/third"))
	vanishes(t, dir+"/Second")
	must(t, os.Mkdir(dir+"/Dir", 0o777))
	write(t, dir+"/DIR/x", nil)
	must(t, os.Rename(dir+"/dir", dir+"/other"))
	if got := names(t, dir+"/OTHER"); !slices.Equal(got, []string{"x"}) {
		t.Errorf("in the renamed directory: %q", got)
	}
}

// vanishes waits until there is nothing of a name that was taken away by another
// spelling: the kernel hears of that a moment later.
func vanishes(t *testing.T, name string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(name); errors.Is(err, syscall.ENOENT) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there after the removal of another spelling", name)
		}
	}
}

func namesIllegal(t *testing.T, dir string) {
	for _, name := range []string{"a:b", "a*", "a?", "a|b", "tab\t", "dot."} {
		want(t, name, os.WriteFile(dir+"/"+name, nil, 0o666), syscall.EINVAL)
	}
	want(t, "no UTF-8", os.WriteFile(dir+"/\xff", nil, 0o666), syscall.EILSEQ)
	want(t, "256 characters", os.Mkdir(dir+"/"+strings.Repeat("a", 256), 0o777), syscall.ENAMETOOLONG)
	write(t, dir+"/"+strings.Repeat("é", 255), []byte("long"))
	holds(t, dir+"/"+strings.Repeat("É", 255), []byte("long"))
}

func namesNoSuchKinds(t *testing.T, dir string) {
	write(t, dir+"/f", nil)
	want(t, "a symbolic link", os.Symlink("f", dir+"/l"), syscall.EPERM)
	want(t, "a hard link", syscall.Link(dir+"/f", dir+"/l"), syscall.EPERM)
	want(t, "a pipe", unix.Mkfifo(dir+"/l", 0o666), syscall.EPERM)
	must(t, unix.Mknod(dir+"/g", unix.S_IFREG|0o666, 0))
	holds(t, dir+"/g", nil)
}

func dirsRemove(t *testing.T, dir string) {
	must(t, os.MkdirAll(dir+"/d/e", 0o777))
	write(t, dir+"/f", nil)
	want(t, "mkdir of what is there", os.Mkdir(dir+"/D", 0o777), syscall.EEXIST)
	want(t, "rmdir of what is not empty", syscall.Rmdir(dir+"/d"), syscall.ENOTEMPTY)
	want(t, "rmdir of a file", syscall.Rmdir(dir+"/f"), syscall.ENOTDIR)
	want(t, "unlink of a directory", syscall.Unlink(dir+"/d"), syscall.EISDIR)
	open, err := os.Open(dir + "/d/e")
	must(t, err)
	defer open.Close()
	must(t, syscall.Rmdir(dir+"/d/e"))
	must(t, syscall.Rmdir(dir+"/d"))
	list, err := open.ReadDir(-1)
	want(t, "listing a removed directory", err, syscall.ENOENT)
	if len(list) != 0 {
		t.Errorf("a removed directory lists %v", list)
	}
}

func dirsMany(t *testing.T, dir string) {
	var made []string
	for i := range 700 {
		name := fmt.Sprintf("a file with a rather long name %04d", i)
		write(t, dir+"/"+name, []byte(name))
		made = append(made, name)
	}
	if got := names(t, dir); !slices.Equal(got, made) {
		t.Errorf("%d names are listed, %d were made, or they differ", len(got), len(made))
	}
	for _, name := range made[:100] {
		holds(t, dir+"/"+name, []byte(name))
	}
}

func dirsRewind(t *testing.T, dir string) {
	write(t, dir+"/a", nil)
	f, err := os.Open(dir)
	must(t, err)
	defer f.Close()
	before, err := f.Readdirnames(-1)
	must(t, err)
	write(t, dir+"/b", nil)
	_, err = f.Seek(0, 0)
	must(t, err)
	after, err := f.Readdirnames(-1)
	must(t, err)
	if len(before) != 1 || len(after) != 2 {
		t.Errorf("%q, and after a rewind %q", before, after)
	}
}

// What was listed before a change is not told after it.
func dirsChangedListing(t *testing.T, dir string) {
	for i := range 300 {
		write(t, fmt.Sprintf("%s/f%03d", dir, i), nil)
	}
	f, err := os.Open(dir)
	must(t, err)
	defer f.Close()
	first, err := f.Readdirnames(1)
	must(t, err)
	for i := range 300 {
		if name := fmt.Sprintf("f%03d", i); name != first[0] && i%2 == 0 {
			must(t, os.Remove(dir+"/"+name))
		} else {
			write(t, dir+"/"+name, []byte("longer"))
		}
	}
	if _, err := f.Readdirnames(-1); err != nil {
		t.Error(err)
	}
	for i := range 300 {
		fi, err := os.Stat(fmt.Sprintf("%s/f%03d", dir, i))
		switch {
		case i%2 == 1 && (err != nil || fi.Size() != 6):
			t.Fatalf("f%03d: %v, %v", i, fi, err)
		case i%2 == 0 && fmt.Sprintf("f%03d", i) != first[0] && !os.IsNotExist(err):
			t.Fatalf("f%03d was removed: %v", i, err)
		}
	}
}

func attributesTimes(t *testing.T, dir string) {
	name := dir + "/f"
	write(t, name, nil)
	at := time.Date(2001, 2, 3, 4, 5, 6, 0, time.Local)
	must(t, os.Chtimes(name, at, at))
	fi, err := os.Stat(name)
	must(t, err)
	if !fi.ModTime().Equal(at) {
		t.Errorf("changed at %v, want %v", fi.ModTime(), at)
	}
	begin := time.Now()
	write(t, name, []byte("x"))
	fi, err = os.Stat(name)
	must(t, err)
	if fi.ModTime().Before(begin.Add(-3*time.Second)) || fi.ModTime().After(time.Now().Add(time.Second)) {
		t.Errorf("changed at %v by a write at %v", fi.ModTime(), begin)
	}
}

func attributesModes(t *testing.T, dir string) {
	name := dir + "/f"
	write(t, name, nil)
	for _, c := range []struct{ set, get os.FileMode }{
		{0o555, 0o555}, {0o755, 0o755}, {0o600, 0o755}, {0o644, 0o755}, {0o777, 0o755},
	} {
		must(t, os.Chmod(name, c.set))
		fi, err := os.Stat(name)
		must(t, err)
		if fi.Mode().Perm() != c.get {
			t.Errorf("chmod %o gives %o, want %o", c.set, fi.Mode().Perm(), c.get)
		}
	}
	want(t, "set-user-ID", unix.Chmod(name, 0o4755), syscall.EPERM)
	must(t, os.Chmod(name, 0o555))
	_, err := os.OpenFile(name, os.O_WRONLY, 0)
	want(t, "writing to what is read-only", err, syscall.EACCES)
}

func attributesOwners(t *testing.T, dir string) {
	name := dir + "/f"
	write(t, name, nil)
	must(t, os.Chown(name, os.Getuid(), os.Getgid()))
	must(t, os.Chown(name, -1, -1))
	want(t, "another owner", os.Chown(name, os.Getuid()+1, -1), syscall.EPERM)
}

func attributesInodes(t *testing.T, dir string) {
	seen := map[uint64]string{}
	for i := range 50 {
		write(t, fmt.Sprintf("%s/f%d", dir, i), nil)
	}
	list, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range list {
		fi, err := os.Lstat(dir + "/" + e.Name())
		must(t, err)
		ino := fi.Sys().(*syscall.Stat_t).Ino
		if other, ok := seen[ino]; ok {
			t.Errorf("%s and %s have one inode number", e.Name(), other)
		}
		seen[ino] = e.Name()
	}
	write(t, dir+"/moved", nil)
	before, err := os.Stat(dir + "/moved")
	must(t, err)
	must(t, os.Mkdir(dir+"/sub", 0o777))
	must(t, os.Rename(dir+"/moved", dir+"/sub/there"))
	after, err := os.Stat(dir + "/sub/there")
	must(t, err)
	if !os.SameFile(before, after) {
		t.Error("a rename changed the inode number")
	}
}

func attributesDOS(t *testing.T, dir string) {
	const key = "user.DOSATTRIB"
	name, buf := dir+"/f", make([]byte, 64)
	write(t, name, nil)
	must(t, unix.Setxattr(name, key, []byte("0x23"), 0))
	n, err := unix.Getxattr(name, key, buf)
	must(t, err)
	fi, err := os.Stat(name)
	must(t, err)
	if string(buf[:n]) != "0x23" || fi.Mode().Perm() != 0o555 {
		t.Errorf("%s, %v", buf[:n], fi.Mode())
	}
	if n, err = unix.Listxattr(name, buf); err != nil || string(buf[:n]) != key+"\x00" {
		t.Errorf("listed: %q, %v", buf[:n], err)
	}
	must(t, unix.Removexattr(name, key))
	if n, err = unix.Listxattr(name, buf); err != nil || n != 0 {
		t.Errorf("listed: %q, %v", buf[:n], err)
	}
	want(t, "no number", unix.Setxattr(name, key, []byte("x"), 0), syscall.EINVAL)
	want(t, "another attribute", unix.Setxattr(name, "user.x", []byte("x"), 0), syscall.EOPNOTSUPP)
	must(t, os.Chmod(name, 0o755))
}

func attributesFileSystem(t *testing.T, dir string) {
	var before, after unix.Statfs_t
	must(t, unix.Statfs(dir, &before))
	write(t, dir+"/f", text(100_000))
	must(t, unix.Statfs(dir, &after))
	// What was closed before may have become free meanwhile.
	used := int64(before.Bfree-after.Bfree) * int64(before.Bsize)
	if used < 50_000 || used > 200_000 || before.Blocks == 0 || before.Namelen != 255 {
		t.Errorf("%d bytes took %d; %+v", 100_000, used, before)
	}
}
