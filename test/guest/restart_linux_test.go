package guest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/test/hosttree"
	"github.com/fatkit/fatkit/test/product"
)

// restartScript writes before, while and after the server is away.
const restartScript = `
set -e
mount -t vfat -o rw,utf8=1,shortname=mixed,tz=UTC,codepage=437,iocharset=utf8 /dev/vda1 /mnt
cd /mnt
echo first >before.txt
head -c 100000 /dev/urandom >random.bin
rm keep/delete.txt
echo unflushed >unflushed.txt
sync
echo "GUEST WROTE" >/dev/console
i=0
while [ $i -lt 30 ]; do echo "$i" >"during-$i.txt"; sync; i=$((i+1)); done
mv keep/rename.txt keep/renamed.txt
cd /
umount /mnt
devices=vda1
` + ReadTreeScript

// TestLinuxServerRestarts kills the server under a guest that writes, and
// starts it again. The guest notices nothing, and what it saw last is in the
// directory.
func TestLinuxServerRestarts(t *testing.T) {
	NeedKernel(t)
	dir, state := writeFixture(t), t.TempDir()
	run, err := os.MkdirTemp("", "fk") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	socket := filepath.Join(run, "nbd.sock")
	start := func() *product.Server {
		t.Helper()
		s, err := product.StartServer(socket, []string{"XDG_RUNTIME_DIR=" + run}, product.Binary(t), "serve", "--listen", "unix:"+socket,
			"--rw", "--state", state, "--fat", "16", "--size", "300M", "--timezone", "utc", dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	server := start()
	guest := StartLinux(t, restartScript, "if=virtio,format=raw,file.driver=nbd,file.server.type=unix,file.server.path="+socket+",file.reconnect-delay=120")
	guest.WaitFor(t, "GUEST WROTE")
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	server = start()
	saw, err := ParseTrees(guest.Report(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Errorf("%v\n%s", err, server.Log())
	}
	compareWritten(t, saw[0], hosttree.Read(t, dir))
}
