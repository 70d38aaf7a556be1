package interop

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/vfs"
)

// scenario is something that guests do with files.
type scenario struct {
	do func(g *desk)
	// complaint is what fsck.fat says of the disk that such a guest leaves
	// behind; "" means that it finds nothing.
	complaint string
	// waits says that something is carried out only when the guest is done.
	waits bool
	// trash are the files that are in the trash afterwards.
	trash []string
	big   bool // needs a bigger disk
	dirty bool // the guest goes without unmounting
}

// scenarioFixture is what the directory holds before.
func scenarioFixture() map[string]string {
	big := string(pattern(1, 40_000))
	return map[string]string{
		"keep/over.bin": big[:8000], "keep/append.txt": "one\n", "keep/grow.bin": big[:5000], "keep/shorter.bin": big[:9000],
		"keep/longer.bin": big[:700], "keep/emptied.bin": big[:3000], "keep/delete.txt": "delete me", "keep/delete too.bin": big[:20_000],
		"keep/rename.txt": "rename me", "keep/move.txt": "move me", "keep/replace.txt": "old", "keep/case.txt": "case",
		"keep/touched.txt": "touch", "keep/readonly.txt": "ro", "keep/untouched.bin": big, "keep/empty": "", "folder/one": "1",
		"folder/sub/two": "2", "nested/inner/x": "x", "nested/half/a": "a", "nested/half/b": big[:6000], "nested/stay": "stay",
		"swap/a": "was a", "swap/b": big[:4000], "cycle/1": "1", "cycle/2": big[:2000], "cycle/3": "3", "tree/a/b/c": "c",
		"tree/a/d": "d", "tree/e": big[:1000], "become": "a file", "untouched.txt": big[:100], "other/file": "other",
	}
}

// scenarios are those of the specification of writing back, by name.
var scenarios = map[string]scenario{
	"create":                      {do: create},
	"create in new folders":       {do: createInNewFolders},
	"overwrite in place":          {do: func(g *desk) { g.must(fatguest.Patch(g.v, "keep/over.bin", []byte("OVER"), 1000)) }},
	"append":                      {do: func(g *desk) { g.must(fatguest.Patch(g.v, "keep/grow.bin", pattern(2, 30_000), 5000)) }},
	"append within a cluster":     {do: func(g *desk) { g.must(fatguest.Patch(g.v, "keep/append.txt", []byte("two\n"), 4)) }},
	"truncate shorter":            {do: func(g *desk) { g.must(fatguest.Truncate(g.v, "keep/shorter.bin", 100)) }},
	"truncate longer":             {do: func(g *desk) { g.must(fatguest.Truncate(g.v, "keep/longer.bin", 50_000)) }},
	"truncate to 0":               {do: func(g *desk) { g.must(fatguest.Truncate(g.v, "keep/emptied.bin", 0)) }},
	"delete":                      {do: deleteFiles, trash: []string{"keep/delete.txt", "keep/delete too.bin", "keep/empty"}},
	"rename a file":               {do: func(g *desk) { g.rename("keep/rename.txt", "keep/renamed to something longer.txt") }},
	"rename a folder":             {do: func(g *desk) { g.rename("folder", "renamed folder") }},
	"move a file, add first":      {do: moveFile("other", "keep")},
	"move a file, delete first":   {do: moveFile("keep", "other")},
	"move a folder, add first":    {do: moveFolder("other", "nested")},
	"move a folder, delete first": {do: moveFolder("nested", "other")},
	"swap two names":              {do: swap},
	"three-way cycle":             {do: cycle},
	"replace by rename":           {do: replace},
	"case-only rename":            {do: func(g *desk) { g.rename("keep/case.txt", "keep/CASE.Txt"); g.rename("folder", "Folder") }},
	"long names":                  {do: longNames},
	"500 small files":             {do: manySmall},
	"50 MiB file":                 {do: func(g *desk) { g.write("large.bin", pattern(3, 50<<20)) }, big: true},
	"interleaved files":           {do: interleavedFiles},
	"copy and delete half":        {do: copyAndDeleteHalf},
	"recursive delete":            {do: func(g *desk) { g.must(g.v.RemoveAll("tree")) }, trash: []string{"tree/a/b/c", "tree/a/d", "tree/e"}},
	"empty files":                 {do: emptyFiles},
	"file becomes folder":         {do: fileBecomesFolder},
	"folder becomes file":         {do: folderBecomesFile},
	"times and attributes":        {do: timesAndAttributes},
	"relabel":                     {do: func(g *desk) { g.must(g.v.SetLabel("ANOTHER")) }},
	"dirty and clean":             {do: dirtyAndClean},
	"a root that grows":           {do: rootThatGrows},
	"left dirty":                  {do: create, dirty: true, complaint: "Dirty bit is set"},
	"first FAT only":              {do: firstFATOnly, complaint: "FATs differ"},
	"boot sector and FSInfo":      {do: bootAndFSInfo},
	"preallocation":               {do: preallocation, complaint: "cluster chain length is >"},
	"orphan chains":               {do: orphans, complaint: "Reclaimed", waits: true, trash: []string{"keep/move.txt"}},
}

