package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/internal/fileops"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/vfs"
)

// fragments counts files that lie in more than one piece, directories included.
type fragments struct {
	Files      int64 `json:"files"`
	Fragmented int64 `json:"fragmented"`
	Pieces     int64 `json:"pieces"`
}

// countFragments looks at all files of a volume.
func (s *session) countFragments(v *stack.FileSystem) (f fragments, err error) {
	err = s.eachChain(v, func(_ string, pieces []fat.Extent) error {
		f.Files++
		f.Pieces += int64(len(pieces))
		if len(pieces) > 1 {
			f.Fragmented++
		}
		return nil
	})
	return f, err
}

// eachChain calls do for each file and directory with where it lies.
func (s *session) eachChain(v *stack.FileSystem, do func(name string, pieces []fat.Extent) error) error {
	return vfs.Walk(s.ctx, v, ".", func(name string, _ fs.FileInfo, err error) error {
		if err != nil {
			return err
		}
		pieces, err := v.Extents(name)
		if err != nil {
			return err
		}
		return do(name, pieces)
	})
}

// filePiecesJSON is where a file lies.
type filePiecesJSON struct {
	Path   string      `json:"path"`
	Size   int64       `json:"size"`
	Pieces []pieceJSON `json:"pieces"`
}

type pieceJSON struct {
	Cluster    uint32 `json:"cluster"` // 0 for the root directory of FAT12 and FAT16
	Clusters   uint32 `json:"clusters"`
	DiskOffset int64  `json:"disk_offset"`
	Length     int64  `json:"length"`
}

// files shows where files lie.
func (f *layoutFlags) files(s *session, args []string) error {
	places, err := s.expand(args, false, true)
	if err != nil {
		return err
	}
	all := []filePiecesJSON{}
	err = s.each(places, func(p fileops.Place) error {
		fi, err := p.Stat()
		if err != nil {
			return err
		}
		v, ok := p.FS.(*stack.FileSystem)
		if !ok {
			return fmt.Errorf("%s: is on no FAT volume, which alone has a layout to show", p)
		}
		pieces, err := v.Extents(p.Path)
		if err != nil {
			return p.Wrap(err)
		}
		j := filePiecesJSON{p.String(), fi.Size(), []pieceJSON{}}
		for _, e := range pieces {
			j.Pieces = append(j.Pieces, pieceJSON{e.Cluster, e.Clusters, v.Facts.OffsetBytes + e.Offset, e.Len})
		}
		all = append(all, j)
		return nil
	})
	if f.json {
		return errors.Join(err, printJSON(s.out, all))
	}
	for _, j := range all {
		fmt.Fprintf(s.out, "%s: %d bytes in %s\n", printable(j.Path), j.Size, count(len(j.Pieces), "piece", "pieces"))
		for _, p := range j.Pieces {
			what := "the root directory"
			if p.Cluster != 0 {
				what = fmt.Sprintf("clusters %d to %d", p.Cluster, p.Cluster+p.Clusters-1)
			}
			fmt.Fprintf(s.out, "%14d %14d  %s\n", p.DiskOffset, p.Length, what)
		}
	}
	return err
}

// ownerJSON is what lies somewhere.
type ownerJSON struct {
	DiskOffset int64  `json:"disk_offset"`
	Region     string `json:"region"` // as in the list of regions; "" outside of all
	Cluster    uint32 `json:"cluster,omitempty"`
	Use        string `json:"use,omitempty"`         // of the cluster: "free", "used", "bad"
	Path       string `json:"path,omitempty"`        // the file or directory that has it
	FileOffset *int64 `json:"file_offset,omitempty"` // where in that
}

// owner says what lies at the place that the flags name.
func (f *layoutFlags) owner(s *session, v *stack.FileSystem) error {
	info, err := v.Info()
	if err != nil {
		return err
	}
	j := ownerJSON{DiskOffset: f.at}
	if f.cluster != 0 {
		off, ok := v.ClusterOffset(f.cluster)
		if !ok {
			return usageError("--cluster: the clusters are 2 to %d", info.Clusters+1)
		}
		j.DiskOffset = v.Facts.OffsetBytes + off
	}
	if j.DiskOffset >= v.Facts.DiskBytes {
		return usageError("--at: the disk has %d bytes", v.Facts.DiskBytes)
	}
	for _, r := range diskRegions(v, &info) {
		if r.Offset <= j.DiskOffset && j.DiskOffset < r.Offset+r.Len {
			j.Region = r.Name
		}
	}
	if err := s.findOwner(v, &j); err != nil {
		return err
	}
	if f.json {
		return printJSON(s.out, j)
	}
	text := "nothing that is known"
	if j.Region != "" {
		text = j.Region
	}
	if j.Cluster != 0 {
		text += fmt.Sprintf(", cluster %d (%s)", j.Cluster, j.Use)
	}
	if j.Path != "" {
		text += fmt.Sprintf(", byte %d of %s", *j.FileOffset, printable(j.Path))
	}
	_, err = fmt.Fprintf(s.out, "%d: %s\n", j.DiskOffset, text)
	return err
}

// errFound ends a walk.
var errFound = errors.New("found")

// findOwner fills in the cluster at j.DiskOffset and the file that has it.
func (s *session) findOwner(v *stack.FileSystem, j *ownerJSON) error {
	at := j.DiskOffset - v.Facts.OffsetBytes
	if c, ok := v.ClusterAt(at); ok {
		j.Cluster = c
		use, err := v.ClusterUse(c)
		if err != nil {
			return err
		}
		j.Use = appendRun(nil, c, 1, use)[0].Use
		if j.Use != "used" {
			return nil
		}
	} else if j.Region != "root directory" {
		return nil
	}
	err := s.eachChain(v, func(name string, pieces []fat.Extent) error {
		before := int64(0)
		for _, e := range pieces {
			if e.Offset <= at && at < e.Offset+e.Len {
				inFile := before + at - e.Offset
				j.Path, j.FileOffset = "/"+name, &inFile
				if name == "." {
					j.Path = "/"
				}
				return errFound
			}
			before += e.Len
		}
		return nil
	})
	if err == errFound {
		return nil
	}
	return err
}

// offsetValue is a flag that holds an offset: a size, or a number with 0x.
type offsetValue struct{ bytes *int64 }

func (v *offsetValue) Set(s string) error {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		n, err = parseSize(s)
	}
	if err == nil && n < 0 {
		err = fmt.Errorf("%d is negative", n)
	}
	if err == nil {
		*v.bytes = n
	}
	return err
}

func (v *offsetValue) String() string {
	if v.bytes == nil || *v.bytes < 0 {
		return ""
	}
	return fmt.Sprint(*v.bytes)
}

func (v *offsetValue) Type() string { return "OFFSET" }
