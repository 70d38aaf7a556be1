package guest

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/test/tools"
)

// firmwares are OVMF's code and variable store as distributions name them.
var firmwares = [][2]string{
	{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
	{"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
	{"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
	{"/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},
}

// FirmwareArgs returns the arguments that make a machine start OVMF with
// variables of its own, or skips the test.
func FirmwareArgs(t testing.TB) []string {
	t.Helper()
	for _, fw := range firmwares {
		if _, err := os.Stat(fw[0]); err != nil {
			continue
		}
		vars := filepath.Join(t.TempDir(), "vars.fd")
		if err := copyFile(vars, fw[1]); err != nil {
			t.Fatal(err)
		}
		return []string{
			"-drive", "if=pflash,format=raw,unit=0,readonly=on,file=" + fw[0],
			"-drive", "if=pflash,format=raw,unit=1,file=" + vars,
		}
	}
	tools.Missing(t, "OVMF is not installed (package ovmf)")
	return nil
}

// DiskArg returns the value of QEMU's -drive for a raw disk, a file or an NBD
// URI, that the guest may not write.
func DiskArg(file string) string { return "if=virtio,format=raw,readonly=on,file=" + file }

// copyFile copies a file, to be written.
func copyFile(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		dst.Close()
		return err
	}
	return dst.Close()
}
