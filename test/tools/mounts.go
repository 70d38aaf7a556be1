package tools

import (
	"os"
	"os/exec"
	"strings"
)

// UnmountBelow takes away what a test that failed has left mounted in the folder
// dir. On a system without mountinfo there is nothing to do.
func UnmountBelow(dir string) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 5 || !strings.HasPrefix(fields[4], dir+"/") {
			continue
		}
		how := []string{"umount", "-l", fields[4]}
		if os.Getuid() != 0 {
			how = []string{"fusermount3", "-u", "-z", fields[4]}
		}
		exec.Command(Lookup(how[0]), how[1:]...).Run() // it may have gone meanwhile
	}
}
