package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/fatkit/fatkit/fusemount"
)

// mountReport is what --json prints when a mount can be used.
type mountReport struct {
	Mount    string   `json:"mount"`
	Sources  []string `json:"sources"`
	File     string   `json:"file,omitempty"` // of --as-file: its path
	ReadOnly bool     `json:"read_only"`
	PID      int      `json:"pid"`
}

// run mounts, in this process or in one that goes on in the background.
func (f *mountFlags) run(cmd *cobra.Command, operands []string, dir string) error {
	ready := readyPipe()
	if !f.foreground && ready == nil {
		return f.background(cmd)
	}
	ctx, force, release := untilSignal(cmd.Context())
	defer release()
	specs, err := f.specs(operands)
	if err != nil {
		return err
	}
	options, err := f.fuseOptions(operands)
	if err != nil {
		return err
	}
	src, err := f.open(ctx, specs)
	if err != nil {
		return err
	}
	server, err := f.start(src, dir, options)
	if err == nil {
		err = f.serve(ctx, force, cmd, server, f.report(src, operands, server), ready)
	}
	return errors.Join(err, src.close())
}

// start mounts the source.
func (f *mountFlags) start(src *mountSource, dir string, o fusemount.Options) (*fusemount.Server, error) {
	o.ReadOnly, o.KeepModes, o.Timeout = src.readOnly, src.keepModes, src.timeout
	if src.device != nil {
		return fusemount.MountDevice(dir, src.device, f.asFile, o)
	}
	return fusemount.Mount(dir, src.tree, o)
}

// fuseOptions returns how the kernel shows it.
func (f *mountFlags) fuseOptions(operands []string) (fusemount.Options, error) {
	o := fusemount.Options{
		Source: f.source, AllowOther: f.allowOther, Quiet: f.quietOwner, Flags: f.kernel,
		UID: uint32(os.Getuid()), GID: uint32(os.Getgid()),
	}
	mask := unix.Umask(0)
	unix.Umask(mask)
	if f.umask != "" {
		m, err := strconv.ParseUint(f.umask, 8, 9)
		if err != nil {
			return o, usageError("--umask: %q is not a number of three octal digits", f.umask)
		}
		mask = int(m)
	}
	o.Umask = os.FileMode(mask)
	if f.uid >= 0 {
		o.UID = uint32(f.uid)
	}
	if f.gid >= 0 {
		o.GID = uint32(f.gid)
	}
	if o.Source == "" {
		o.Source = operands[0]
		if abs, err := filepath.Abs(o.Source); err == nil && fileExists(abs) {
			o.Source = abs
		}
	}
	log, err := f.log.logger(os.Stderr)
	o.Log = log
	return o, err
}

// fileExists reports whether there is something at a path.
func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// report describes the mount.
func (f *mountFlags) report(src *mountSource, operands []string, s *fusemount.Server) mountReport {
	if s == nil {
		return mountReport{}
	}
	r := mountReport{Mount: s.Dir(), Sources: operands, ReadOnly: src.readOnly, PID: os.Getpid()}
	if f.asFile != "" {
		r.File = filepath.Join(r.Mount, f.asFile)
		if fi, err := os.Stat(r.Mount); err == nil && !fi.IsDir() {
			r.File = r.Mount
		}
	}
	return r
}

// serve says that the mount can be used, and returns when it has ended.
func (f *mountFlags) serve(ctx, force context.Context, cmd *cobra.Command, s *fusemount.Server, r mountReport, ready *os.File) error {
	if f.pidFile != "" {
		remove, err := f.writePID()
		if err != nil {
			return errors.Join(err, s.Unmount(fusemount.Lazy))
		}
		defer remove()
	}
	if err := f.announce(cmd.OutOrStdout(), r, ready); err != nil {
		return errors.Join(err, s.Unmount(fusemount.Lazy))
	}
	ended := make(chan struct{})
	go func() {
		s.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	return f.end(force, s, ended)
}

// writePID writes the PID file, under a name that holds in any folder.
func (f *mountFlags) writePID() (remove func(), err error) {
	path, err := filepath.Abs(f.pidFile)
	if err != nil {
		return nil, err
	}
	return writePIDFile(path)
}

// announce says that the mount can be used: to the process that waits for it, or
// to who reads our output.
func (f *mountFlags) announce(out io.Writer, r mountReport, ready *os.File) error {
	switch {
	case ready != nil:
		return f.detach(r, ready)
	case f.asJSON:
		return printJSON(out, r)
	case isTerminal(out) && !f.log.quiet:
		_, err := fmt.Fprintf(out, "%s is mounted. Stop with Ctrl-C.\n", printable(r.Mount))
		return err
	}
	return nil
}

// end unmounts. A mount that is in use disappears from the tree, and ends when
// nobody uses it any more, or with another signal.
func (f *mountFlags) end(force context.Context, s *fusemount.Server, ended chan struct{}) error {
	err := s.Unmount(0)
	if errors.Is(err, fusemount.ErrBusy) {
		fmt.Fprintf(os.Stderr, "fatkit: %s is in use: it ends when nobody uses it any more, or with another signal\n", printable(s.Dir()))
		err = s.Unmount(fusemount.Lazy)
	}
	if err != nil {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-force.Done():
		return fmt.Errorf("%s was in use until the end", s.Dir())
	}
}
