package plan

import (
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/writeback/apply"
	"github.com/fatkit/fatkit/writeback/catalog"
)

// keepTimes gives directories back the time that they have on the host before
// the plan: moves within them change it, and the guest sees no such change, or
// has written its own, which the host got with an earlier commit. The root has
// no time on the disk, so its time tells programs of the host that something
// happened.
func (w *build) keepTimes(p *Plan) {
	timed := map[apply.Place]int{} // of an attribute change, its index
	for i := range p.Attrs {
		timed[p.Attrs[i].At] = i
	}
	gone := map[apply.Place]bool{}
	for _, r := range p.Rmdirs {
		gone[r.At] = true
	}
	ids := make([]catalog.ID, len(p.Dirs))
	for id, at := range w.dirs {
		ids[at] = id
	}
	touched := touchedDirs(&p.Plan)
	for at := 1; at < len(p.Dirs); at++ {
		d := &p.Dirs[at]
		if !touched[apply.DirID(at)] || gone[d.After] {
			continue
		}
		i, ok := timed[d.After]
		if ok && p.Attrs[i].Mtime != hostfs.NoTime {
			continue
		}
		st, err := w.o.Tree.Stat(w.cat.Path(ids[at]))
		if err != nil || st.Ino != d.ID.Ino {
			continue // the host has moved it: the time is the host's
		}
		if !ok {
			w.tag++
			i = len(p.Attrs)
			p.Attrs = append(p.Attrs, apply.Attr{Tag: w.tag, At: d.After, ID: d.ID, Atime: hostfs.NoTime})
		}
		p.Attrs[i].Mtime = st.Mtime
	}
}

// touchedDirs returns the directories of the tree in which a plan changes names.
func touchedDirs(p *apply.Plan) map[apply.DirID]bool {
	out := map[apply.DirID]bool{}
	for i := range p.Moves {
		out[p.Moves[i].From.Dir], out[p.Moves[i].To.Dir] = true, true
	}
	for i := range p.Rmdirs {
		out[p.Rmdirs[i].At.Dir] = true
	}
	return out
}
