package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fatkit/fatkit/internal/server"
	"github.com/fatkit/fatkit/nbd"
)

const serveShort = "show directories as FAT disks, and disk images, over NBD"

const serveLong = `Show each SOURCE as a disk of its own to virtual machines, kernels and firmware
that attach it over NBD, the network block device protocol. A SOURCE is

  a directory                     shown as a FAT disk
  fat:[12|16|32:][floppy:]DIR     likewise, with the geometry and the label that QEMU gives it
  a file or a block device        a disk image
  nbd://HOST[:PORT]/EXPORT        a disk of another server; also nbds://HOST/EXPORT and
                                  nbd+unix:///EXPORT?socket=PATH

Of a directory nothing is copied: the disk's structures are computed when they
are read, and the contents of files are read from the files.

Directories are read-only unless --rw, or rw in a fat: name, lets clients write to
them; see below. Images are read-only unless --rw lets clients write to them, or --copy-on-write
lets them write what is forgotten when the server stops. The format of an image
is that of --format, else what its suffix says, else raw; when the first bytes of
the image disagree, the server wants --format to decide. An image in a file is
locked while it is served, so that QEMU and others do not write to it too.
--partition or --offset show a part of it. What was written is on stable storage
when a client's flush is answered, and when the server has stopped.

The server runs in the foreground until it is stopped with Ctrl-C or SIGTERM; a
second signal does not wait for clients. Without --listen it makes a socket in
the user's runtime folder and prints where, with a QEMU command line to paste.

Files that change. What one look at the directory produced is a generation of
the disk, and nothing changes under a guest within it. A host file that changed
since then fails its reads with an I/O error. When all clients have disconnected
in order, the next one finds the directory as it is then; --refresh never turns
that off. A connection that merely broke may come back, and keeps its generation.
"fatkit refresh" asks for a new generation, and --refresh-on boot-read begins
one whenever the firmware of a guest that was reset reads the first sector
again, while no other client is attached: edit, build, reboot. Use boot-read only
for guests that do not read the first sector of the disk while they use it. A
guest that is suspended or snapshotted needs --refresh never.

Writing to a directory. With --rw everything that a client writes is kept in the
state folder (--state), which survives when the server or the machine fails. What it
means for files and directories is carried into the directory after the client has
flushed, or has been quiet for --settle, at the latest after --max-age; "fatkit sync"
asks for it at once. What is not complete yet waits, and "fatkit status" says why.
Deleted files go to the trash in the state folder. The hidden, system and archive
attributes are kept in the extended attribute user.DOSATTRIB, where Samba keeps them too. A file that a program on this
machine changed as well is a conflict: its version stays, and the client's is saved
beside it. When a client seems to destroy its disk, or deletes more than --max-deletes,
nothing more is changed in the directory. The disk begins anew only when its clients have left it in order, marked it
clean, and nothing waits; so a server that is started again goes on where the one
before ended, and --fresh puts away what that one left. When something waits at the end,
it is listed and the exit status is 4. After an error of the medium that holds the
state folder the disk takes no more writes until the server is started again. A guest that hibernates or is
snapshotted needs --refresh never. A directory that is moved or renamed while it is
served is followed to where it is. One server at a time writes to a directory.

Several disks. Each of several sources is exported under the name of its
directory or file, and the first also as the default. --export gives one source a name
and flags of its own; what it leaves out is taken from the flags of the command.
It is written as name=N,source=S and then any of the flags of a disk without
their dashes, such as table=gpt, esp or rw; a comma within a value is doubled.

Who can connect. A unix socket is open to its user alone. On TCP, addresses that
other machines can reach need --tls require or --insecure. --tls takes
certificates as QEMU, nbdkit and libnbd do, from a folder with server-cert.pem
and server-key.pem, and for --tls-verify-peer ca-cert.pem. There are no
pre-shared keys.

A server that is started again at the same unix socket takes it over when the
one before is gone, so that clients which reconnect find it, such as QEMU with
reconnect-delay and fatkit with --reconnect.

The command of --run sees $uri, $unixsocket or $host and $port, and $exportname.`

