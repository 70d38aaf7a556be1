package guest

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/test/tools"
)

// reportBytes is the size of the disk that takes a guest's report.
const reportBytes = 64 << 20

// initScript is the guest's first process. It loads the modules, in several
// passes because what depends on what differs between kernels, runs /job
// and puts what that writes to standard output on the last disk, after its
// length in eight digits; that is faster than a serial console and keeps every
// byte. What the job writes to standard error goes to the console.
const initScript = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /mnt /tmp
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for pass in 1 2 3; do
	for m in /modules/*.ko; do [ ! -e "$m" ] || ! insmod "$m" 2>/dev/null || rm "$m"; done
done
[ -z "$(ls /modules)" ] || echo "not loaded: $(ls /modules)"
echo "GUEST STARTED"
sh /job >/tmp/report 2>/dev/console
echo "JOB EXIT $?"
out=$(ls /dev/vd? | tail -n 1)
{ printf '%08d' "$(wc -c </tmp/report)"; cat /tmp/report; } | dd of="$out" bs=64k conv=notrunc,fsync 2>/dev/null
echo "GUEST DONE"
poweroff -f
`

// Linux is a running Linux guest.
type Linux struct {
	*Machine
	report string // path of the disk with the report
}

// StartLinux starts a Linux guest that runs a shell script with the tools of
// busybox. The disks, values of QEMU's -drive as [DiskArg] makes them, are
// /dev/vda and so on. The script may talk with the test through /dev/console.
func StartLinux(t testing.TB, script string, disks ...string) *Linux {
	t.Helper()
	tools.Need(t, "busybox")
	k := NeedKernel(t)
	dir := t.TempDir()
	initrd := filepath.Join(dir, "initrd")
	p, err := k.initrd(script)
	if err == nil {
		err = os.WriteFile(initrd, p, 0o644)
	}
	report := filepath.Join(dir, "report")
	if err == nil {
		err = os.WriteFile(report, nil, 0o644)
	}
	if err == nil {
		err = os.Truncate(report, reportBytes)
	}
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-kernel", k.Image, "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1", "-no-reboot"}
	for _, d := range append(disks, "if=virtio,format=raw,file="+report) {
		args = append(args, "-drive", d)
	}
	return &Linux{Start(t, args...), report}
}

// initrd makes the guest's first file system.
func (k Kernel) initrd(script string) ([]byte, error) {
	busybox, err := os.ReadFile(tools.Lookup("busybox"))
	if err != nil {
		return nil, err
	}
	var a archive
	for _, dir := range []string{"bin", "modules", "dev"} {
		a.add(dir, modeDir, nil, 0, 0)
	}
	a.add("dev/console", modeChar, nil, 5, 1)
	a.add("bin/busybox", modeFile, busybox, 0, 0)
	a.add("init", modeFile, []byte(initScript), 0, 0)
	a.add("job", modeFile, []byte(script), 0, 0)
	for i, m := range modules {
		p, err := k.module(m)
		if err != nil {
			return nil, err
		}
		if p != nil {
			a.add(fmt.Sprintf("modules/%02d-%s.ko", i, path.Base(m)), modeFile, p, 0, 0)
		}
	}
	return a.bytes(), nil
}

// Report waits for the end of the guest and returns what its script wrote. It
// fails the test if the script failed.
func (l *Linux) Report(t testing.TB) []byte {
	t.Helper()
	l.WaitFor(t, "JOB EXIT 0")
	l.WaitFor(t, "GUEST DONE")
	l.WaitEnd(t)
	p, err := os.ReadFile(l.report)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscanf(string(p[:8]), "%d", &n); err != nil || n > len(p)-8 {
		t.Fatalf("the report begins with %q", p[:8])
	}
	return p[8:][:n]
}

// ReadTreeScript mounts each of the devices $devices, such as "vda vdb1", for
// reading and reports, for each of its files and directories, the fields of
// [TreeFile] in a form that [ParseTrees] reads. Times are taken as UTC; a name
// may hold any byte but NUL.
const ReadTreeScript = `
set -e
for dev in $devices; do
	mount -t vfat -o ro,utf8=1,shortname=mixed,tz=UTC,codepage=437,iocharset=utf8 "/dev/$dev" /mnt
	cd /mnt
	find . -mindepth 1 -print0 >/tmp/list
	find . -mindepth 1 -exec stat -c '%F|%Y|%s|%a' {} + >/tmp/stat
	find . -type f -print0 >/tmp/files
	find . -type f -exec sha256sum {} + >/tmp/names-and-sums
	cut -c 1-64 /tmp/names-and-sums >/tmp/sums
	for f in list stat files sums; do
		printf '%08d' "$(wc -c </tmp/$f)"
		cat /tmp/$f
	done
	cd /
	umount /mnt
done
`

// TreeFile is a file or a directory as the guest sees it.
type TreeFile struct {
	Dir     bool
	Size    int64
	ModTime int64  // seconds since 1970, the wall clock of the medium taken as UTC
	Mode    uint32 // permissions
	Sum     string // SHA-256 of a file in hexadecimal
}

// ParseTrees reads a report of [ReadTreeScript] into a map by path for each
// device.
func ParseTrees(report []byte) ([]map[string]TreeFile, error) {
	var trees []map[string]TreeFile
	for len(report) > 0 {
		var parts [4][]byte // list, stat, files, sums
		for i := range parts {
			var n int
			if len(report) < 8 {
				return nil, fmt.Errorf("report ends early")
			}
			if _, err := fmt.Sscanf(string(report[:8]), "%d", &n); err != nil || n > len(report)-8 {
				return nil, fmt.Errorf("part %d has length %q", i, report[:8])
			}
			parts[i], report = report[8:][:n], report[8+n:]
		}
		tree, err := parseTree(parts)
		if err != nil {
			return nil, err
		}
		trees = append(trees, tree)
	}
	return trees, nil
}

// parseTree joins the parts of the report of one device.
func parseTree(parts [4][]byte) (map[string]TreeFile, error) {
	list, stats := split(parts[0], 0), split(parts[1], '\n')
	files, sums := split(parts[2], 0), split(parts[3], '\n')
	if len(list) != len(stats) || len(files) != len(sums) {
		return nil, fmt.Errorf("%d paths with %d states, %d files with %d sums", len(list), len(stats), len(files), len(sums))
	}
	tree := make(map[string]TreeFile, len(list))
	for i, name := range list {
		var f TreeFile
		kind, rest, _ := bytes.Cut([]byte(stats[i]), []byte("|"))
		if _, err := fmt.Sscanf(string(rest), "%d|%d|%o", &f.ModTime, &f.Size, &f.Mode); err != nil {
			return nil, fmt.Errorf("%q: state %q: %w", name, stats[i], err)
		}
		f.Dir = string(kind) == "directory"
		tree[name[len("./"):]] = f
	}
	for i, name := range files {
		f := tree[name[len("./"):]]
		f.Sum = sums[i]
		tree[name[len("./"):]] = f
	}
	return tree, nil
}

// split cuts a list of items that each end in a byte.
func split(p []byte, end byte) []string {
	var list []string
	for len(p) > 0 {
		item, rest, _ := bytes.Cut(p, []byte{end})
		list, p = append(list, string(item)), rest
	}
	return list
}
