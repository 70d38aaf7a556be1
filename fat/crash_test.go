package fat_test

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/crash"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
)

// script is a sequence of changes, with what must last after each Sync.
type script struct {
	t      *testing.T
	dev    *crash.Device
	v      *fat.Volume
	synced []syncPoint
	now    map[string]string // what the volume holds
	// unsettled are names that were changed since the last Sync, so that a cut
	// may leave them in an old or a new state.
	unsettled map[string]bool
	// moved are contents that only changed their names since.
	moved  map[string]bool
	onDisk map[string]bool // contents at the last Sync
}

// syncPoint is what is durable from an event on.
type syncPoint struct {
	event     int
	files     map[string]string
	unsettled map[string]bool // names that are changed before the next one
	moved     map[string]bool // contents that only get other names before then
}

func (s *script) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) write(name, content string) {
	s.t.Helper()
	s.must(vfs.WriteFile(s.v, name, []byte(content), 0o666))
	delete(s.moved, s.now[name])
	s.now[name], s.unsettled[name] = content, true
}

func (s *script) append(name, content string) {
	s.t.Helper()
	f, err := s.v.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	s.must(err)
	_, err = f.Write([]byte(content))
	s.must(err)
	s.must(f.Close())
	delete(s.moved, s.now[name])
	s.now[name] += content
	s.unsettled[name] = true
}

func (s *script) truncate(name string, n int) {
	s.t.Helper()
	f, err := s.v.OpenFile(name, os.O_WRONLY, 0)
	s.must(err)
	s.must(f.Truncate(int64(n)))
	s.must(f.Close())
	delete(s.moved, s.now[name])
	s.now[name] = s.now[name][:n]
	s.unsettled[name] = true
}

func (s *script) mkdir(name string) { s.t.Helper(); s.must(s.v.Mkdir(name, 0o777)) }

func (s *script) remove(name string) {
	s.t.Helper()
	s.must(vfs.RemoveAll(s.v, name))
	for f := range s.now {
		if f == name || strings.HasPrefix(f, name+"/") {
			delete(s.moved, s.now[f])
			delete(s.now, f)
			s.unsettled[f] = true
		}
	}
}

func (s *script) rename(from, to string) {
	s.t.Helper()
	s.must(s.v.Rename(from, to))
	for f, c := range s.now {
		if f == from || strings.HasPrefix(f, from+"/") {
			delete(s.now, f)
			delete(s.moved, s.now[to+f[len(from):]])
			s.now[to+f[len(from):]] = c
			s.moved[c] = s.onDisk[c]
			s.unsettled[f], s.unsettled[to+f[len(from):]] = true, true
		}
	}
}

func (s *script) sync() {
	s.t.Helper()
	s.must(s.v.Sync())
	if k := len(s.synced); k > 0 {
		s.synced[k-1].unsettled, s.synced[k-1].moved = s.unsettled, s.moved
	}
	files := map[string]string{}
	s.onDisk = map[string]bool{}
	for f, c := range s.now {
		files[f] = c
		s.onDisk[c] = len(c) > 0
	}
	s.synced = append(s.synced, syncPoint{event: s.dev.Events(), files: files})
	s.unsettled, s.moved = map[string]bool{}, map[string]bool{}
}

// text returns n bytes that tell where they came from.
func text(tag string, n int) string {
	return strings.Repeat(tag+" ", n/len(tag)+1)[:n]
}

// scripted does everything that has an order of writes of its own.
func scripted(s *script) {
	s.mkdir("docs")
	s.mkdir("docs/old")
	for i := range 12 {
		s.write(fmt.Sprintf("docs/a file with a long name %02d.txt", i), text(fmt.Sprint("v1-", i), 700*i))
	}
	s.write("log", text("log", 3000))
	s.sync()
	s.append("log", text("more", 5000)) // an old chain gets a tail
	s.write("docs/a file with a long name 03.txt", text("v2", 4000))
	s.remove("docs/a file with a long name 04.txt")
	s.sync()
	s.truncate("log", 1500) // an old chain is cut
	s.rename("docs/a file with a long name 05.txt", "docs/old/moved to another directory.txt")
	s.rename("docs/a file with a long name 06.txt", "docs/short")
	s.sync()
	s.append("log", text("again", 9000))
	s.rename("docs/old", "older") // ".." changes
	s.write("tmp", text("tmp", 6000))
	s.rename("tmp", "docs/a file with a long name 07.txt") // replaces
	s.sync()
	for i := range 40 { // the directory grows
		s.write(fmt.Sprintf("docs/another one, so that there are many %02d", i), text("n", 100))
	}
	s.sync()
	s.rename("docs/short", "swap") // two names are exchanged, over two blocks
	s.rename("log", "docs/short")
	s.rename("swap", "log")
	s.remove("older")
	s.sync()
	s.mkdir("new")
	s.rename("docs/a file with a long name 08.txt", "new/inside a new directory.txt")
	s.rename("docs/a file with a long name 09.txt", "docs/A FILE with a long name 09.txt")
	s.remove("docs")
	s.sync()
	s.write("last", text("last", 2000))
}