const serveExample = `  fatkit serve photos
  fatkit serve --listen unix:disk.sock --esp --refresh-on boot-read build
  fatkit serve --run 'nbdcopy "$uri" photos.img' --fat 32 --label PHOTOS photos
  fatkit serve --rw --listen unix:disk.sock disk.img
  fatkit serve --rw --run 'nbdcopy disk.img "$uri"' photos
  fatkit serve --copy-on-write --partition 1 --run 'nbdinfo --size "$uri"' disk.img
  fatkit serve --run 'nbdinfo --list "$uri"' --export name=system,source=disk.img,rw --export name=files,source=photos
  fatkit serve --run 'qemu-img info "$uri"' fat:floppy:photos
  fatkit serve --run 'nbdinfo --list "$uri"' --export name=a,source=photos,table=gpt --export name=b,source=photos,floppy=1440`

// serveFlags are the flags of serve that are about the server as a whole.
type serveFlags struct {
	share          shareFlags
	exports        []string
	exportName     string
	listen         []string
	tls            tlsFlags
	maxConns       int
	idleTimeout    time.Duration
	drainTimeout   time.Duration
	insecure       bool
	stdio          bool
	run            string
	exitWithParent bool
	once           bool
	pidFile        string
	metrics        string
	log            logFlags
}

