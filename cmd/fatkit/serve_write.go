package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"

	"github.com/fatkit/fatkit/internal/server"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/stack/live"
	"github.com/fatkit/fatkit/writeback"
	"github.com/fatkit/fatkit/writeback/plan"
)

// writeFlags are the flags of serve that say how a directory takes writes.
type writeFlags struct {
	state           string
	settle          time.Duration
	maxAge          time.Duration
	maxDeletes      int
	overlayLimit    int64
	deleted         string
	trashLimit      int64
	shortNames      string
	resumeUnflushed bool
	fresh           bool
	dryRun          bool
	overlay         string
}

func newWriteFlags() writeFlags {
	return writeFlags{
		settle: writeback.DefaultSettle, maxAge: writeback.DefaultMaxAge, maxDeletes: writeback.DefaultMaxDeletes,
		shortNames: "lower", deleted: "trash", trashLimit: live.DefaultTrashLimit,
	}
}

func (f *writeFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.state, "state", f.state, "keep what clients write in `DIR` until the directory has it (default a folder in the user's state folder)")
	fs.DurationVar(&f.settle, "settle", f.settle, "change the directory when clients have written nothing for so long")
	fs.DurationVar(&f.maxAge, "max-age", f.maxAge, "change it at the latest after so long")
	fs.IntVar(&f.maxDeletes, "max-deletes", f.maxDeletes, "ask before more than `N` deletions, and a tenth of the files, are carried out")
	fs.Var(&sizeValue{bytes: &f.overlayLimit}, "overlay-limit", "room for what clients write (default half of the free space)")
	fs.Var(&choiceValue{word: &f.deleted, choices: []string{"trash", "remove"}}, "deleted", "what becomes of deleted files: they are kept in the trash, or removed")
	fs.Var(&sizeValue{bytes: &f.trashLimit}, "trash-limit", "room for the trash; the oldest files go first (default 10G)")
	fs.Var(&choiceValue{word: &f.shortNames, choices: []string{"lower", "upper", "bits"}}, "short-names", "letters of a name that a client made in the form of DOS: lower or upper case, or as its case bits say")
	fs.StringVar(&f.overlay, "overlay", f.overlay, "keep what clients write in the qcow2 image `FILE`, which is made if it is not there, and never change the directory")
	fs.BoolVar(&f.dryRun, "dry-run", f.dryRun, "say what would be changed in the directory, and change nothing")
	fs.BoolVar(&f.fresh, "fresh", f.fresh, "put away what an earlier server left in the state folder, and begin anew")
	fs.BoolVar(&f.resumeUnflushed, "resume-unflushed", f.resumeUnflushed, "let clients on other machines go on after this one was restarted under them")
}

// options returns what the flags say.
func (f *writeFlags) options(keep bool) (live.Options, error) {
	switch {
	case f.settle <= 0:
		return live.Options{}, usageError("--settle: %v is not positive", f.settle)
	case f.maxAge < f.settle:
		return live.Options{}, usageError("--max-age: %v is shorter than --settle, %v", f.maxAge, f.settle)
	case f.trashLimit < 1:
		return live.Options{}, usageError("--trash-limit: there has to be some room; --deleted remove does without a trash")
	case f.maxDeletes < 1:
		return live.Options{}, usageError("--max-deletes: %d is less than 1", f.maxDeletes)
	}
	o := live.Options{
		State: f.state, Fresh: f.fresh, ResumeUnflushed: f.resumeUnflushed, KeepGeneration: keep, OverlayLimit: f.overlayLimit,
	}
	o.RemoveDeleted, o.TrashLimit = f.deleted == "remove", f.trashLimit
	o.Settle, o.MaxAge, o.MaxDeletes, o.DryRun = f.settle, f.maxAge, f.maxDeletes, f.dryRun
	o.ShortNames = map[string]plan.ShortNames{"lower": plan.LowerNames, "upper": plan.UpperNames, "bits": plan.BitsNames}[f.shortNames]
	return o, nil
}

// needsRW returns a flag that was given in fs and means nothing without --rw, or
// "".
func needsRW(fs *pflag.FlagSet) string {
	names := flagNames(new(writeFlags).register)
	flag := ""
	fs.Visit(func(f *pflag.Flag) {
		if names[f.Name] && flag == "" {
			flag = "--" + f.Name
		}
	})
	return flag
}

// leftOver lists what clients wrote and the directories do not have, once the
// server has ended. It returns exitPending if there is something.
func leftOver(w io.Writer, exports []server.ExportOptions) error {
	code := exitDone
	for _, e := range exports {
		writing, ok := e.Source.(stack.Writing)
		if !ok {
			continue
		}
		st := writing.WriteStatus()
		if st.Done() || st.DryRun {
			continue
		}
		code = exitPending
		fmt.Fprintf(w, "%s: not everything that clients wrote is in it; the rest is in %s\n", printable(writing.Path()), printable(st.StateDir))
		printWaiting(w, &st)
	}
	return exitWith(code)
}

// maxListed is how many objects are named to people; --json has some more.
const maxListed = 20

// printWaiting lists what has not arrived, and why.
func printWaiting(w io.Writer, st *stack.WriteStatus) {
	if st.Suspended != "" {
		fmt.Fprintf(w, "  suspended: %s\n", printable(oneLine(st.Suspended)))
	}
	if st.Alarm {
		fmt.Fprintf(w, "  \"fatkit confirm\" lets it through, \"fatkit discard\" gives it up\n")
	}
	listed := st.Pending[:min(len(st.Pending), maxListed)]
	for _, p := range listed {
		fmt.Fprintf(w, "  waits: %s: %s\n", printable(p.Path), p.Reason)
	}
	if more := st.PendingCount - len(listed); more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
	for _, c := range st.Conflicts {
		text := c.Text
		if c.Saved != "" {
			text += "; the client's version is " + printable(c.Saved)
		}
		fmt.Fprintf(w, "  conflict: %s: %s\n", printable(c.Path), text)
	}
	if more := st.ConflictCount - len(st.Conflicts); more > 0 {
		fmt.Fprintf(w, "  and %d more conflicts\n", more)
	}
}
