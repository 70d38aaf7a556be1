//go:build !unix

package nbd

// isRefused reports whether nobody listens on a socket. Without a portable
// sign of that, any failure to connect is taken for one.
func isRefused(error) bool { return true }

// lockSocket does nothing: two servers that start at the same moment on the
// same stale socket may replace each other's here.
func lockSocket(string) (unlock func(), err error) { return func() {}, nil }
