package guest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fatkit/fatkit/test/tools"
)

// Kernel is an unpacked Linux kernel.
type Kernel struct {
	Image   string // for QEMU's -kernel
	modules string // folder with the modules, .../kernel
}

// kernelPackage is Debian's package that depends on the current kernel.
const kernelPackage = "linux-image-amd64"

// modules that the guest loads. One that is missing is built into the kernel.
var modules = []string{
	"drivers/virtio/virtio_ring", "drivers/virtio/virtio",
	"drivers/virtio/virtio_pci_legacy_dev", "drivers/virtio/virtio_pci_modern_dev", "drivers/virtio/virtio_pci",
	"drivers/block/virtio_blk",
	"fs/fat/fat", "fs/fat/vfat",
	"fs/nls/nls_cp437", "fs/nls/nls_ascii", "fs/nls/nls_iso8859-1", "fs/nls/nls_utf8",
}

var (
	kernelOnce sync.Once
	kernel     Kernel
	errKernel  error
)

// NeedKernel returns a kernel, fetched into a folder that later runs find
// again, or skips the test. FATKIT_GUEST_CACHE names another folder.
func NeedKernel(t testing.TB) Kernel {
	t.Helper()
	tools.Need(t, "apt-get", "apt-cache", "dpkg")
	kernelOnce.Do(func() { kernel, errKernel = fetchKernel(cacheDir()) })
	if errKernel != nil {
		tools.Missing(t, "no kernel for the Linux guest: "+errKernel.Error())
	}
	return kernel
}

// cacheDir is bin/guest of the module, which make clean removes.
func cacheDir() string {
	if dir := os.Getenv("FATKIT_GUEST_CACHE"); dir != "" {
		return dir
	}
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return filepath.Join(os.TempDir(), "fatkit-guest-cache")
	}
	return filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), "bin", "guest")
}

// fetchKernel downloads and unpacks the kernel unless that has been done. It
// unpacks beside and renames, so that a run cut short leaves nothing half done.
func fetchKernel(cache string) (Kernel, error) {
	if k, err := findKernel(filepath.Join(cache, "kernel")); err == nil {
		return k, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return Kernel{}, err
	}
	tmp, err := os.MkdirTemp(cache, "fetch")
	if err != nil {
		return Kernel{}, err
	}
	defer os.RemoveAll(tmp)
	name, err := currentKernel()
	if err != nil {
		return Kernel{}, err
	}
	if err := run(tmp, "apt-get", "-q", "download", name); err != nil {
		return Kernel{}, err
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(debs) != 1 {
		return Kernel{}, fmt.Errorf("downloading %s gave %q (%v)", name, debs, err)
	}
	tree := filepath.Join(tmp, "tree")
	if err := run(tmp, "dpkg", "-x", debs[0], tree); err != nil {
		return Kernel{}, err
	}
	if err := unpackImages(tree); err != nil {
		return Kernel{}, err
	}
	// Another process may have been first; then its kernel is as good.
	renameErr := os.Rename(tree, filepath.Join(cache, "kernel"))
	k, err := findKernel(filepath.Join(cache, "kernel"))
	return k, errors.Join(err, ignoreExist(renameErr))
}

// ignoreExist forgives that the target of a rename is there already.
func ignoreExist(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// currentKernel returns the package that holds the kernel itself.
func currentKernel() (string, error) {
	out, err := exec.Command("apt-cache", "depends", kernelPackage).Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache depends %s: %w", kernelPackage, err)
	}
	for _, line := range strings.Split(string(out), "\n") {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-")
		if ok {
			return "linux-image-" + name, nil
		}
	}
	return "", fmt.Errorf("%s depends on no kernel; is apt's list of packages fetched?", kernelPackage)
}

// run runs a program in a folder.
func run(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// findKernel returns the kernel in an unpacked package.
func findKernel(tree string) (Kernel, error) {
	for _, pattern := range []string{"boot/vmlinux-*", "boot/vmlinuz-*"} {
		images, err := filepath.Glob(filepath.Join(tree, pattern))
		if err != nil || len(images) == 0 {
			continue
		}
		for _, lib := range []string{"lib", "usr/lib"} {
			dirs, err := filepath.Glob(filepath.Join(tree, lib, "modules/*/kernel"))
			if err == nil && len(dirs) == 1 {
				return Kernel{Image: images[0], modules: dirs[0]}, nil
			}
		}
	}
	return Kernel{}, fmt.Errorf("no kernel in %s", tree)
}

// unpackImages writes each boot/vmlinuz-X without its compression as
// boot/vmlinux-X, which an emulated processor takes long to do. Where that
// cannot be done the compressed kernel stays.
func unpackImages(tree string) error {
	images, err := filepath.Glob(filepath.Join(tree, "boot/vmlinuz-*"))
	if err != nil || len(images) == 0 {
		return fmt.Errorf("no kernel in the package (%v)", err)
	}
	for _, image := range images {
		p, err := os.ReadFile(image)
		if err != nil {
			return err
		}
		elf, err := payload(p)
		if err != nil {
			continue
		}
		if err := os.WriteFile(strings.Replace(image, "vmlinuz-", "vmlinux-", 1), elf, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// payload returns the ELF file inside a compressed kernel (Documentation/
// arch/x86/boot.rst of the kernel: setup_sects at 0x1F1, payload_offset at
// 0x248, payload_length at 0x24C). It knows xz, which Debian uses.
func payload(p []byte) ([]byte, error) {
	if len(p) < 0x250 {
		return nil, errors.New("short kernel")
	}
	le := binary.LittleEndian
	start := (int64(p[0x1F1])+1)*512 + int64(le.Uint32(p[0x248:]))
	end := start + int64(le.Uint32(p[0x24C:]))
	if end > int64(len(p)) || end-start < 4 {
		return nil, errors.New("kernel without payload")
	}
	out, err := unxz(p[start : end-4]) // its last four bytes are the size
	if err != nil || !bytes.HasPrefix(out, []byte("\x7fELF")) {
		return nil, fmt.Errorf("payload is not an ELF file in xz (%w)", err)
	}
	return out, nil
}

// unxz unpacks a stream with the xz program.
func unxz(p []byte) ([]byte, error) {
	cmd := exec.Command("xz", "-dc")
	cmd.Stdin = bytes.NewReader(p)
	return cmd.Output()
}

// module returns the bytes of a module, or nil if the kernel has it built in.
func (k Kernel) module(name string) ([]byte, error) {
	p, err := os.ReadFile(filepath.Join(k.modules, name+".ko"))
	if !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	p, err = os.ReadFile(filepath.Join(k.modules, name+".ko.xz"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return unxz(p)
}
