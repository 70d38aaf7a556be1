package qcow2

import (
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
)

// Report is the result of Check or Repair.
type Report struct {
	// Findings describe what was found, in the order of the walk. Neighbours
	// of one kind share a finding; after MaxFindings only the numbers below
	// go on.
	Findings []diskerr.Finding

	Corruptions int64 // entries and refcounts that break a rule; data may be lost
	Leaks       int64 // clusters that are counted and not used
	Overlaps    int64 // clusters that are used for two things; not part of Corruptions

	CorruptionsFixed int64 // by Repair; Corruptions and Leaks are what remains
	LeaksFixed       int64

	ImageEndBytes      int64 // end of the last cluster in use
	TotalClusters      int64 // of the virtual disk
	AllocatedClusters  int64
	FragmentedClusters int64
	CompressedClusters int64
}

// MaxFindings bounds Report.Findings.
const MaxFindings = 1000

// Clean reports whether nothing is wrong.
func (r *Report) Clean() bool { return r.Corruptions == 0 && r.Leaks == 0 && r.Overlaps == 0 }

// Codes of findings.
const (
	CodeReservedBits   = "reserved-bits"
	CodeMisaligned     = "misaligned-offset"
	CodeOutside        = "offset-outside-file"
	CodeCopiedFlag     = "copied-flag"
	CodeSubclusters    = "subcluster-bits"
	CodeRefcountLow    = "refcount-too-low"
	CodeLeak           = "leaked-clusters"
	CodeOverlap        = "overlap"
	CodeRefcountTable  = "refcount-table"
	CodeMarkedDirty    = "marked-dirty"
	CodeMarkedCorrupt  = "marked-corrupt"
	CodeSharedRefBlock = "refcount-block-shared"
)

// add records a finding.
func (r *Report) add(f diskerr.Finding) {
	if len(r.Findings) < MaxFindings {
		r.Findings = append(r.Findings, f)
	}
}

// corrupt records a broken rule.
func (r *Report) corrupt(code string, offset int64, repair, format string, args ...any) {
	r.Corruptions++
	r.add(diskerr.Finding{
		Code: code, Severity: diskerr.Error, Offset: offset, Message: fmt.Sprintf(format, args...),
		Repairable: repair != "", Repair: repair,
	})
}

// CheckJSON is what "qemu-img check --output=json" prints.
type CheckJSON struct {
	ImageEndOffset     int64  `json:"image-end-offset,omitempty"`
	TotalClusters      int64  `json:"total-clusters,omitempty"`
	CheckErrors        int64  `json:"check-errors"`
	CorruptionsFixed   int64  `json:"corruptions-fixed,omitempty"`
	LeaksFixed         int64  `json:"leaks-fixed,omitempty"`
	Corruptions        int64  `json:"corruptions,omitempty"`
	Leaks              int64  `json:"leaks,omitempty"`
	FragmentedClusters int64  `json:"fragmented-clusters,omitempty"`
	AllocatedClusters  int64  `json:"allocated-clusters,omitempty"`
	CompressedClusters int64  `json:"compressed-clusters,omitempty"`
	Filename           string `json:"filename"`
	Format             string `json:"format"`
}

// JSON returns the report in the form of qemu-img, which knows no overlaps:
// they count as corruptions.
func (r *Report) JSON(filename string) CheckJSON {
	return CheckJSON{
		ImageEndOffset: r.ImageEndBytes, TotalClusters: r.TotalClusters,
		CorruptionsFixed: r.CorruptionsFixed, LeaksFixed: r.LeaksFixed,
		Corruptions: r.Corruptions + r.Overlaps, Leaks: r.Leaks,
		FragmentedClusters: r.FragmentedClusters, AllocatedClusters: r.AllocatedClusters,
		CompressedClusters: r.CompressedClusters, Filename: filename, Format: formatName,
	}
}

// ExitCode returns the exit code of "qemu-img check" for the report: 0 for a
// clean image, 2 for corruptions, 3 for leaks alone.
func (r *Report) ExitCode() int {
	switch {
	case r.Corruptions+r.Overlaps > 0:
		return 2
	case r.Leaks > 0:
		return 3
	}
	return 0
}
