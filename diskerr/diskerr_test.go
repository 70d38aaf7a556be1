package diskerr

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

// Each error tells its story in one line and matches what callers test for.
func TestErrors(t *testing.T) {
	for _, tc := range []struct {
		err   error
		text  string
		is    []error
		isNot []error
	}{
		{&FormatError{Format: "FAT32", Structure: "boot sector", Field: "BPB_NumFATs", Offset: 16, Value: 0, Reason: "must not be 0"},
			"FAT32: boot sector: BPB_NumFATs is 0 (at offset 16): must not be 0", []error{ErrCorrupt}, []error{ErrDirty, fs.ErrInvalid}},
		{&FormatError{Format: "MBR", Offset: -1, Reason: "too short"}, "MBR: too short", []error{ErrCorrupt}, nil},
		{&FormatError{Format: "GPT", Structure: "header", Offset: 0}, "GPT: header (at offset 0)", []error{ErrCorrupt}, nil},
		{&FeatureError{Format: "qcow2", Names: []string{"a", "b"}}, "qcow2: unsupported: a, b", []error{errors.ErrUnsupported}, []error{ErrCorrupt}},
		{&NoSpaceError{What: "disk", Needed: 3 << 30, Available: 1536, Hint: "use FAT32"}, "disk: no space left: needs 3 GiB, has 1.5 KiB: use FAT32", []error{ErrNoSpace}, []error{ErrReadOnly}},
		{&NoSpaceError{What: "root directory", Needed: -1, Available: 0}, "root directory: no space left", []error{ErrNoSpace}, nil},
		{&ConflictError{Path: "a/b", Guest: "removed it", Host: "changed it"}, "a/b: conflict: guest removed it, host changed it", nil, []error{ErrCorrupt}},
		{ErrReadOnly, "read-only", []error{fs.ErrPermission}, []error{fs.ErrInvalid}},
		{ErrOutOfRange, "out of range", []error{fs.ErrInvalid}, []error{fs.ErrPermission}},
	} {
		if got := tc.err.Error(); got != tc.text {
			t.Errorf("got  %s\nwant %s", got, tc.text)
		}
		wrapped := fmt.Errorf("outer: %w", tc.err)
		for _, target := range append(tc.is, tc.err) {
			if !errors.Is(wrapped, target) {
				t.Errorf("%v does not match %v", tc.err, target)
			}
		}
		for _, target := range tc.isNot {
			if errors.Is(wrapped, target) {
				t.Errorf("%v matches %v", tc.err, target)
			}
		}
	}
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 1100: "1.1 KiB", 504 << 20: "504 MiB", 1<<20 - 1: "1 MiB",
		2 << 30: "2 GiB", 1<<41 - 512: "2 TiB", 1<<63 - 1: "8 EiB", -1: "-1 B", -2048: "-2 KiB",
	} {
		if got := FormatBytes(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

// The JSON of a finding is read by other programs: its keys are fixed.
func TestFindingJSON(t *testing.T) {
	f := Finding{Code: "media-byte", Severity: Warning, Offset: 21, Message: "odd", Repairable: true, Repair: "fix it"}
	got, err := json.Marshal(f)
	const want = `{"code":"media-byte","severity":"warning","offset":21,"message":"odd","repairable":true,"repair":"fix it","repaired":false}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	for s, want := range map[Severity]string{Info: "info", Warning: "warning", Error: "error", 9: "Severity(9)"} {
		if s.String() != want {
			t.Errorf("%d is %q", uint8(s), s)
		}
	}
	if !(Info < Warning && Warning < Error) {
		t.Error("the severities do not rise")
	}
}
