// Package volume is a volume manager, as a small operating system has one:
// file systems register as drivers, volumes are mounted at drive letters or at
// paths, and files are used without knowing which driver serves them.
//
// A [Registry] holds the [Driver]s that its caller puts in. A [Namespace] holds
// up to 26 letters and any number of mount points in one tree, a default drive,
// a current directory for each drive, and the table of open files. A [Volume]
// is what is mounted; it is a vfs.FS by itself. A namespace names files in two
// ways, each a [View]: in the syntax of paths below, by its own methods, and as
// an fs.FS, by [Namespace.FS].
//
// # Paths
//
//	A:\DIR\FILE.TXT   from the root of drive A; slashes of both kinds, letters of either case
//	a:file.txt        from the current directory of drive A
//	file.txt          from the current directory of the default drive
//	\DIR, /dir        from the root of the default drive
//	/mnt/x/file       below the mount point /mnt/x, if there is one; the longest one counts
//
// "." and ".." are resolved by the text of the path, and no path leaves its
// volume: ".." at a root stays there. Symbolic links are the driver's to
// resolve, within the volume. A name with a backslash in it, which only a
// host's directory can hold, is reached through the fs.FS alone.
//
// With [Options].DeviceNames, NUL swallows what is written, other names can be
// given a device, such as CON, and none of DOS's device names can be created as
// a file.
//
// # Concurrency
//
// All methods may be called concurrently. The table of what is mounted where
// is a value that is replaced, so finding a volume takes no lock; operations on
// different volumes never wait for each other. [Namespace.Unmount] refuses
// while files are open or copies run, waits for calls under way, and with force
// ends copies and closes files, whose further use is fs.ErrClosed.
//
// # Errors
//
// They are *fs.PathError around the sentinels of io/fs, those of package
// diskerr, or [ErrNoDrive], [ErrInUse], [ErrBusy], [ErrPathTooLong] and
// [NoDriverError]. Their path is the one that the caller gave.
//
// The package opens no images and knows no format: see stack/drivers.
package volume
