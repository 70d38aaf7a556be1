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

const checkLong = `Check the FAT volume in an image: boot sector and its backup, FSInfo, FATs, cluster
chains, directories, names, labels, and what belongs to no file. Nothing is changed
without --repair; what is found is printed with the repair that it would get.

--repair carries the repairs out. What could be read before can be read after: a
file that shares clusters gets a copy, and what is cut off, or belongs to no file,
is saved in the folder FOUND.000, unless --free-orphans frees the latter. One run
is enough. If a disk has several volumes, --partition must say which one is meant.

An image file itself, such as the tables of a qcow2 image, is checked by fatkit
image check.`

const checkExit = `.TP
0
The volume is clean, or everything was repaired.
.TP
1
Something is wrong with the volume.
.TP
2
The command line makes no sense.
.TP
3
The check could not run.
`

// volumeCheckFlags are the flags of check.
type volumeCheckFlags struct {
	volumeFlags
	repair, dryRun, freeOrphans, json, quiet bool
}

// volumeCheckJSON is what check tells programs.
type volumeCheckJSON struct {
	stack.VolumeFacts
	Clean       bool              `json:"clean"` // nothing is wrong, or nothing any more
	Findings    []diskerr.Finding `json:"findings"`
	Dropped     int               `json:"dropped"` // findings that are not listed, because there are too many
	Type        string            `json:"type"`
	Files       int64             `json:"files"`
	Directories int64             `json:"directories"`
	Clusters    uint32            `json:"clusters"`
	Free        uint32            `json:"free_clusters"`
	Bad         uint32            `json:"bad_clusters"`
}

func newCheck() *cobra.Command {
	f := volumeCheckFlags{}
	cmd := &cobra.Command{
		Use:         "check [flags] IMAGE",
		Short:       "check the FAT volume in an image, and repair it",
		Long:        checkLong,
		Example:     "  fatkit check disk.img\n  fatkit check --repair disk.img\n  fatkit check --json --partition 1 disk.qcow2",
		Annotations: map[string]string{exitAnnotation: checkExit},
		Args:        wantArgs(1, 1, "one image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.repair && f.dryRun {
				return usageError("--repair changes the volume, and --dry-run does not: give one of them")
			}
			return withSession(cmd, &f.volumeFlags, func(s *session) error { return f.run(s, args[0]) })
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVarP(&f.repair, "repair", "a", false, "carry the repairs out")
	fs.BoolVarP(&f.dryRun, "dry-run", "n", false, "change nothing, as it is anyway without --repair")
	fs.BoolVar(&f.freeOrphans, "free-orphans", false, "free what belongs to no file, instead of saving it in FOUND.000")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "print no findings and draw no progress bar")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	f.registerDisk(fs)
	return cmd
}

// run checks the volume in the image name.
func (f *volumeCheckFlags) run(s *session, name string) error {
	l, err := s.parseInside(name, true)
	if err != nil {
		return err
	}
	if l.Path != "." {
		return usageError("%s: a volume is checked as a whole: leave out %s", name, l.Path)
	}
	o, err := s.options(l, f.repair)
	if err != nil {
		return err
	}
	o.Volume.Damaged = true
	v, err := stack.OpenVolume(s.ctx, l.Image, o)
	if err != nil {
		return err
	}
	r, err := f.check(s, v, &o)
	if err = errors.Join(err, v.Close()); err != nil {
		return fmt.Errorf("%s: %w", l.Image, err)
	}
	s.bar.finish()
	if f.json {
		err = printJSON(s.out, describeCheck(v.Facts, r))
	} else {
		err = f.print(s.out, v.Facts, r)
	}
	if err == nil && !r.Clean() {
		return exitWith(exitFindings)
	}
	return err
}

// check checks a volume that is open.
func (f *volumeCheckFlags) check(s *session, v *stack.Volume, o *stack.FileSystemOptions) (*fat.CheckResult, error) {
	s.bar = newProgressBar(s.errOut, "checking", f.quiet)
	r, err := fat.Check(s.ctx, v.Device, fat.CheckOptions{
		Repair: f.repair, FreeOrphans: f.freeOrphans, CodePage: o.Fat.CodePage, Now: o.Fat.Now,
		Progress: func(done, total int) { s.bar.updateSteps(done, total) },
	})
	if err == nil && f.repair {
		err = v.Device.Flush()
	}
	return r, err
}

// describeCheck returns the form of a result for programs.
func describeCheck(facts stack.VolumeFacts, r *fat.CheckResult) volumeCheckJSON {
	findings := r.Findings
	if findings == nil {
		findings = []diskerr.Finding{}
	}
	return volumeCheckJSON{
		VolumeFacts: facts, Clean: r.Clean(), Findings: findings, Dropped: r.Dropped, Type: fmt.Sprintf("FAT%d", r.Info.Type),
		Files: r.Files, Directories: r.Dirs, Clusters: r.Info.Clusters, Free: r.Free, Bad: r.Bad,
	}
}

// print prints the result for people.
func (f *volumeCheckFlags) print(w io.Writer, facts stack.VolumeFacts, r *fat.CheckResult) error {
	repaired := 0
	for i := range r.Findings {
		if r.Findings[i].Repaired {
			repaired++
		}
		if !f.quiet {
			fmt.Fprintln(w, printable(findingLine(&r.Findings[i])))
		}
	}
	if r.Dropped > 0 {
		fmt.Fprintf(w, "… and %d more\n", r.Dropped)
	}
	found := ""
	if n := len(r.Findings) + r.Dropped; n > 0 {
		found = "; " + count(n, "finding", "findings")
		if repaired > 0 {
			found += fmt.Sprintf(", %d repaired", repaired)
		}
	}
	state := "clean"
	if !r.Clean() {
		state = "not clean"
		if !f.repair {
			state += ", see --repair"
		}
	}
	bad := ""
	if r.Bad > 0 {
		bad = fmt.Sprintf(" (%d bad)", r.Bad)
	}
	_, err := fmt.Fprintf(w, "%s: FAT%d, %s in %s, %d of %d clusters in use%s%s: %s\n", printable(facts.Name), r.Info.Type,
		count(int(r.Files), "file", "files"), count(int(r.Dirs)+1, "directory", "directories"),
		r.Info.Clusters-r.Free-r.Bad, r.Info.Clusters, bad, found, state)
	return err
}

// findingLine writes a finding in one line.
func findingLine(f *diskerr.Finding) string {
	line := fmt.Sprintf("%s: %s: ", f.Severity, f.Code)
	if f.Path != "" {
		line += f.Path + ": "
	}
	line += f.Message
	if f.Offset >= 0 {
		line += fmt.Sprintf(" (at offset %d)", f.Offset)
	}
	switch {
	case f.Repaired:
		line += "; repaired: " + f.Repair
	case f.Repairable && f.Repair != "":
		line += "; repair: " + f.Repair
	}
	return line
}
