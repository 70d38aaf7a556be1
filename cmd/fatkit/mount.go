package main

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const mountLong = `Mount SOURCE on the directory MNT, with FUSE, which takes no privileges: every program
can use what is in it then. SOURCE is an image, a block device, the URI of an NBD
server, a zip or tar archive, a directory, a fat: name (a directory as the FAT disk
that it would be shown as), or a drive such as a: that --drive or the configuration
defines. Several drives, each written as LETTER:=NAME as in fatkit shell or by
its letter alone, become directories of one mount.

The mount is read-only unless --rw is given. Of a disk with partitions the only one
with a FAT volume is taken; --partition or --offset choose another. An image that
is mounted with --rw is locked, so that no other program writes to it.

--as-file shows the disk itself as one file, which can be given to loop devices, USB
gadgets and programs that know images as files alone: a directory as a live FAT disk, a
qcow2 image or the disk of an NBD server as plain bytes. The file is called NAME in the
directory MNT; if MNT is a file, it takes that file's place.

The command returns when the mount can be used, and the mount goes on in the
background; --foreground keeps it. It ends with "fatkit umount MNT", which returns
when everything is on the disk, or with SIGTERM: if a program still uses the mount
then, it disappears from the tree at once and ends with the last use. What was written
is on stable storage after fsync, and otherwise some seconds later.

FAT keeps no owners and no permissions. Everything belongs to --uid and --gid and
has all permissions but those in --umask, as with the kernel's vfat; a file without
the permission to write is one with the read-only attribute. A change of permissions
that FAT cannot hold is ignored, and a change of the owner refused unless -o quiet is
given. The extended attribute user.DOSATTRIB holds the DOS attributes. To change
nothing but the case of a name takes two renames.

With a link named mount.fatkit in /sbin that leads to fatkit, mount(8) and
/etc/fstab know the type fatkit:

  /images/disk.img  /mnt/disk  fatkit  rw,uid=1000,partition=1  0  0`

const mountExample = `  fatkit mount floppy.img mnt
  fatkit mount --rw --umask 077 disk.qcow2 mnt
  fatkit mount --as-file=photos.img fat:32:photos mnt
  fatkit mount --rw a:=floppy.img c:=disk.qcow2 mnt
  fatkit mount -o rw,partition=1,uid=1000 parts.img mnt`

// mountFlags are the flags of mount.
type mountFlags struct {
	volumeFlags
	rw          bool
	copyOnWrite bool
	asFile      string
	foreground  bool
	allowOther  bool
	uid, gid    int
	umask       string
	options     []string
	kernel      []string // options that the kernel knows, from -o
	source      string   // what lists of mounts show; "" is the name
	quietOwner  bool     // -o quiet
	reconnect   time.Duration
	pidFile     string
	logFile     string
	asJSON      bool
	log         logFlags
}

func newMount() *cobra.Command {
	f := mountFlags{}
	cmd := &cobra.Command{
		Use:     "mount [flags] SOURCE... MNT",
		Short:   "mount an image, an archive or a live disk as a directory, or as a file",
		Long:    mountLong,
		Example: mountExample,
		Args:    wantArgs(2, -1, "a source and a directory to mount it on"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.applyOptions(cmd.Flags()); err != nil {
				return err
			}
			if err := f.check(cmd.Flags(), args); err != nil {
				return err
			}
			return f.run(cmd, args[:len(args)-1], args[len(args)-1])
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().SortFlags = false
	return cmd
}

func (f *mountFlags) register(fs *pflag.FlagSet) {
	fs.BoolVar(&f.rw, "rw", false, "mount for writing")
	fs.BoolVar(&f.copyOnWrite, "copy-on-write", false, "let programs write, and forget what they wrote at the end: it goes to a file in the folder for temporary files")
	fs.StringVar(&f.asFile, "as-file", "", "show the disk itself as a file, called `NAME` if that follows with =, else disk.img")
	fs.Lookup("as-file").NoOptDefVal = "disk.img"
	fs.BoolVarP(&f.foreground, "foreground", "f", false, "stay in the foreground until the mount ends")
	fs.BoolVar(&f.allowOther, "allow-other", false, "let other users in, as far as the permissions do; a user who is not root needs user_allow_other in /etc/fuse.conf")
	fs.IntVar(&f.uid, "uid", -1, "`NUMBER` of the user who owns everything (default you)")
	fs.IntVar(&f.gid, "gid", -1, "`NUMBER` of the group that owns everything (default yours)")
	fs.StringVar(&f.umask, "umask", "", "permissions that nobody has, in octal `DIGITS` (default yours)")
	fs.StringArrayVarP(&f.options, "options", "o", nil, "options as mount(8) writes them: these flags with = and without dashes, ro, and nodev dev nosuid suid noexec exec noatime quiet fsname= `OPTION[,...]` (repeatable)")
	fs.DurationVar(&f.reconnect, "reconnect", 0, "keep opening a lost connection to an NBD server for this long, such as 30s (default not at all)")
	fs.StringVar(&f.pidFile, "pid-file", "", "write the number of the process to `FILE` when the mount can be used")
	fs.StringVar(&f.logFile, "log-file", "", "append what goes wrong in the background to `FILE`")
	fs.BoolVar(&f.asJSON, "json", false, "print JSON when the mount can be used")
	f.log.register(fs)
	f.registerDisk(fs)
}

// check refuses what contradicts itself.
func (f *mountFlags) check(fs *pflag.FlagSet, args []string) error {
	switch {
	case f.rw && f.copyOnWrite:
		return usageError("--rw writes to the image, and --copy-on-write leaves it as it is: give one of them")
	case f.reconnect < 0:
		return usageError("--reconnect: %v is negative", f.reconnect)
	case f.uid < -1 || f.gid < -1:
		return usageError("--uid and --gid: numbers are not negative")
	case len(args) > 2 && fs.Changed("as-file"):
		return usageError("--as-file shows one disk, and there are %d sources", len(args)-1)
	case len(args) > 2 && (f.partition != 0 || fs.Changed("offset") || f.volumeFlags.format != ""):
		return usageError("with several drives, write what is about one of them behind its name: a:=disk.img,partition=2")
	case f.share && f.rw:
		return usageError("--force-share is for reading only")
	}
	return nil
}