func create(g *desk) {
	g.write("new.txt", []byte("created"))
	g.write("keep/new.bin", pattern(4, 9000))
}

func createInNewFolders(g *desk) {
	g.write("fresh/file.txt", []byte("in a new folder"))
	g.write("fresh/deeper/still deeper/file.bin", pattern(5, 12_000))
	g.must(g.v.Mkdir("fresh/with nothing in it", 0o777))
}

func deleteFiles(g *desk) {
	g.must(errors.Join(g.v.Remove("keep/delete.txt"), g.v.Remove("keep/delete too.bin"), g.v.Remove("keep/empty")))
}

// moveFile moves a file; the change of directory first arrives before that of
// the other.
func moveFile(first, second string) func(g *desk) {
	return func(g *desk) {
		g.rename("keep/move.txt", "other/moved.txt")
		g.first(first)
		g.first(second)
	}
}

func moveFolder(first, second string) func(g *desk) {
	return func(g *desk) {
		g.rename("nested/half", "other/half")
		g.first(first)
		g.first(second)
	}
}

func swap(g *desk) {
	g.rename("swap/a", "swap/t")
	g.rename("swap/b", "swap/a")
	g.rename("swap/t", "swap/b")
	g.step()
	for _, names := range [][2]string{{"folder", "t"}, {"nested", "folder"}, {"t", "nested"}} {
		g.rename(names[0], names[1])
		g.step()
	}
}

func cycle(g *desk) {
	for range 2 { // at once, and then with a step for each rename
		for _, names := range [][2]string{{"1", "t"}, {"2", "1"}, {"3", "2"}, {"t", "3"}} {
			g.rename("cycle/"+names[0], "cycle/"+names[1])
			if len(g.steps) > 0 {
				g.step()
			}
		}
		g.step()
	}
}

func replace(g *desk) {
	g.write("keep/replace.new", pattern(6, 3000))
	g.rename("keep/replace.new", "keep/replace.txt")
	g.step()
	g.write("keep/over.new", pattern(7, 10_000))
	g.step()
	g.must(g.v.Remove("keep/over.bin"))
	g.rename("keep/over.new", "keep/over.bin")
}

func longNames(g *desk) {
	g.write(strings.Repeat("n", 255), []byte("255 units"))
	g.write("fresh/"+strings.Repeat("ß", 120)+".text", []byte("not ASCII"))
	g.write("Größe 😀 日本.md", pattern(8, 700))
	g.must(g.v.MkdirAll("🎉/👩‍👩‍👧", 0o777))
	g.write("🎉/👩‍👩‍👧/😀", []byte("deep"))
}

func manySmall(g *desk) {
	for i := range 500 {
		g.write(fmt.Sprintf("many/file number %d", i), fmt.Appendf(nil, "file %d", i))
	}
}