// recorded runs a script on a new volume and returns what its device remembers.
func recorded(t *testing.T, size int64, o fat.FormatOptions, run func(*script)) *script {
	t.Helper()
	dev, err := crash.From(format(t, size, o))
	if err != nil {
		t.Fatal(err)
	}
	v, err := fat.Open(dev, fat.Options{WriteBack: -1, Now: fixed})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, dev: dev, v: v, now: map[string]string{}, unsettled: map[string]bool{}, moved: map[string]bool{}}
	s.sync()
	run(s)
	s.sync()
	s.must(v.Close())
	return s
}

// TestPowerCuts cuts a scripted run at every event.
func TestPowerCuts(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 1
	}
	if os.Getenv("FATKIT_LONG") != "" {
		seeds = 40
	}
	for _, k := range []struct {
		name string
		size int64
		o    fat.FormatOptions
	}{
		{"fat12", 512 << 10, fat.FormatOptions{Type: 12, RootEntries: 64}},
		{"fat16", 5 << 20, fat.FormatOptions{Type: 16, ClusterBytes: 1024}},
		{"fat32", 35 << 20, fat.FormatOptions{Type: 32, ClusterBytes: 512}},
	} {
		t.Run(k.name, func(t *testing.T) {
			s := recorded(t, k.size, k.o, scripted)
			dev := s.dev
			for event := range dev.Events() + 1 {
				for seed := range seeds {
					checkCut(t, s, event, seed)
					if t.Failed() {
						t.Fatalf("at cut %d of %d, seed %d: %s", event, dev.Events(), seed, dev.Describe(min(event, dev.Events()-1)))
					}
				}
			}
		})
	}
}

// checkCut looks at what one power cut leaves.
func checkCut(t *testing.T, s *script, event int, seed uint64) {
	img := s.dev.Cut(event, seed)
	last := s.last(event)
	if last == nil {
		return
	}
	checkHarmless(t, img)
	if t.Failed() {
		return
	}
	r, err := fat.Check(t.Context(), img, fat.CheckOptions{Repair: true, Now: fixed})
	if err != nil {
		t.Errorf("Check: %v", err)
		return
	}
	check(t, img)
	s.checkFiles(t, img, last, r)
}

// harmless are the findings that a power cut may cause: see the package
// documentation.
var harmless = map[string]bool{
	"dirty": true, "fats-differ": true, "free-count": true, "orphan-chain": true, "chain-too-long": true,
	"long-name-orphan": true, "moved-entry": true, "label-differs": true, "backup-boot": true,
}

// checkHarmless checks that nothing is wrong but what may be.
func checkHarmless(t *testing.T, img block.Device) {
	r, err := fat.Check(t.Context(), img, fat.CheckOptions{Now: fixed})
	if err != nil {
		t.Errorf("Check: %v", err)
		return
	}
	for _, f := range r.Findings {
		if !harmless[f.Code] && !strings.HasPrefix(f.Path, "FOUND.") {
			t.Errorf("a power cut causes %s", findings(r))
			return
		}
	}
}

// last returns the last Sync that was done before an event, if any.
func (s *script) last(event int) *syncPoint {
	var last *syncPoint
	for i := range s.synced {
		if s.synced[i].event <= event {
			last = &s.synced[i]
		}
	}
	return last
}

// checkFiles checks that what was synced is there after the repair: what was not
// changed since, unchanged, and the rest in its old or its new state.
func (s *script) checkFiles(t *testing.T, img block.Device, last *syncPoint, r *fat.CheckResult) {
	v, err := fat.Open(img, fat.Options{WriteBack: -1})
	if err != nil {
		t.Errorf("the volume cannot be mounted: %v", err)
		return
	}
	defer v.Close()
	for name, content := range last.files {
		if last.unsettled[name] {
			continue
		}
		got, err := fs.ReadFile(v, name)
		if err != nil || string(got) != content {
			t.Errorf("%s: %d bytes, %v; %d bytes were synced\n%s", name, len(got), err, len(content), findings(r))
		}
	}
	for content, synced := range last.moved {
		if synced && !holds(t, v, content) {
			t.Errorf("a file of %d bytes was lost while it moved\n%s", len(content), findings(r))
		}
	}
}

// holds reports whether a file begins with content; what was saved in FOUND.000
// is as long as its clusters.
func holds(t *testing.T, v *fat.Volume, content string) bool {
	found := false
	err := fs.WalkDir(v, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || found {
			return err
		}
		p, err := fs.ReadFile(v, name)
		found = strings.HasPrefix(string(p), content)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return found
}
