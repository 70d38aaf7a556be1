package main

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fatkit/fatkit/stack"
)

// locationLong explains the paths of the verbs that work inside images.
const locationLong = `A path inside an image is IMAGE:/PATH. IMAGE is an image file (raw, qcow2), a block
device, or the URI of an NBD server; for reading also a zip or tar archive, and a
directory or a fat: name as the disk that it would be shown as. The last ":/" that is
not part of "://" divides. With -i IMAGE the path can be written ::/PATH, as with
mtools; and X:/PATH where --drive or the configuration says what drive X is: any of
these, a directory with its own files, or with driver=raw any medium as the one file
disk.img. The volume of an image is found by itself; if there are several,
--partition chooses, for all images of the command.
Wildcards * ? [a-z] match names inside an image without regard to case: quote them.`

// volumeFlags are the flags of all verbs that open the volume in an image.
type volumeFlags struct {
	image     string
	format    string
	share     bool
	backing   string
	partition int
	offset    int64
	sector    int64
	codePage  int
	zone      *time.Location
	drives    driveFlags
	flags     *pflag.FlagSet
}

// register declares the flags on fs, behind those of the verb.
func (f *volumeFlags) register(fs *pflag.FlagSet) {
	f.flags, f.zone = fs, time.Local
	fs.StringVarP(&f.image, "image", "i", "", "the `IMAGE` that :: stands for")
	f.registerDisk(fs)
}

// registerDisk declares the flags that say what of an image is meant and how it
// is read.
func (f *volumeFlags) registerDisk(fs *pflag.FlagSet) {
	f.flags, f.zone = fs, time.Local
	fs.IntVar(&f.partition, "partition", 0, "partition `N` of the image: 1 to 4, 5 and up for logical ones, or the number in a GPT (default the only one with a FAT volume)")
	fs.Var(&sizeValue{bytes: &f.offset}, "offset", "the volume begins this many bytes from the start of the disk; 0 is the disk as a whole")
	fs.Var(&sizeValue{bytes: &f.sector}, "sector", "size of the sectors in which an MBR counts (default 512)")
	fs.Var(formatFlag(&f.format), "format", "format of the image (default what its suffix says, else raw)")
	fs.StringVar(&f.backing, "backing", "", "open the backing files of a qcow2 image: allow, deny, or those beneath `DIR` (default beneath the image's folder)")
	fs.BoolVarP(&f.share, "force-share", "U", false, "read an image although another program is writing to it; what is read may not fit together")
	f.drives.register(fs)
	fs.IntVar(&f.codePage, "codepage", 0, "OEM code page `N` of short names and labels (default 437)")
	fs.Var(&zoneValue{zone: &f.zone, text: "local"}, "timezone", "time zone of the stamps in the image: local, utc or ±hh:mm")
}

// humanFlag declares -h for sizes that people read, as coreutils has it; help is
// --help then.
func humanFlag(cmd *cobra.Command, human *bool) {
	cmd.Flags().BoolVarP(human, "human-readable", "h", false, "print sizes with K, M, G, …")
	cmd.Flags().Bool("help", false, "help for "+cmd.Name())
}

// options returns how a volume is opened.
func (f *volumeFlags) options(writable bool) (stack.FileSystemOptions, error) {
	o := stack.FileSystemOptions{Share: f.share}
	sector, err := smallSize("--sector", f.sector)
	if err != nil {
		return o, err
	}
	o.Image.Writable, o.Image.Format, o.Image.Backing = writable, f.format, backingPolicy(f.backing)
	o.Volume.Partition, o.Volume.SectorBytes = f.partition, sector
	o.Volume.Offset, o.Volume.OffsetBytes = f.flags.Changed("offset"), f.offset
	o.Fat.CodePage, o.Fat.Location = f.codePage, f.zone
	o.Fat.WriteBack = -1 // a command is short, and ends with a Close
	o.Fat.Now, err = clock()
	return o, err
}
