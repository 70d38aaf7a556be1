package product

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

var (
	buildOnce sync.Once
	buildDir  string
	built     string
	errBuild  error
)

// Main runs the tests of a package that uses [Binary] and removes what was
// built. Call it from TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if buildDir != "" {
		if err := os.RemoveAll(buildDir); err != nil {
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// Binary returns the path of fatkit, built once for all tests of a package.
func Binary(t testing.TB) string {
	t.Helper()
	buildOnce.Do(func() {
		if buildDir, errBuild = os.MkdirTemp("", "fatkit-test"); errBuild == nil {
			built, errBuild = Build(buildDir)
		}
	})
	if errBuild != nil {
		t.Fatal(errBuild)
	}
	return built
}

// Serve starts fatkit serve with arguments on a socket of its own and stops
// it at the end of the test, which fails if it does not end well.
func Serve(t testing.TB, args ...string) *Server {
	t.Helper()
	// A short path: that of a socket has 107 bytes at most.
	dir, err := os.MkdirTemp("", "fk")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "nbd.sock")
	all := append([]string{"serve", "--listen", "unix:" + socket}, args...)
	s, err := StartServer(socket, []string{"XDG_RUNTIME_DIR=" + dir}, Binary(t), all...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("fatkit serve ended with %v\n%s", err, s.Log())
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Env returns the environment in which the tools of fatkit find the server.
func (s *Server) Env() []string { return []string{"XDG_RUNTIME_DIR=" + filepath.Dir(s.Socket)} }

// Long tells whether the full counts are asked for, by FATKIT_LONG.
func Long() bool {
	on, err := strconv.ParseBool(os.Getenv("FATKIT_LONG"))
	return err == nil && on
}
