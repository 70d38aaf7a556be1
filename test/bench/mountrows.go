package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

// mountRows are the rows about mounts, of an image whose pages are in memory. The
// first read brings them into the mount's pages, as each turn mounts anew; when a
// file is read again they are there, as those of the image are.
func mountRows() []row {
	return []row{
		{name: "first read through a mount, T1", unit: "MB/s", target: "≥ 1.5 of nbdfuse", contenders: []contender{
			{"fatkit mount", []string{"umount"}, func(b *bench) (sample, error) { return readMounted(b, 1) }},
			{"the image, nbdfuse", []string{"nbdfuse", "nbdkit", "umount"}, readNbdfuse},
			{"the image itself", nil, readImage},
		}},
		{name: "read again through a mount, T1", unit: "MB/s", target: "≥ 0.5 of the host's file", contenders: []contender{
			{"fatkit mount", []string{"umount"}, func(b *bench) (sample, error) { return readMounted(b, 2) }},
			{"the image itself", nil, readImage},
		}},
		{name: "cp -r T2 out of a mount", unit: "ms", target: "≤ 2 of mcopy -s", contenders: []contender{
			{"fatkit mount, cp -r", []string{"cp"}, copyMounted},
			{"mcopy -s", []string{"mcopy"}, mcopyOut},
		}},
	}
}

// mounted mounts the image of a tree, runs f with where, and unmounts.
func mounted(b *bench, tree string, f func(dir string) (sample, error)) (s sample, err error) {
	img, err := b.volumeOf(tree)
	if err != nil {
		return s, err
	}
	dir, err := b.out("mnt")
	if err != nil {
		return s, err
	}
	if err := os.Mkdir(dir, 0o777); err != nil {
		return s, err
	}
	if _, _, err := command(b.bin, "mount", img, dir); err != nil {
		return s, err
	}
	defer func() {
		_, _, uerr := command(b.bin, "umount", dir)
		err = errors.Join(err, uerr)
	}()
	return f(dir)
}

// volumeOf returns a raw image with a FAT volume that holds a tree.
func (b *bench) volumeOf(tree string) (string, error) {
	if _, err := b.tree(tree); err != nil {
		return "", err
	}
	return b.filled(tree, b.bytes[tree]+b.bytes[tree]/8+64<<20)
}

// readAll reads files to their end, in pieces as cp takes them, and returns how
// fast.
func readAll(names ...string) (sample, error) {
	buf := make([]byte, 256<<10)
	start, sum := time.Now(), int64(0)
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return sample{}, err
		}
		for err == nil {
			var n int
			n, err = f.Read(buf)
			sum += int64(n)
		}
		if cerr := f.Close(); err == io.EOF {
			err = cerr
		}
		if err != nil {
			return sample{}, err
		}
	}
	return sample{value: float64(sum) / 1e6 / time.Since(start).Seconds()}, nil
}

// files returns all files below a folder.
func files(dir string) (names []string, err error) {
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	return names, err
}

// readMounted mounts an image and reads what is in it so many times; the last
// counts.
func readMounted(b *bench, times int) (sample, error) {
	return mounted(b, "T1", func(dir string) (s sample, err error) {
		names, err := files(dir)
		for i := 0; i < times && err == nil; i++ {
			s, err = readAll(names...)
		}
		return s, err
	})
}

func readImage(b *bench) (sample, error) {
	img, err := b.volumeOf("T1")
	if err != nil {
		return sample{}, err
	}
	return readAll(img)
}

// readNbdfuse reads the image as the file that nbdfuse shows.
func readNbdfuse(b *bench) (s sample, err error) {
	img, err := b.volumeOf("T1")
	if err != nil {
		return s, err
	}
	sock, err := b.socket()
	if err != nil {
		return s, err
	}
	srv, err := product.StartServer(sock, nil, tools.Lookup("nbdkit"), "-f", "-r", "-U", sock, "file", img)
	if err != nil {
		return s, err
	}
	defer srv.Stop() // ended by a signal
	at, err := b.out("disk")
	if err != nil {
		return s, err
	}
	if err := os.WriteFile(at, nil, 0o666); err != nil {
		return s, err
	}
	cmd := exec.Command(tools.Lookup("nbdfuse"), "-r", at, srv.URI)
	if err := cmd.Start(); err != nil {
		return s, err
	}
	defer func() {
		_, _, uerr := command("umount", at)
		if uerr != nil {
			cmd.Process.Signal(syscall.SIGTERM) // that unmounts, too
		}
		err = errors.Join(err, uerr, cmd.Wait())
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if fi, err := os.Stat(at); err == nil && fi.Size() > 0 {
			return readAll(at)
		}
		if time.Now().After(deadline) {
			return s, fmt.Errorf("%s does not mount", cmd)
		}
	}
}

func copyMounted(b *bench) (sample, error) {
	return mounted(b, "T2", func(dir string) (sample, error) {
		out, err := b.out("copied")
		if err != nil {
			return sample{}, err
		}
		defer os.RemoveAll(out)
		return watched(tools.Lookup("cp"), "-r", dir, out)
	})
}

func mcopyOut(b *bench) (sample, error) {
	img, err := b.volumeOf("T2")
	if err != nil {
		return sample{}, err
	}
	out, err := b.out("copied")
	if err != nil {
		return sample{}, err
	}
	if err := os.Mkdir(out, 0o777); err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(out)
	return watched(tools.Lookup("mcopy"), "-s", "-n", "-i", img, "::/*", out)
}
