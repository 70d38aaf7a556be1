// Command bench prints how fast fatkit is, with its peers beside it.
//
// Each row of the table is measured in one run: fatkit and its peers take
// turns, so that a machine that is slow for a while is slow for all, and the
// medians and their ratio are printed with the target. Rows that talk to a
// server also give its CPU time for each request and its resident memory.
//
// The page cache is warm: the first turn of each row is not counted, but in the
// short form there is no other. Nothing fails on a slow machine; the numbers are
// to be read.
//
//	go run ./test/bench [-short] [-n TURNS] [-runtime TIME] [-image MIB] [-rows REGEXP] [-dir DIR] [-json FILE]
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"time"

	"github.com/fatkit/fatkit/test/product"
)

func main() {
	beMemory()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	short := flag.Bool("short", false, "small trees and short runs: shows that the rows work, not how fast anything is")
	turns := flag.Int("n", 5, "turns of each row")
	runtime := flag.Duration("runtime", 5*time.Second, "`TIME` of each turn of the rows that do not end by themselves")
	only := flag.String("rows", ".", "rows whose name matches `REGEXP`")
	mixedMiB := flag.Int64("image", 4096, "size of the disk of the rows about qcow2 images, in `MIB`; they take twice to thrice that on tmpfs")
	dir := flag.String("dir", "", "folder for the trees, removed at the end (default a temporary one)")
	tmpfs := flag.String("tmpfs", "/dev/shm", "folder on tmpfs, for what the rows build")
	jsonFile := flag.String("json", "", "write the results to `FILE` too")
	list := flag.Bool("list", false, "list the rows and end")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	var rows []row
	for _, r := range allRows() {
		if match.MatchString(r.name) {
			rows = append(rows, r)
		}
	}
	if *list {
		for _, r := range rows {
			fmt.Printf("%-44s %s\n", r.name, r.target)
		}
		return nil
	}
	b, err := newBench(*dir, *tmpfs, *turns, *short)
	if err != nil {
		return err
	}
	defer b.close()
	b.mixedBytes = *mixedMiB << 20
	if !*short {
		b.runtime = *runtime
	}
	results, err := b.runRows(rows)
	if err != nil || *jsonFile == "" {
		return err
	}
	p, err := json.MarshalIndent(results, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(*jsonFile, append(p, '\n'), 0o644)
}

// shortRuntime is the time of a turn in the short form.
const shortRuntime = 300 * time.Millisecond

// bench is one run: scratch folders, the program, and the trees made so far.
type bench struct {
	dir, tmp string // scratch folders, tmp on tmpfs
	bin      string // fatkit
	self     string // this program, which serves disks in memory too
	turns    int
	short    bool
	runtime  time.Duration // of each turn of the rows that do not end by themselves
	// mixedBytes is the size of the disk of the rows about qcow2 images.
	mixedBytes int64
	trees      map[string]string // folder of each tree
	images     map[string]string // raw image of each tree
	bytes      map[string]int64  // in the files of each tree
	interval   chan os.Signal
}

func newBench(dir, tmpfs string, turns int, short bool) (*bench, error) {
	dir, err := os.MkdirTemp(dir, "fatkit-bench")
	if err != nil {
		return nil, err
	}
	if fi, err := os.Stat(tmpfs); err != nil || !fi.IsDir() {
		fmt.Fprintf(os.Stderr, "bench: no %s: building below %s instead\n", tmpfs, os.TempDir())
		tmpfs = ""
	}
	tmp, err := os.MkdirTemp(tmpfs, "fatkit-bench")
	if err != nil {
		return nil, err
	}
	b := &bench{
		dir: dir, tmp: tmp, turns: turns, short: short, runtime: shortRuntime,
		trees: map[string]string{}, images: map[string]string{}, bytes: map[string]int64{}, interval: make(chan os.Signal, 1),
	}
	signal.Notify(b.interval, os.Interrupt, syscall.SIGTERM)
	if b.self, err = os.Executable(); err != nil {
		b.close()
		return nil, err
	}
	if b.bin, err = product.Build(dir); err != nil {
		b.close()
		return nil, err
	}
	fmt.Printf("%s/%s, %d CPUs, %d turns%s\n\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), turns,
		map[bool]string{true: ", SHORT: the numbers mean nothing", false: ""}[short])
	return b, nil
}

// close removes what the run has made.
func (b *bench) close() {
	for _, dir := range []string{b.dir, b.tmp} {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}
}

// interrupted tells whether the user has had enough.
func (b *bench) interrupted() bool {
	select {
	case <-b.interval:
		return true
	default:
		return false
	}
}

// out returns a path on tmpfs for something to build, which must not exist.
func (b *bench) out(name string) (string, error) {
	p := filepath.Join(b.tmp, name)
	return p, os.RemoveAll(p)
}
