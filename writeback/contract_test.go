package writeback_test

import (
	"testing"
)

// contract are the cases that the contract of writing back asks for, in its
// words. Each is a file or a function beside; what needs many runs for one case
// has tests of its own besides: TestCrash, TestConflictEveryCall, TestModel, those
// of package apply for the steps of a commit, and of package overlay.
var contract = []struct {
	name string
	run  func(t *testing.T)
}{
	{"01 every write order, with a quiet point and a kill between two writes", caseWriteOrders},
	{"02 data into free clusters, a quiet point, then FAT and entry", caseDataFirst},
	{"03 two owners in one overlay cluster", caseTwoOwners},
	{"04 metadata-only surgery", caseSurgery},
	{"05 a shadow disk as oracle", caseShadow},
	{"06 kill with answered, unflushed writes and a client that reconnects", caseReconnect},
	{"07 commit without flush, then the overlay torn at its last sync", caseTornOverlay},
	{"08 a crash at each step, again inside recovery", caseCrashTwice},
	{"09 a host program at every call, and while the server is down", caseHostPrograms},
	{"10 a client that stops reading in the middle of a zero-copy reply", caseStalledReader},
	{"11 a guest with discard", caseDiscard},
	{"12 names and clusters that are used again", caseUsedAgain},
	{"13 a defragmenter", caseDefragmenter},
	{"14 destruction", caseDestruction},
	{"15 a log without pause, a large file, no space, errors", caseEndurance},
}

// TestContract runs the contract's cases by name.
func TestContract(t *testing.T) {
	for _, c := range contract {
		t.Run(c.name, c.run)
	}
}
