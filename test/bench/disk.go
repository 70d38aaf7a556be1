package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/nbd"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

// diskBytes is the size of the disk of the rows about images and memory.
const diskBytes = 256 << 20

// medium says what holds the bytes of a disk.
type medium string

const (
	// imageFile is a raw image in a file, whose pages are all cached.
	imageFile medium = "file"
	// memory is the memory of the server: block/mem under package nbd, and
	// nbdkit's memory plugin. qemu-nbd has none and serves a file on tmpfs.
	memory medium = "memory"
)

// disk returns how many bytes the disk of the rows has.
func (b *bench) disk() int64 {
	if b.short {
		return diskBytes / 16
	}
	return diskBytes
}

// rawImage returns an image in dir that is full of random bytes, so that no
// program finds zeroes to leave out, made when it is first asked for.
func (b *bench) rawImage(dir string) (path string, err error) {
	path = filepath.Join(dir, "disk.raw")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	random := rand.NewChaCha8([32]byte{1})
	w := bufio.NewWriterSize(f, 1<<20)
	for range b.disk() / 8 {
		word := random.Uint64()
		if _, err := w.Write([]byte{
			byte(word), byte(word >> 8), byte(word >> 16), byte(word >> 24),
			byte(word >> 32), byte(word >> 40), byte(word >> 48), byte(word >> 56),
		}); err != nil {
			return "", err
		}
	}
	return path, errors.Join(w.Flush(), f.Sync())
}

// settle waits until an image is on stable storage, so that nobody pays for
// what the one before has written.
func settle(path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// diskServer is a contender that serves an image or memory, writable.
type diskServer struct {
	name  string
	needs []string
	// command returns the program and its arguments, which serve at socket.
	command func(b *bench, m medium, img, socket string) []string
}

// diskServers are fatkit and its peers.
var diskServers = []diskServer{
	{"fatkit", nil, func(b *bench, m medium, img, socket string) []string {
		if m == memory {
			return []string{b.self, memoryVerb, fmt.Sprint(b.disk()), socket}
		}
		return []string{b.bin, "serve", "--quiet", "--rw", "--listen", "unix:" + socket, img}
	}},
	{"nbdkit", []string{"nbdkit"}, func(b *bench, m medium, img, socket string) []string {
		if m == memory {
			return []string{tools.Lookup("nbdkit"), "-f", "-U", socket, "memory", fmt.Sprint(b.disk())}
		}
		return []string{tools.Lookup("nbdkit"), "-f", "-U", socket, "file", img}
	}},
	{"qemu-nbd", []string{"qemu-nbd"}, func(b *bench, m medium, img, socket string) []string {
		return []string{tools.Lookup("qemu-nbd"), "-f", "raw", "--persistent", "--shared=16", "-k", socket, img}
	}},
}

// with runs f on the server while it serves, with the disk full of data and
// nothing on its way to the medium.
func (d diskServer) with(b *bench, m medium, f func(s *product.Server) (sample, error)) (sample, error) {
	dir := b.dir
	if m == memory {
		dir = b.tmp
	}
	img, err := b.rawImage(dir)
	if err != nil {
		return sample{}, err
	}
	if err := settle(img); err != nil {
		return sample{}, err
	}
	start := func(b *bench, _ string) (*product.Server, error) {
		socket, err := b.socket()
		if err != nil {
			return nil, err
		}
		c := d.command(b, m, img, socket)
		return product.StartServer(socket, []string{"XDG_RUNTIME_DIR=" + b.tmp}, c[0], c[1:]...)
	}
	return withServer(b, start, "", func(s *product.Server) (sample, error) {
		if m == memory {
			if _, _, err := command("nbdcopy", img, s.URI); err != nil {
				return sample{}, err
			}
		}
		return f(s)
	})
}

// memoryVerb is the first argument of a process that is to be a server of
// memory: MEMORYVERB BYTES SOCKET. It is the benchmark's own program, since
// fatkit has no disks in memory on its command line.
const memoryVerb = "serve-memory"

// serveMemory serves a disk in memory until it is told to stop.
func serveMemory(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%s BYTES SOCKET", memoryVerb)
	}
	sizeBytes, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return err
	}
	s := nbd.NewServer(nbd.ServerOptions{})
	if err := s.AddExport(nbd.Export{Device: mem.New(sizeBytes)}); err != nil {
		return err
	}
	l, err := net.Listen("unix", args[1])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := s.Serve(ctx, l); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// beMemory serves memory and ends the process, if that is what the arguments
// of the process say.
func beMemory() {
	if len(os.Args) < 2 || os.Args[1] != memoryVerb {
		return
	}
	if err := serveMemory(os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, strings.TrimSpace(err.Error()))
		os.Exit(1)
	}
	os.Exit(0)
}