func newServe() *cobra.Command {
	f := serveFlags{share: newShareFlags()}
	cmd := &cobra.Command{
		Use:     "serve [flags] SOURCE...",
		Short:   serveShort,
		Long:    serveLong,
		Example: serveExample,
		RunE: func(cmd *cobra.Command, args []string) error {
			return serve(cmd, &f, args)
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().SortFlags = false
	return cmd
}

func (f *serveFlags) register(fs *pflag.FlagSet) {
	fs.StringArrayVarP(&f.listen, "listen", "l", nil, "accept clients at `ADDRESS`, unix:PATH or tcp:HOST:PORT (repeatable; default a socket in the runtime folder)")
	fs.BoolVar(&f.insecure, "insecure", false, "accept TCP clients from other machines, without encryption or authentication")
	f.tls.register(fs)
	fs.IntVar(&f.maxConns, "max-connections", nbd.DefaultMaxConns, "serve at most `N` connections at a time; in an --export, those of that export")
	fs.DurationVar(&f.idleTimeout, "idle-timeout", 0, "cut off a client that asks for nothing for so long, such as 10m (default never)")
	fs.DurationVar(&f.drainTimeout, "drain-timeout", server.DefaultDrainTimeout, "when stopping, wait so long for clients to take their answers")
	fs.BoolVarP(&f.stdio, "stdio", "s", false, "serve one client on standard input and output")
	fs.StringVar(&f.exportName, "export-name", "", "`NAME` of the export of a single source (its directory's name works too)")
	fs.StringArrayVar(&f.exports, "export", nil, "export a source under a name with flags of its own: `name=N,source=S,...` (repeatable)")
	fs.StringVar(&f.run, "run", "", "run `COMMAND` in a shell, then stop and pass its exit status on")
	fs.BoolVar(&f.once, "once", false, "stop when the last client has gone")
	fs.BoolVar(&f.exitWithParent, "exit-with-parent", false, "stop when the process that started the server has ended")
	fs.StringVar(&f.pidFile, "pid-file", "", "write the number of the process to `FILE` when clients can attach")
	fs.StringVar(&f.metrics, "metrics", "", "answer Prometheus at http://`HOST:PORT`/metrics")
	f.share.register(fs)
	f.log.register(fs)
}

// check refuses what contradicts itself.
func (f *serveFlags) check(sources []string) error {
	switch {
	case len(sources)+len(f.exports) == 0:
		return usageError("serve needs a directory or an image to show, or an --export")
	case f.maxConns < 1:
		return usageError("--max-connections: %d is less than 1", f.maxConns)
	case f.idleTimeout < 0:
		return usageError("--idle-timeout: %v is negative", f.idleTimeout)
	case f.drainTimeout <= 0:
		return usageError("--drain-timeout: %v is not positive", f.drainTimeout)
	case f.exportName != "" && len(sources)+len(f.exports) != 1:
		return usageError("--export-name names the export of a single source: use --export name=N,source=S for several")
	case f.stdio && (len(f.listen) > 0 || f.run != "" || f.once):
		return usageError("--stdio serves the one client at standard input: it cannot go with --listen, --run or --once")
	}
	return nil
}

// serve is the verb.
func serve(cmd *cobra.Command, f *serveFlags, sources []string) (err error) {
	if err := f.check(sources); err != nil {
		return err
	}
	log, err := f.log.logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	ctx, force, release := untilSignal(cmd.Context())
	defer release()
	if f.exitWithParent {
		parent, gone := context.WithCancel(ctx)
		defer gone()
		if err := watchParent(parent, gone); err != nil {
			return fmt.Errorf("--exit-with-parent: %w", err)
		}
		ctx = parent
	}
	exports, err := f.exportOptions(cmd.Flags(), sources)
	if err != nil {
		return err
	}
	options := server.Options{
		Version: versionText(), Logger: log, Once: f.once,
		MaxConns: f.maxConns, IdleTimeout: f.idleTimeout, DrainTimeout: f.drainTimeout,
	}
	if err := f.tls.apply(&options); err != nil {
		return err
	}
	s := server.New(options)
	defer func() {
		// To close an image is to flush it; that it failed matters more than
		// how a command of --run ended.
		if failed := s.Close(); failed != nil {
			err = &exitError{exitFailed, errors.Join(failed, err)}
		}
		if left := leftOver(cmd.ErrOrStderr(), exports); err == nil {
			err = left
		}
	}()
	// The listeners come first: an address in use should not cost a scan.
	cleanup, err := f.openListeners(s, exports[0].Source.BaseName(), log)
	if err != nil {
		return err
	}
	defer cleanup()
	for _, e := range exports {
		if err := s.AddExport(ctx, e); err != nil {
			return err
		}
	}
	if f.metrics != "" {
		stop, err := f.serveMetrics(ctx, s)
		if err != nil {
			return err
		}
		defer stop()
	}
	return f.runServer(ctx, force, cmd, s)
}

// serveMetrics answers Prometheus until stop is called.
func (f *serveFlags) serveMetrics(ctx context.Context, s *server.Server) (stop func(), err error) {
	l, err := nbd.Listen("tcp:"+f.metrics, f.insecure)
	if errors.Is(err, nbd.ErrNotLoopback) {
		return nil, fmt.Errorf("--metrics %s: %w: take localhost, or accept that with --insecure", f.metrics, err)
	}
	if err != nil {
		return nil, fmt.Errorf("--metrics %s: %w", f.metrics, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ServeMetrics(ctx, l) // ends with ctx
	}()
	return func() { cancel(); <-done }, nil
}

// runServer serves until something ends it.
func (f *serveFlags) runServer(ctx, force context.Context, cmd *cobra.Command, s *server.Server) error {
	if f.pidFile != "" {
		remove, err := writePIDFile(f.pidFile)
		if err != nil {
			return err
		}
		defer remove()
	}
	if f.stdio {
		return serveStdio(ctx, force, s)
	}
	st := s.Status()
	if f.run == "" && !f.log.quiet {
		banner(cmd.OutOrStdout(), st)
	}
	if err := server.Notify("READY=1"); err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	if f.run == "" {
		return s.Serve(ctx, force)
	}
	return f.serveChild(ctx, force, s, st)
}

// serveChild serves for as long as the command of --run runs.
func (f *serveFlags) serveChild(ctx, force context.Context, s *server.Server, st server.Status) error {
	serving, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(serving, force)
		stop() // a server that fails ends its command
	}()
	code, err := runChild(serving, force, f.run, childEnv(s.Addrs()[0], st.Exports[0].Name, f.tls.required()))
	stop()
	if serr := <-served; serr != nil {
		return errors.Join(serr, err)
	}
	if err != nil {
		return err
	}
	return exitWith(code)
}
