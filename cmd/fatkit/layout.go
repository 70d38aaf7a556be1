package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/stack"
)

const layoutLong = `Show where things lie on a disk: the parts of the partition table and of the volume,
and a map of its clusters, in which a cell stands for several of them. With paths, show
the pieces that these files lie in. --at says what lies at an offset of the disk, and
--cluster what lies in a cluster of the volume.

In the map, "." is free, "#" in use, "+" in use by a file that goes on elsewhere, and
"x" marked bad; a cell shows the last of these that one of its clusters is.

` + locationLong

const layoutExample = `  fatkit layout disk.img
  fatkit layout disk.img:/docs/hello.txt
  fatkit layout --at 0x20000 disk.img`

// layoutFlags are the flags of layout.
type layoutFlags struct {
	volumeFlags
	at      int64
	cluster uint32
	width   int
	json    bool
}

// layoutJSON is what layout tells programs about a disk.
type layoutJSON struct {
	stack.VolumeFacts
	Regions   []fat.Region `json:"regions"` // offsets on the disk
	Clusters  clusterTally `json:"clusters"`
	Runs      []clusterRun `json:"runs"`
	Fragments fragments    `json:"fragments"`
}

type clusterTally struct {
	Free        uint32 `json:"free"`
	Used        uint32 `json:"used"`
	Bad         uint32 `json:"bad"`
	LargestFree uint32 `json:"largest_free"` // in one piece
}

type clusterRun struct {
	First uint32 `json:"first"`
	Count uint32 `json:"count"`
	Use   string `json:"use"` // "free", "used" or "bad"
}

func newLayout() *cobra.Command {
	f := layoutFlags{at: -1}
	cmd := &cobra.Command{
		Use:     "layout [flags] IMAGE | IMAGE:/PATH...",
		Short:   "show where things lie on a disk",
		Long:    layoutLong,
		Example: layoutExample,
		Args:    wantArgs(1, -1, "one image, or paths in images"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSession(cmd, &f.volumeFlags, func(s *session) error { return f.run(s, args) })
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.Var(&offsetValue{&f.at}, "at", "say what lies at this offset of the disk")
	fs.Uint32Var(&f.cluster, "cluster", 0, "say what lies in cluster `N` of the volume")
	fs.IntVar(&f.width, "width", 0, "draw the map with `N` cells to a line (default what the terminal has room for)")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	f.register(fs)
	cmd.ValidArgsFunction = f.completeInside
	return cmd
}

// run tells disks from paths.
func (f *layoutFlags) run(s *session, args []string) error {
	asks := f.at >= 0 || f.cluster != 0
	if f.at >= 0 && f.cluster != 0 || asks && len(args) > 1 {
		return usageError("--at and --cluster ask about one place on one disk")
	}
	if f.width < 0 || f.width > maxMapWidth {
		return usageError("--width: a line has 1 to %d cells", maxMapWidth)
	}
	l, err := s.parseInside(args[0], true)
	if err != nil {
		return err
	}
	if l.Path != "." || len(args) > 1 {
		if asks {
			return usageError("--at and --cluster are about a disk: leave out :/%s", l.Path)
		}
		return f.files(s, args)
	}
	v, err := s.volume(l, false)
	if err != nil {
		return err
	}
	if asks {
		err = f.owner(s, v)
	} else {
		err = f.disk(s, v)
	}
	if exit := (*exitError)(nil); err != nil && !errors.As(err, &exit) {
		err = fmt.Errorf("%s: %w", l.Image, err)
	}
	return err
}

// disk shows a whole disk.
func (f *layoutFlags) disk(s *session, v *stack.FileSystem) error {
	info, err := v.Info()
	if err != nil {
		return err
	}
	j := layoutJSON{VolumeFacts: v.Facts, Regions: diskRegions(v, &info), Runs: []clusterRun{}}
	m := newClusterMap(info.Clusters, f.mapWidth(s.out))
	err = v.Survey(s.ctx, func(first, n uint32, use fat.ClusterUse) error {
		m.add(first, n, use)
		j.Clusters.add(n, use)
		if f.json {
			j.Runs = appendRun(j.Runs, first, n, use)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if j.Fragments, err = s.countFragments(v); err != nil {
		return err
	}
	if f.json {
		return printJSON(s.out, j)
	}
	for _, r := range j.Regions {
		fmt.Fprintf(s.out, "%14d %14d  %s\n", r.Offset, r.Len, r.Name)
	}
	fmt.Fprintf(s.out, "\n%s", m)
	t := &j.Clusters
	_, err = fmt.Fprintf(s.out, "\n%d clusters of %s, %s to a cell: %d in use, %d free (%d of them in one piece), %d bad\n%s in more than one piece, of %d\n",
		info.Clusters, diskerr.FormatBytes(int64(info.ClusterBytes)), fmt.Sprint(m.perCell), t.Used, t.Free, t.LargestFree, t.Bad,
		count(int(j.Fragments.Fragmented), "file", "files"), j.Fragments.Files)
	return err
}

// add counts n clusters.
func (t *clusterTally) add(n uint32, use fat.ClusterUse) {
	switch use {
	case fat.ClusterFree:
		t.Free += n
		t.LargestFree = max(t.LargestFree, n)
	case fat.ClusterBad:
		t.Bad += n
	default:
		t.Used += n
	}
}

// appendRun adds n clusters to runs, in which it makes no difference where a file
// goes on.
func appendRun(runs []clusterRun, first, n uint32, use fat.ClusterUse) []clusterRun {
	word := "used"
	switch use {
	case fat.ClusterFree:
		word = "free"
	case fat.ClusterBad:
		word = "bad"
	}
	if k := len(runs) - 1; k >= 0 && runs[k].Use == word {
		runs[k].Count += n
		return runs
	}
	return append(runs, clusterRun{first, n, word})
}

// diskRegions returns the parts of the disk that the volume is on, with offsets
// on the disk.
func diskRegions(v *stack.FileSystem, info *fat.Info) []fat.Region {
	var all []fat.Region
	for _, t := range v.Tables {
		all = append(all, fat.Region{Name: t.Name, Offset: t.OffsetBytes, Len: t.LenBytes})
	}
	at := len(all)
	for i := range all {
		if all[i].Offset > v.Facts.OffsetBytes {
			at = i
			break
		}
	}
	regions := info.Regions()
	for i := range regions {
		regions[i].Offset += v.Facts.OffsetBytes
	}
	return append(all[:at:at], append(regions, all[at:]...)...)
}

// mapWidth returns how many cells a line of the map has.
func (f *layoutFlags) mapWidth(out io.Writer) int {
	if f.width > 0 {
		return f.width
	}
	return min(maxMapWidth, max(16, terminalWidth(out)-12))
}
