package diskerr

import (
	"regexp"
	"testing"
)

// FuzzFormatBytes makes sure that every number has a form that is short and
// that people can read.
func FuzzFormatBytes(f *testing.F) {
	for _, n := range []int64{0, 1, -1, 1023, 1024, 1048524, 1048525, 1 << 40, -1 << 63, 1<<63 - 1} {
		f.Add(n)
	}
	form := regexp.MustCompile(`^-?[0-9]{1,4}(\.[0-9])? ([KMGTPE]i)?B$`)
	f.Fuzz(func(t *testing.T, n int64) {
		if s := FormatBytes(n); !form.MatchString(s) {
			t.Errorf("FormatBytes(%d) = %q", n, s)
		}
	})
}
