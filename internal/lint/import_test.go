package lint

import (
	"slices"
	"strings"
	"testing"
)

// layerOf returns the layer of pkg, or -1.
func layerOf(pkg string) int {
	for i, names := range layers {
		if coversAny(names, pkg) {
			return i
		}
	}
	return -1
}

// outside reports whether pkg stands outside the layers: the lint tests
// themselves, and the tests that live in a tree of their own.
func outside(pkg string) bool {
	return pkg == "internal/lint" || strings.HasPrefix(pkg, "test/") || pkg == "test"
}

// checkImport says what is wrong with an import of to by code of from, or "".
func checkImport(from, to string) string {
	if allowed, ok := narrow[from]; ok && !slices.Contains(allowed, to) {
		return "may import only " + strings.Join(allowed, ", ")
	}
	lf, lt := layerOf(from), layerOf(to)
	switch {
	case lt < 0:
		return "is in no layer of internal/lint/table.go"
	case coversAny(suites, to) && !coversAny(suites, from):
		return "is for tests only"
	case lt < lf, strings.HasPrefix(to, from+"/"):
		return ""
	case lt > lf:
		return "is in a higher layer"
	}
	for _, e := range within {
		if covers(e.from, from) && covers(e.to, to) {
			return ""
		}
	}
	return "is in the same layer and not listed in internal/lint/table.go"
}

func TestImportsPointDownward(t *testing.T) {
	files, _ := sources(t)
	for _, s := range files {
		if outside(s.pkg) {
			continue
		}
		if layerOf(s.pkg) < 0 {
			t.Errorf("%s: package %q is in no layer: add it to internal/lint/table.go", s.file, s.pkg)
			continue
		}
		for _, imp := range s.imports(t) {
			to, ok := strings.CutPrefix(imp, module+"/")
			if !ok || to == s.pkg {
				continue
			}
			if s.test && (coversAny(suites, to) || layerOf(to) <= layerOf(s.pkg)) {
				continue
			}
			if why := checkImport(s.pkg, to); why != "" {
				t.Errorf("%s: imports %s, which %s", s.file, to, why)
			}
		}
	}
}

func TestOnlyListedModules(t *testing.T) {
	testOnly := []string{"pgregory.net/rapid", "github.com/rogpeppe/go-internal", "github.com/creack/pty", "golang.org/x/"}
	files, _ := sources(t)
	for _, s := range files {
		for _, imp := range s.imports(t) {
			first, _, _ := strings.Cut(imp, "/")
			if !strings.Contains(first, ".") || strings.HasPrefix(imp, module) {
				continue
			}
			ok := false
			for pkg, mods := range external {
				ok = ok || (s.pkg == pkg || strings.HasPrefix(s.pkg, pkg+"/")) && hasModule(mods, imp)
			}
			if s.test || outside(s.pkg) || coversAny(suites, s.pkg) {
				ok = ok || hasModule(testOnly, imp)
			}
			if !ok {
				t.Errorf("%s: imports %s, which internal/lint/table.go does not list for %s", s.file, imp, s.pkg)
			}
		}
	}
}

func hasModule(mods []string, imp string) bool {
	for _, m := range mods {
		if imp == m || strings.HasPrefix(imp, strings.TrimSuffix(m, "/")+"/") {
			return true
		}
	}
	return false
}

func TestLowestLayerDoesNoIO(t *testing.T) {
	forbidden := []string{"os", "net", "syscall", "os/exec", "net/http", "io/ioutil"}
	files, _ := sources(t)
	for _, s := range files {
		if s.test || layerOf(s.pkg) != 0 {
			continue
		}
		for _, imp := range s.imports(t) {
			if slices.Contains(forbidden, imp) {
				t.Errorf("%s: imports %s; the lowest layer does no I/O", s.file, imp)
			}
		}
		if pos := findCall(s.ast, "time", "Now"); pos.IsValid() {
			t.Errorf("%s: calls time.Now; the lowest layer reads no clock", s.file)
		}
	}
}

// TestRules makes sure that the rules above can fail.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"vvfat", "block", true},
		{"block", "vvfat", false},
		{"vvfat", "nbd", false},
		{"nbd", "nbd/wire", true},
		{"nbd/wire", "nbd", false},
		{"nbd", "internal/hostfs", false},
		{"block/file", "block", true},
		{"block", "block/file", true},
		{"block/file", "block/mem", false},
		{"vvfat", "block/fault", false},
		{"cmd/fatkit", "stack", true},
		{"internal/format/gpt", "internal/format/mbr", false},
		{"stack", "nowhere", false},
	} {
		if got := checkImport(c.from, c.to) == ""; got != c.ok {
			t.Errorf("checkImport(%s, %s) allows it: %v, want %v", c.from, c.to, got, c.ok)
		}
	}
}
