package fusemount

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/vfs"
)

// maxRequestBytes is the longest read or write of one request: what Linux takes
// since 4.20.
const maxRequestBytes = 1 << 20

// maxBackground is how many requests that nobody waits for, such as reading
// ahead, the kernel sends at a time.
const maxBackground = 64

// Server is a mount. Its methods may be called concurrently.
type Server struct {
	dir   string
	ended chan struct{}
}

// Mount mounts a tree on the directory dir and returns when it can be used. The
// tree stays the caller's to close, after Wait.
func Mount(dir string, tree vfs.FS, o Options) (*Server, error) {
	if fi, err := os.Stat(dir); err != nil {
		return nil, place("mount on", dir, plain(err))
	} else if !fi.IsDir() {
		return nil, place("mount on", dir, vfs.ErrNotDir)
	}
	return mount(dir, tree, o)
}

// MountDevice mounts a device as the file called name in the directory at, or in
// the place of the file at if that is one. The device stays the caller's to close,
// after Wait.
func MountDevice(at string, dev block.Device, name string, o Options) (*Server, error) {
	fi, err := os.Stat(at)
	switch {
	case err != nil:
		return nil, place("mount on", at, plain(err))
	case fi.Mode().IsRegular():
		name = "."
	case !fi.IsDir():
		return nil, place("mount on", at, errors.New("neither a directory nor a file"))
	}
	o.KeepModes = false
	return mount(at, newDeviceTree(dev, name, o.ReadOnly), o)
}

// mount mounts a tree on dir, which is of the same kind as its root.
func mount(dir string, fsys vfs.FS, o Options) (*Server, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return nil, place("mount on", dir, fmt.Errorf("there is no FUSE here: %w", err))
	}
	t, err := newTree(fsys, o)
	if err != nil {
		return nil, err
	}
	server, err := fuse.NewServer(t, dir, mountOptions(o))
	if err != nil {
		return nil, place("mount on", dir, err)
	}
	s := &Server{dir: dir, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		server.Serve()
	}()
	// What follows opens a file in the directory, which a file is none.
	if t.nodes.root.kind.IsDir() {
		if err := server.WaitMount(); err != nil {
			return nil, errors.Join(place("mount on", dir, err), s.Unmount(Lazy))
		}
	}
	readAhead(dir)
	return s, nil
}

// readAhead lets the kernel read as far ahead as one request can. By itself it does
// with an eighth of that. Only root may ask for more, so it is no error if that
// fails.
func readAhead(dir string) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return
	}
	name := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(st.Dev), unix.Minor(st.Dev))
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	fmt.Fprintf(f, "%d\n", maxRequestBytes>>10)
	f.Close()
}

// mountOptions returns what go-fuse and the kernel are told.
func mountOptions(o Options) *fuse.MountOptions {
	quiet := log.New(io.Discard, "", 0)
	if o.Log != nil {
		quiet = log.New(&logWriter{o.Log}, "", 0)
	}
	m := &fuse.MountOptions{
		Name: strings.TrimPrefix(Type, "fuse."), FsName: o.Source, AllowOther: o.AllowOther,
		MaxWrite: maxRequestBytes, MaxReadAhead: maxRequestBytes, MaxBackground: maxBackground,
		IgnoreSecurityLabels: true, Logger: quiet, DirectMountStrict: os.Geteuid() == 0,
		ExtraCapabilities: fuse.CAP_NO_OPENDIR_SUPPORT,
		DirectMountFlags:  syscall.MS_NOSUID | syscall.MS_NODEV,
	}
	if o.ReadOnly {
		m.DirectMountFlags |= syscall.MS_RDONLY
	}
	if !m.DirectMountStrict {
		m.Options = append(m.Options, o.Flags...)
		if o.ReadOnly {
			m.Options = append(m.Options, "ro")
		}
	}
	for _, flag := range o.Flags {
		switch flag {
		case "noatime":
			m.DirectMountFlags |= syscall.MS_NOATIME
		default: // nodev and the like, which go-fuse knows
			if m.DirectMountStrict {
				m.Options = append(m.Options, flag)
			}
		}
	}
	if !slices.Contains(m.Options, "default_permissions") {
		m.Options = append(m.Options, "default_permissions")
	}
	return m
}

// plain returns the reason of an error about a path.
func plain(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// Dir returns where the mount is.
func (s *Server) Dir() string { return s.dir }

// Wait returns when the mount has ended: somebody has unmounted it, and nobody uses
// it any more.
func (s *Server) Wait() { <-s.ended }

// Unmount unmounts. One that is in use is [ErrBusy], unless flags say otherwise.
// It does not wait for the end.
func (s *Server) Unmount(flags UnmountFlags) error {
	select {
	case <-s.ended:
		return nil
	default:
	}
	err := unmount(s.dir, flags)
	if errors.Is(err, syscall.EINVAL) { // somebody else was first
		return nil
	}
	return err
}
