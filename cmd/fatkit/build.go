package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/stack"
)

const buildLong = `Write the disk that "fatkit serve" would show of DIR into the file OUT, byte for
byte. DIR may also be in QEMU's form, fat:[12|16|32:][floppy:]DIR.

The image is written beside OUT under another name and renamed when it is
complete and on stable storage, so OUT is either whole or untouched. Parts of the
disk that are zero take no space where the file system can do that. With - for
OUT the image goes to standard output.

OUT is a qcow2 image if its suffix or -O says so, else the plain bytes of the disk.

OUT may be a block device, such as a USB stick, with --force: its beginning is
overwritten where it is. One that is mounted, or too small, is refused.

With SOURCE_DATE_EPOCH set and --timezone utc the same files give the same image
anywhere.`

const buildExample = `  fatkit build photos photos.img
  fatkit build --esp --label BOOT photos boot.img
  fatkit build --compress zstd photos photos.qcow2
  fatkit build --floppy 1440 photos - >floppy.img
  fatkit build --force fat:photos photos.img`

// maxTempBase is how many bytes of a file's name its temporary name shows; the
// whole of it has to stay below the 255 of most file systems.
const maxTempBase = 200

// buildFlags are the flags of build.
type buildFlags struct {
	diskFlags
	force bool
	image convertFlags // of which only what is about the image counts
	log   logFlags
}

func newBuild() *cobra.Command {
	f := buildFlags{diskFlags: *newDiskFlags(), image: convertFlags{sparseBytes: 4096}}
	cmd := &cobra.Command{
		Use:     "build [flags] DIR OUT",
		Short:   "write the disk that serve would show into a file or onto a device",
		Long:    buildLong,
		Example: buildExample,
		Args:    wantArgs(2, 2, "a directory and an image file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return build(cmd, &f, args[0], args[1])
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVarP(&f.force, "force", "f", false, "replace OUT if it exists, or overwrite it if it is a block device")
	f.image.registerTarget(cmd.Flags())
	f.register(cmd.Flags())
	f.log.register(cmd.Flags())
	return cmd
}

// build is the verb.
func build(cmd *cobra.Command, f *buildFlags, from, to string) error {
	log, err := f.log.logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if stack.WantsWrites(from) {
		return usageError("%s: build does not write to it: leave rw out", from)
	}
	src, err := f.source(from)
	if err != nil {
		return err
	}
	w, err := f.writer(to)
	if err != nil {
		return err
	}
	if to == "-" && isTerminal(cmd.OutOrStdout()) {
		return usageError("an image is not for a terminal: send standard output to a file or a program")
	}
	if to != "-" {
		if err := checkTarget(to, f.force); err != nil {
			return err
		}
		if inside := pathWithin(src.Dir, to); inside != "" {
			src.Scan.Exclude = append(src.Scan.Exclude, "/"+escapeGlob(inside))
			if _, err := os.Lstat(to); err == nil {
				log.Warn("the image lies in the directory and is left out of itself", "image", to)
			}
		}
	}
	ctx, _, release := untilSignal(cmd.Context())
	defer release()
	g, err := src.Generate(ctx, nil, func(e stack.Event) { log.Warn(e.Text, "path", e.Path) })
	if err != nil {
		return err
	}
	defer g.Close()
	w.bar = newProgressBar(cmd.ErrOrStderr(), targetName(to), f.log.quiet)
	defer w.bar.finish()
	if to == "-" {
		return streamDevice(ctx, cmd.OutOrStdout(), g.Device, w.bar)
	}
	return w.put(ctx, to, g.Device)
}

// writer decides what image is made.
func (f *buildFlags) writer(to string) (*imageWriter, error) {
	f.image.force = f.force
	w, err := f.image.writer(to, false)
	switch {
	case err != nil:
		return nil, err
	case to == "-" && w.format != stack.FormatRaw:
		return nil, usageError("a %s image is not written from its beginning to its end: name a file", w.format)
	case w.c.sizeBytes >= 0:
		return nil, usageError("-o size: --size says how large the disk is")
	case w.c.BackingName != "":
		return nil, usageError("-o backing_file: the image holds the whole disk")
	}
	w.sparseBytes = 0 // what is zeroes is known; large files need not pass through memory
	return w, nil
}

// checkTarget refuses a target that cannot be replaced, before any work.
func checkTarget(path string, force bool) error {
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		_, err = os.Stat(filepath.Dir(path))
		return err
	case err != nil:
		return err
	case fi.IsDir():
		return fmt.Errorf("%s: is a directory: name the image file", path)
	case isBlockDevice(fi.Mode()) && !force:
		return fmt.Errorf("%s: is a block device: use --force to overwrite what is on it", path)
	case isBlockDevice(fi.Mode()):
		return nil
	case !fi.Mode().IsRegular():
		return fmt.Errorf("%s: is neither a regular file nor a block device: write the image to it with `fatkit build DIR - >%s`", path, path)
	case !force:
		return fmt.Errorf("%s: exists already: use --force to replace it", path)
	}
	return nil
}

// tempName returns a name beside path that nothing has.
func tempName(path string) string {
	base := filepath.Base(path)
	base = base[:min(len(base), maxTempBase)]
	return filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%08x.tmp", base, rand.Uint32()))
}

// putInPlace renames temp to path. Without force it does not replace a file that
// has come there meanwhile.
func putInPlace(temp, path string, force bool) error {
	if force {
		return os.Rename(temp, path)
	}
	err := os.Link(temp, path)
	if err == nil {
		return os.Remove(temp)
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: exists already: use --force to replace it", path)
	}
	// The file system has no hard links: look, then rename.
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: exists already: use --force to replace it", path)
	}
	return os.Rename(temp, path)
}

// streamDevice writes src to a pipe or whatever standard output is.
func streamDevice(ctx context.Context, out io.Writer, src block.Device, bar *progressBar) error {
	buf := make([]byte, 1<<20)
	for off := int64(0); off < src.Size(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := buf[:min(int64(len(buf)), src.Size()-off)]
		if err := block.ReadFull(src, part, off); err != nil {
			return err
		}
		if _, err := out.Write(part); err != nil {
			return err
		}
		off += int64(len(part))
		bar.update(off, src.Size())
	}
	return nil
}

// pathWithin returns the slash-separated path of a file relative to dir, or ""
// if it lies elsewhere.
func pathWithin(dir, path string) string {
	dir, err1 := filepath.EvalSymlinks(dir)
	abs, err2 := filepath.Abs(path)
	if err1 != nil || err2 != nil {
		return ""
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return ""
	}
	rel, err := filepath.Rel(dir, filepath.Join(parent, filepath.Base(abs)))
	if err != nil || !filepath.IsLocal(rel) {
		return ""
	}
	return filepath.ToSlash(rel)
}

// escapeGlob makes a path mean itself as a pattern.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
