package lint

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// findCall returns the position of a use of pkg.name in f, if there is one.
func findCall(f *ast.File, pkg, name string) token.Pos {
	var pos token.Pos
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != name {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok && id.Name == pkg {
			pos = sel.Pos()
		}
		return true
	})
	return pos
}

// checkSize compares a size with its limit and its entry in a table of
// exceptions.
func checkSize(t *testing.T, what string, lines, limit int, exceptions map[string]int) {
	t.Helper()
	allowed, listed := exceptions[what]
	switch {
	case listed && lines > allowed:
		t.Errorf("%s has grown from %d to %d lines", what, allowed, lines)
	case listed && lines <= limit:
		t.Errorf("%s is down to %d lines: take it off the list of exceptions", what, lines)
	case !listed && lines > limit:
		t.Errorf("%s has %d lines, more than %d: split it", what, lines, limit)
	}
}

func TestFunctionsReadWithoutScrolling(t *testing.T) {
	files, fset := sources(t)
	for _, s := range files {
		if s.test {
			continue
		}
		for _, d := range s.ast.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				lines := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line + 1
				checkSize(t, s.file+": "+f.Name.Name, lines, maxFunctionLines, longFunctions)
			}
		}
	}
}

func TestFilesAreOneIdea(t *testing.T) {
	files, fset := sources(t)
	for _, s := range files {
		if !s.test {
			checkSize(t, s.file, fset.File(s.ast.Pos()).LineCount(), maxFileLines, longFiles)
		}
	}
}

func TestEveryPackageHasADoc(t *testing.T) {
	files, _ := sources(t)
	documented := map[string]bool{}
	for _, s := range files {
		if s.test {
			continue
		}
		has := s.ast.Doc != nil && strings.HasPrefix(s.ast.Doc.Text(), "Package ")
		has = has || s.ast.Name.Name == "main" && s.ast.Doc != nil
		documented[s.pkg] = documented[s.pkg] || has
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s has no doc comment", pkg)
		}
	}
}

func TestNothingIsLeftUndone(t *testing.T) {
	marks := []string{"TODO", "FIXME", "XXX", "HACK"}
	files, _ := sources(t)
	for _, s := range files {
		if s.pkg == "internal/lint" {
			continue
		}
		for _, g := range s.ast.Comments {
			for _, m := range marks {
				if strings.Contains(g.Text(), m+":") || strings.Contains(g.Text(), m+"(") {
					t.Errorf("%s: a comment says %s", s.file, m)
				}
			}
		}
	}
}