func interleavedFiles(g *desk) {
	names := []string{"fresh/x", "fresh/y", "fresh/z"}
	for _, name := range names {
		g.write(name, nil)
	}
	for i := range 12 {
		for j, name := range names {
			g.must(fatguest.Patch(g.v, name, pattern(byte(10+3*i+j), 3000), int64(3000*i)))
		}
	}
}

func copyAndDeleteHalf(g *desk) {
	_, err := vfs.Copy(g.t.Context(), g.v, "copy", g.v, "nested", vfs.CopyOptions{})
	g.must(err)
	g.step()
	g.must(g.v.RemoveAll("copy/half"))
}

func emptyFiles(g *desk) {
	g.write("fresh/empty", nil)
	g.write("empty too", nil)
	g.step()
	g.rename("keep/empty", "other/empty")
	g.step()
	g.must(g.v.Remove("fresh/empty"))
}

func fileBecomesFolder(g *desk) {
	g.must(g.v.Remove("become"))
	g.write("become/inside", []byte("a file in what was one"))
}

func folderBecomesFile(g *desk) {
	g.must(g.v.RemoveAll("folder"))
	g.write("folder", []byte("a folder no more"))
}

func timesAndAttributes(g *desk) {
	when := vfs.Times{Modified: time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC), Accessed: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)}
	g.must(errors.Join(g.v.Chtimes("keep/touched.txt", when), g.v.Chtimes("tree/a", when)))
	g.must(g.v.SetAttr("keep/readonly.txt", vfs.AttrReadOnly, 0))
	g.must(g.v.SetAttr("keep/case.txt", vfs.AttrHidden|vfs.AttrSystem, vfs.AttrArchive))
	g.step()
	g.must(g.v.SetAttr("keep/over.bin", vfs.AttrReadOnly, 0))
	g.step()
	g.must(g.v.SetAttr("keep/over.bin", 0, vfs.AttrReadOnly))
}

// dirtyAndClean marks the volume before it writes and after, as Windows does.
func dirtyAndClean(g *desk) {
	g.mark(false)
	g.step()
	create(g)
	g.mark(false)
	g.step()
	g.mark(true)
}

func firstFATOnly(g *desk) {
	g.onlyFirstFAT()
	create(g)
	g.step()
	g.must(g.v.RemoveAll("tree"))
}

// bootAndFSInfo writes the first two sectors in one request, as Windows does.
func bootAndFSInfo(g *desk) {
	both := func() {
		g.step()
		g.edit(0, 2*sectorBytes, func([]byte) {})
		g.take(func(int64) bool { return true }, true)
	}
	g.mark(false)
	both()
	create(g)
	g.mark(true)
	both()
}

// rootThatGrows fills the root with files, and changes entries in clusters that
// it did not have before, without a change of the FAT.
func rootThatGrows(g *desk) {
	name := func(i int) string { return fmt.Sprintf("a file with a long name in the root, number %d", i) }
	for i := range 40 {
		g.write(name(i), fmt.Appendf(nil, "file %d", i))
	}
	g.step()
	g.rename(name(39), name(41))
	g.step()
	g.must(fatguest.Patch(g.v, name(38), []byte(" and more"), 7))
	g.step()
	g.rename(name(37), "keep/"+name(37))
}

// preallocation gives files more clusters than they need, and fills some later.
func preallocation(g *desk) {
	g.must(fatguest.Patch(g.v, "keep/grow.bin", pattern(9, 40_000), 5000))
	g.setSize("keep", "GROW    BIN", 5000)
	g.write("fresh/reserved.bin", pattern(10, 60_000))
	g.setSize("fresh", "RESERVEDBIN", 1)
	g.step()
	g.setSize("keep", "GROW    BIN", 12_000)
}

// orphans loses the chains of a file that was there, and of a new one.
func orphans(g *desk) {
	g.write("lost.bin", pattern(11, 5000))
	g.strike(".", "LOST    BIN")
	g.strike("keep", "MOVE    TXT")
}

// scenarioTime is when the files of the fixture were written.
var scenarioTime = time.Date(2024, 5, 6, 7, 8, 10, 0, time.UTC)
