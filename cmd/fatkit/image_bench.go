package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/stack"
)

const imageBenchLong = `Measure how long it takes to read from an image, or with -w to write to it: a
number of requests of one size, so many of them at a time, each a step behind the
one before. Behind the end of the disk they go on at its beginning.

-w overwrites what is on the disk.`

// benchFlags are the flags of image bench.
type benchFlags struct {
	in                   inputFlags
	json                 bool
	count, depth         int
	bufferBytes          int64
	stepBytes, offset    int64
	write, native, quiet bool
	flushInterval        int
	noDrain              bool
	pattern              uint8
	aio                  string
	cache                string
}

func newImageBench() *cobra.Command {
	f := benchFlags{count: 75000, depth: 64, bufferBytes: 4096, stepBytes: -1}
	cmd := &cobra.Command{
		Use:     "bench [flags] IMAGE",
		Short:   "measure how fast an image is read or written",
		Long:    imageBenchLong,
		Example: "  fatkit image bench disk.qcow2\n  fatkit image bench -w -c 1000 -d 8 -s 64K --flush-interval 100 scratch.qcow2",
		Args:    wantArgs(1, 1, "one image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return benchImage(cmd, &f, args[0])
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	f.in.register(fs)
	fs.IntVarP(&f.count, "count", "c", f.count, "number of requests")
	fs.IntVarP(&f.depth, "depth", "d", f.depth, "how many requests are under way at a time")
	fs.VarP(&sizeValue{bytes: &f.bufferBytes, text: "4K"}, "buffer-size", "s", "size of a request")
	fs.VarP(&sizeValue{bytes: &f.stepBytes}, "step-size", "S", "distance between requests (default the size of a request)")
	fs.VarP(&sizeValue{bytes: &f.offset}, "offset", "o", "offset of the first request on the disk")
	fs.BoolVarP(&f.write, "write", "w", false, "write, which overwrites what is on the disk")
	fs.Uint8Var(&f.pattern, "pattern", 0, "the byte that is written")
	fs.IntVar(&f.flushInterval, "flush-interval", 0, "flush after this many writes (default never)")
	fs.BoolVar(&f.noDrain, "no-drain", false, "do not wait for the writes under way before a flush")
	f.in.registerBacking(fs)
	fs.VarP(&choiceValue{word: &f.aio, choices: []string{"threads", "native", "io_uring"}, kind: "AIO"}, "aio", "i", "accepted for qemu-img's sake: requests are always made by threads")
	fs.BoolVarP(&f.native, "native", "n", false, "accepted for qemu-img's sake, as -i")
	fs.VarP(&choiceValue{word: &f.cache, choices: cacheModes, kind: "CACHE"}, "cache", "t", "accepted for qemu-img's sake: the page cache is used")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "print the result alone")
	fs.BoolVar(&f.json, "json", false, "print the result as JSON")
	return cmd
}

// benchResult is what is printed with --json.
type benchResult struct {
	Write       bool    `json:"write"`
	Requests    int     `json:"requests"`
	BufferBytes int64   `json:"buffer_bytes"`
	Depth       int     `json:"depth"`
	Flushes     int     `json:"flushes"`
	Seconds     float64 `json:"seconds"`
	PerSecond   float64 `json:"requests_per_second"`
	BytesSecond float64 `json:"bytes_per_second"`
}

// check refuses what makes no sense.
func (f *benchFlags) check() error {
	if f.stepBytes < 0 {
		f.stepBytes = f.bufferBytes
	}
	switch {
	case f.count < 1 || f.depth < 1:
		return usageError("-c and -d are 1 at least")
	case f.bufferBytes < 1 || f.bufferBytes > 1<<30:
		return usageError("-s is 1 byte to 1G")
	case f.depth > 1<<16 || int64(f.depth)*f.bufferBytes > 1<<32:
		return usageError("-d requests of -s bytes need more than 4G of memory, or are more than 65536")
	case f.flushInterval < 0 || f.flushInterval > 0 && !f.write:
		return usageError("--flush-interval is a number of writes: give -w as well")
	case f.flushInterval > 0 && f.flushInterval < f.depth && !f.noDrain:
		return usageError("--flush-interval %d: is less than the %d requests of -d, which would never be under way", f.flushInterval, f.depth)
	case f.noDrain && f.flushInterval == 0:
		return usageError("--no-drain is about --flush-interval")
	}
	return nil
}

// benchImage is the verb.
func benchImage(cmd *cobra.Command, f *benchFlags, name string) error {
	if err := f.check(); err != nil {
		return err
	}
	ctx, _, release := untilSignal(cmd.Context())
	defer release()
	o := f.in.options()
	o.Writable = f.write
	dev, _, err := stack.OpenDisk(ctx, name, o)
	if err != nil {
		return err
	}
	if dev.Size() < f.bufferBytes || f.offset > dev.Size()-f.bufferBytes {
		return errors.Join(usageError("a request of %d bytes at %d does not lie on the disk of %d bytes", f.bufferBytes, f.offset, dev.Size()), dev.Close())
	}
	out := cmd.OutOrStdout()
	if !f.quiet && !f.json {
		f.announce(out)
	}
	b := &bench{f: f, dev: dev, work: make(chan int64)}
	result, err := b.run(ctx)
	if err = errors.Join(err, dev.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if f.json {
		return printJSON(out, result)
	}
	fmt.Fprintf(out, "Run completed in %.3f seconds.\n", result.Seconds)
	if !f.quiet {
		_, err = fmt.Fprintf(out, "%.0f requests, %s in a second.\n", result.PerSecond, shortSize(uint64(result.BytesSecond)))
	}
	return err
}

// announce says what is about to happen, in qemu-img's words.
func (f *benchFlags) announce(w io.Writer) {
	what := "read"
	if f.write {
		what = "write"
	}
	fmt.Fprintf(w, "Sending %d %s requests, %d bytes each, %d in parallel (starting at offset %d, step size %d)\n",
		f.count, what, f.bufferBytes, f.depth, f.offset, f.stepBytes)
	if f.flushInterval > 0 {
		drain := ""
		if f.noDrain {
			drain = " without draining"
		}
		fmt.Fprintf(w, "Sending flush every %d requests%s\n", f.flushInterval, drain)
	}
}

// bench is a run: workers take offsets from a channel.
type bench struct {
	f       *benchFlags
	dev     block.Device
	work    chan int64
	pending sync.WaitGroup // requests under way

	mu  sync.Mutex
	err error // the first
}

// run makes the requests and measures them.
func (b *bench) run(ctx context.Context) (benchResult, error) {
	f := b.f
	r := benchResult{Write: f.write, BufferBytes: f.bufferBytes, Depth: f.depth}
	var workers sync.WaitGroup
	began := time.Now()
	for range min(f.depth, f.count) {
		workers.Go(b.worker)
	}
	off := f.offset
	for r.Requests < f.count && ctx.Err() == nil && b.failure() == nil {
		b.pending.Add(1)
		b.work <- off
		r.Requests++
		if off += f.stepBytes; off > b.dev.Size()-f.bufferBytes {
			off = 0
		}
		if f.flushInterval > 0 && r.Requests%f.flushInterval == 0 {
			r.Flushes++
			b.flush()
		}
	}
	close(b.work)
	workers.Wait()
	r.Seconds = time.Since(began).Seconds()
	r.PerSecond = float64(r.Requests) / r.Seconds
	r.BytesSecond = r.PerSecond * float64(r.BufferBytes)
	return r, errors.Join(b.failure(), ctx.Err())
}

// flush flushes the disk, after the writes under way unless they are not waited
// for.
func (b *bench) flush() {
	if !b.f.noDrain {
		b.pending.Wait()
	}
	b.note(b.dev.Flush())
}

// worker makes one request after the other.
func (b *bench) worker() {
	p := bytes.Repeat([]byte{b.f.pattern}, int(b.f.bufferBytes))
	for off := range b.work {
		var err error
		if b.f.write {
			_, err = b.dev.WriteAt(p, off)
		} else {
			err = block.ReadFull(b.dev, p, off)
		}
		b.note(err)
		b.pending.Done()
	}
}

func (b *bench) note(err error) {
	if err == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
}

func (b *bench) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}
