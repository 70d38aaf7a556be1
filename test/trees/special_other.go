//go:build !unix

package trees

// makeSpecial leaves the node out: this system has no such files.
func makeSpecial(string, Kind) error { return errHost }
