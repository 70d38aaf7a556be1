package nbd

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// firstPassed is the first descriptor of socket activation (sd_listen_fds(3)).
const firstPassed = 3

// maxPassed bounds LISTEN_FDS.
const maxPassed = 64

// PassedListeners returns the sockets that systemd, or a test that does the same,
// has opened for this process (LISTEN_FDS, LISTEN_PID), and none if there are
// none. It clears the variables, so that children do not take the sockets for theirs.
// It must be called before other goroutines start children.
func PassedListeners() ([]net.Listener, error) {
	pid, count := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for _, v := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(v)
	}
	if count == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxPassed {
		return nil, fmt.Errorf("LISTEN_FDS is %q, expected a number up to %d", count, maxPassed)
	}
	var ls []net.Listener
	for i := range n {
		name := "LISTEN_FD_" + strconv.Itoa(firstPassed+i)
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		f := os.NewFile(uintptr(firstPassed+i), name)
		l, err := net.FileListener(f)
		f.Close() // net has its own copy
		if err != nil {
			for _, l := range ls {
				l.Close()
			}
			return nil, fmt.Errorf("passed socket %s: %w", name, err)
		}
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false) // the socket belongs to whoever made it
		}
		ls = append(ls, l)
	}
	return ls, nil
}
