package mount

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fatkit/fatkit/fusemount"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
	"github.com/fatkit/fatkit/test/trees"
)

// mine is a mount that belongs to who runs the test, as with fatkit mount.
func mine() fusemount.Options {
	return fusemount.Options{Umask: 0o022, UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
}

// long is n, or in the short form less.
func long(n, less int) int {
	if product.Long() {
		return n
	}
	return less
}

// sh runs a script in a folder, with arguments. It must succeed.
func sh(t *testing.T, dir, script string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-euc", script, "sh"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, said)
	}
	return string(said)
}

// programs are what people run on a file system, each with the programs that it
// needs. $1 is a tree of the host.
var programs = map[string]struct {
	needs  []string
	script string
}{
	"cp": {[]string{"cp", "diff"}, `
		cp -r "$1" tree; diff -r "$1" tree
		cp -a tree again; diff -r tree again; cp -r again "$2"; diff -r "$1" "$2"
		rm -r tree; mv again tree; diff -r "$1" tree; rm -r tree`},
	"tar": {[]string{"tar", "diff"}, `
		tar -C "$1" -cf t.tar .; mkdir out; tar -C out --no-same-owner -xf t.tar; diff -r "$1" out
		tar -C out -cf - . | tar -df - -C out`},
	"rsync": {[]string{"rsync", "diff"}, `
		rsync -rt --modify-window=1 --delete "$1/" tree/; diff -r "$1" tree
		echo more >tree/more; mkdir tree/dir; echo more >tree/dir/more
		rsync -rt --modify-window=1 --delete "$1/" tree/; diff -r "$1" tree
		test -z "$(rsync -rtni --modify-window=1 --delete "$1/" tree/ | grep -v '^[.]d' || true)"`},
	"git": {[]string{"git"}, `
		git init -q r; cd r; git config user.email a@b; git config user.name n
		cp -r "$1" tree; git add .; git commit -qm first; git fsck --strict
		echo more >>new; git add new; git commit -qm second; git checkout -q HEAD~1; git checkout -q -
		git gc -q; git fsck; test -z "$(git status --short)"; git clone -q . "$2"; git -C "$2" fsck`},
	"sqlite": {[]string{"sqlite3"}, `
		sqlite3 db 'create table t(a integer primary key, b);'
		i=0; while [ $i -lt $3 ]; do i=$((i+1)); echo "insert into t(b) values(hex(randomblob(50)));"; done | sqlite3 db
		test "$(sqlite3 db 'select count(*) from t; pragma integrity_check;')" = "$(printf "$3\nok")"
		sqlite3 db 'pragma journal_mode=wal; delete from t where a%2; vacuum; pragma integrity_check;' | grep -q '^ok$'`},
	"fio": {[]string{"fio"}, `
		for engine in psync mmap; do
			fio --name=$engine --directory=. --size="$4" --rw=randwrite --bs=4k --ioengine=$engine --verify=crc32c --do_verify=1 --fsync=256 --minimal >"$2.$engine"
		done
		fio --name=direct --directory=. --size="$4" --rw=randrw --bs=16k --ioengine=psync --direct=1 --verify=crc32c --do_verify=1 --minimal >"$2.direct"`},
	"editors": {[]string{"mv", "cp"}, `
		echo one >file.txt
		echo two >.file.txt.swp; mv file.txt file.txt~; mv .file.txt.swp file.txt; rm file.txt~; test "$(cat file.txt)" = two
		echo three >'#file.txt#'; cp file.txt file.bak; cat '#file.txt#' >file.txt; rm '#file.txt#'; test "$(cat file.txt)" = three
		tmp=$(mktemp ./XXXXXXXX); echo four >"$tmp"; mv -f "$tmp" FILE.TXT; test "$(cat file.txt)" = four; test "$(ls | wc -l)" = 2`},
}

func TestPrograms(t *testing.T) {
	notShort(t)
	needFUSE(t)
	host := filepath.Join(t.TempDir(), "tree")
	_, err := trees.Grid(long(40, 6), 10, 5000).Write(host)
	must(t, err)
	for name, p := range programs {
		t.Run(name, func(t *testing.T) {
			tools.Need(t, p.needs...)
			v := newVolume(t, 32, mine())
			sh(t, v.dir, p.script, host, filepath.Join(t.TempDir(), "out"), fmt.Sprint(long(1000, 200)), longSize("24M", "4M"))
		})
	}
}

// longSize is long for sizes as fio writes them.
func longSize(much, less string) string {
	if product.Long() {
		return much
	}
	return less
}

// Many programs at a time, each with names of its own and some that all share.
func TestConcurrent(t *testing.T) {
	v := newVolume(t, 16, mine())
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(worker)))
			own := v.path(fmt.Sprint("dir", worker))
			if err := os.Mkdir(own, 0o777); err != nil {
				t.Error(err)
				return
			}
			for i := range long(2000, 150) {
				if err := disturb(v.dir, own, i, r); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// disturb does something to a file that is its own, and to one that others use.
func disturb(shared, own string, i int, r *rand.Rand) error {
	a, b := filepath.Join(own, fmt.Sprint("a", r.IntN(10))), filepath.Join(own, fmt.Sprint("B", r.IntN(10)))
	content := text(r.IntN(20_000))
	if err := os.WriteFile(a, content, 0o666); err != nil {
		return err
	}
	got, err := os.ReadFile(strings.ToUpper(a[:len(a)-2]) + a[len(a)-2:])
	if err != nil && !os.IsNotExist(err) { // the folder above may not ignore case
		return err
	}
	if err == nil && string(got) != string(content) {
		return fmt.Errorf("%s holds %d bytes, want %d", a, len(got), len(content))
	}
	if err := os.Rename(a, b); err != nil {
		return err
	}
	// What happens to these depends on the others. It must not break anything.
	common := filepath.Join(shared, fmt.Sprint("Common", r.IntN(4)))
	switch i % 5 {
	case 0:
		os.WriteFile(common, content, 0o666)
	case 1:
		os.ReadFile(strings.ToLower(filepath.Base(common)))
	case 2:
		os.Rename(common, filepath.Join(shared, fmt.Sprint("COMMON", r.IntN(4))))
	case 3:
		os.Remove(common)
	case 4:
		os.ReadDir(shared)
	}
	fi, err := os.Stat(b)
	if err == nil && fi.Size() != int64(len(content)) {
		err = fmt.Errorf("%s has %d bytes, want %d", b, fi.Size(), len(content))
	}
	return err
}

// A tree is read as it is from a mount that cannot change, in any order, although
// files reach the kernel before they are asked for.
func TestReadOnlyTree(t *testing.T) {
	tools.Need(t, "cp", "diff")
	needFUSE(t)
	host := filepath.Join(t.TempDir(), "tree")
	_, err := trees.Grid(long(100, 12), 60, 4096+17).Write(host)
	must(t, err)
	v := newVolume(t, 32, mine())
	sh(t, v.dir, `cp -r "$1" tree`, host)
	v.unmount(t)
	o := mine()
	o.ReadOnly = true
	v = mountDevice(t, v.dev, o)
	out := filepath.Join(t.TempDir(), "out")
	sh(t, v.dir, `cp -r tree "$2"; diff -r "$1" "$2"; diff -r "$1" tree; ! touch tree/x 2>/dev/null; ls -lR tree >/dev/null; find . -size +1 >/dev/null`, host, out)
}
