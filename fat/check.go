package fat

import (
	"context"
	"fmt"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// CheckOptions tune Check.
type CheckOptions struct {
	// Repair carries the repairs out. Without it the device is only read.
	Repair bool
	// FreeOrphans frees chains that belong to no file, instead of saving them
	// as files in FOUND.000.
	FreeOrphans bool
	// CodePage is the number of the OEM code page; 0 means 437.
	CodePage int
	// Now is the clock for what is saved; nil means time.Now.
	Now func() time.Time
	// Found, if not nil, sees each finding when it is made.
	Found func(diskerr.Finding)
	// Progress, if not nil, sees how many of how many steps are done. Steps
	// take unequal time.
	Progress func(done, total int)
}

// CheckResult is what Check found out.
type CheckResult struct {
	Findings []diskerr.Finding // at most maxFindings
	Dropped  int               // findings beyond those
	Files    int64
	Dirs     int64  // without the root
	Free     uint32 // clusters
	Bad      uint32 // clusters marked bad
	Info     Info
}

// Clean reports whether nothing is wrong that is not repaired. What is merely
// unusual does not count.
func (r *CheckResult) Clean() bool {
	for _, f := range r.Findings {
		if f.Severity > diskerr.Info && !f.Repaired {
			return false
		}
	}
	return r.Dropped == 0
}

// maxFindings bounds the findings that are kept; the rest is counted.
const maxFindings = 10_000

// Check checks the volume on dev, and repairs it if that is asked for. The
// volume must not be mounted meanwhile.
//
// Its error means that the check could not run: the device failed, the context
// ended, or nothing on the device tells where a volume is. What is wrong with
// the volume is data in the result.
//
// Repairs never lose what could be read: a file that shares clusters with
// another gets a copy of them, what is cut off a chain is saved as a file in
// FOUND.000, a damaged name is replaced. A volume is clean after one run. A run
// that is cut off by a power failure is simply run again.
//
// Memory is two bits a cluster, 4 MiB of the FAT, and one directory at a time.
func Check(ctx context.Context, dev block.Device, o CheckOptions) (*CheckResult, error) {
	cp, err := fatfmt.LookupCodePage(o.CodePage)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Repair && block.LimitsOf(dev).ReadOnly {
		return nil, diskerr.ErrReadOnly
	}
	if !o.Repair {
		dev = newScratch(dev)
	}
	c := &checker{ctx: ctx, disk: newDisk(dev), opt: &o, cp: cp, res: &CheckResult{}}
	steps := []func() error{c.checkBoot, c.checkFATs, c.checkTree, c.checkFiles, c.checkOrphans, c.finish}
	for i, step := range steps {
		if o.Progress != nil {
			o.Progress(i, len(steps))
		}
		if err := ctx.Err(); err != nil {
			return c.res, err
		}
		if err := step(); err != nil {
			return c.res, err
		}
	}
	if o.Progress != nil {
		o.Progress(len(steps), len(steps))
	}
	return c.res, nil
}

// checker is one call of Check.
//
// It carries out every repair at once, and later steps see its result. Without
// CheckOptions.Repair that happens on a scratch copy of what changes, so that
// both ways find the same.
type checker struct {
	ctx   context.Context
	disk  *disk
	geo   fatfmt.Geometry
	boot  *fatfmt.BootSector
	opt   *CheckOptions
	cp    *fatfmt.CodePage
	t     *table
	marks marks
	res   *CheckResult

	unused    uint32     // where the search for a free cluster goes on
	full      bool       // it found none
	effort    int64      // what was spent on looking for entries that moved
	found     *checkDir  // FOUND.000, once it is needed
	saved     int        // orphans saved in it
	noFound   bool       // it could not be made
	taken     takenNames // of the directory that is being checked
	fsInfo    *fatfmt.FSInfo
	newFSInfo bool // there was no sector for it
	newBackup bool // likewise, or it is known to be old
	dirty     bool // the volume was marked dirty
	diskError bool // the volume was marked as having given errors
	labelled  bool // the label in the boot sector was changed
}

// report makes a finding. repair says what is done about it, "" if nothing can
// be.
func (c *checker) report(sev diskerr.Severity, code, path string, off int64, repair, format string, args ...any) {
	f := diskerr.Finding{
		Code: code, Severity: sev, Path: path, Offset: off, Message: fmt.Sprintf(format, args...),
		Repairable: repair != "", Repair: repair, Repaired: repair != "" && c.opt.Repair,
	}
	if c.opt.Found != nil {
		c.opt.Found(f)
	}
	if len(c.res.Findings) < maxFindings {
		c.res.Findings = append(c.res.Findings, f)
	} else {
		c.res.Dropped++
	}
}

// get returns the FAT entry of a cluster and what it means.
func (c *checker) get(cluster uint32) (uint32, fatfmt.Kind, error) { return c.t.next(cluster) }

// set changes the FAT entry of a cluster.
func (c *checker) set(cluster, v uint32) error { return c.t.link(cluster, 1, v) }

// end makes a cluster the last of its chain.
func (c *checker) end(cluster uint32) error { return c.set(cluster, c.geo.Type.EndMark()) }

// entryOffset returns where the FAT entry of a cluster is.
func (c *checker) entryOffset(cluster uint32) int64 {
	return c.geo.FATOffset(c.geo.ActiveFAT) + c.geo.Type.EntryOffset(cluster)
}

// allocate takes a free cluster and makes it the end of a chain. It returns 0
// if there is none.
func (c *checker) allocate() (uint32, error) {
	if c.full {
		return 0, nil
	}
	for range c.geo.Clusters {
		n := c.unused
		if c.unused++; c.unused > c.geo.MaxCluster() {
			c.unused = 2
		}
		if c.marks.get(n) != markFree {
			continue
		}
		if _, kind, err := c.get(n); err != nil {
			return 0, err
		} else if kind == fatfmt.Free {
			c.marks.set(n, markOwned)
			return n, c.end(n)
		}
	}
	c.full = true
	return 0, nil
}

// copyCluster copies the bytes of a cluster.
func (c *checker) copyCluster(to, from uint32) error {
	buf := make([]byte, c.geo.ClusterBytes())
	if err := c.disk.read(buf, c.geo.ClusterOffset(from)); err != nil {
		return err
	}
	return c.disk.write(buf, c.geo.ClusterOffset(to))
}

// finish writes what is kept until the end: FATs, FSInfo and the marks that say
// that the volume is clean.
func (c *checker) finish() error {
	if err := c.t.flush(); err != nil {
		return err
	}
	if err := c.countFree(); err != nil {
		return err
	}
	if err := c.disk.flush(); err != nil {
		return err
	}
	c.res.Info = infoOf(&c.geo, c.boot, c.cp)
	if c.labelled {
		c.newBackup = true // changed by ourselves
		if err := c.writeBoot(); err != nil {
			return err
		}
		if err := c.checkBackup(); err != nil {
			return err
		}
	}
	return c.clearDirty()
}
