package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Every flag of mkfs is in a script.
func TestMkfsFlagsAreTried(t *testing.T) {
	scripts, err := filepath.Glob("../../test/script/mkfs*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal(err, len(scripts))
	}
	var text strings.Builder
	for _, s := range scripts {
		p, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(p)
	}
	newMkfs().Flags().VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(text.String(), " --"+f.Name+" ") {
			t.Errorf("--%s is in none of %v", f.Name, scripts)
		}
	})
}
