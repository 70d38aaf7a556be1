package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/nbd"
	"github.com/fatkit/fatkit/test/product"
)

// guest is a client of a server that has mounted its disk, which has no partition
// table.
type guest struct {
	*fat.Volume
	disk *nbd.Client
	s    *product.Server
	dir  string // on the host, if the disk is that of a directory
}

// served describes what a guest is given: a directory that takes writes, or an
// image.
type served struct {
	source string
	state  string // for a directory; made anew
	args   []string
}

// withGuest serves a source, mounts it, and runs f.
func (b *bench) withGuest(what served, f func(g *guest) (sample, error)) (sample, error) {
	args := append([]string{"serve", "--quiet", "--rw"}, what.args...)
	if what.state != "" {
		if err := os.RemoveAll(what.state); err != nil {
			return sample{}, err
		}
		args = append(args, "--state", what.state)
	}
	start := func(b *bench, _ string) (*product.Server, error) {
		socket, err := b.socket()
		if err != nil {
			return nil, err
		}
		env := []string{"XDG_RUNTIME_DIR=" + b.tmp, "XDG_STATE_HOME=" + filepath.Join(b.tmp, "state-home")}
		return product.StartServer(socket, env, b.bin, append(args, "--listen", "unix:"+socket, what.source)...)
	}
	return withServer(b, start, "", func(s *product.Server) (sample, error) {
		c, err := nbd.Dial(context.Background(), s.URI)
		if err != nil {
			return sample{}, err
		}
		cache := newPageCache(c)
		v, err := fat.Open(cache, fat.Options{WriteBack: -1})
		if err != nil {
			return sample{}, errors.Join(err, c.Close())
		}
		got, err := f(&guest{v, c, s, what.source})
		return got, errors.Join(err, v.Close(), cache.Close())
	})
}

// write makes a file on the guest's disk, a megabyte at a time.
func (g *guest) write(name string, size int64) (err error) {
	f, err := g.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	p := bytes.Repeat([]byte{0x5a}, int(min(size, 1<<20)))
	for size > 0 {
		n, err := f.Write(p[:min(size, int64(len(p)))])
		if err != nil {
			return err
		}
		size -= int64(n)
	}
	return nil
}

// arrives waits until a file of the host has contents of a size that begin with
// first, and returns how long that took from since on.
func arrives(path string, size int64, first byte, since time.Time) (time.Duration, error) {
	p := make([]byte, 1)
	for time.Since(since) < time.Minute {
		f, err := os.Open(path)
		if err == nil {
			fi, statErr := f.Stat()
			_, err = f.ReadAt(p, 0)
			if closeErr := f.Close(); err == nil && statErr == nil && closeErr == nil && fi.Size() == size && p[0] == first {
				return time.Since(since), nil
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
	return 0, errors.New(path + " has not arrived within a minute")
}

// sync asks the server to carry everything into the directory.
func (b *bench) sync(g *guest) error {
	_, _, err := command("env", "XDG_RUNTIME_DIR="+b.tmp, b.bin, "sync", g.s.Socket)
	return err
}
