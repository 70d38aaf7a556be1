package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fatkit/fatkit/test/product"
)

// writeRows are about directories that take writes. The guest is package fat over
// NBD, the server the program.
func writeRows() []row {
	return []row{
		writeReadyRow(), changeRow(), smallFilesRow("tmpfs", func(b *bench) string { return b.tmp }),
		smallFilesRow("disk", func(b *bench) string { return b.dir }), sequentialRow(), fragmentsRow(), idleRow(),
	}
}

// writeReadyRow starts a server of the tree with the most files.
func writeReadyRow() row {
	r := row{name: "write-back: ready to serve T3", unit: "ms", target: "memory in proportion to files: read-only is the peer"}
	for _, c := range []struct {
		name string
		args []string
	}{{"fatkit --rw", []string{"--rw"}}, {"fatkit", nil}} {
		r.contenders = append(r.contenders, contender{c.name, nil, func(b *bench) (sample, error) {
			dir, err := b.tree("T3")
			if err != nil {
				return sample{}, err
			}
			state, err := b.out("state")
			if err != nil {
				return sample{}, err
			}
			start := time.Now()
			serve := func(b *bench, _ string) (*product.Server, error) {
				socket, err := b.socket()
				if err != nil {
					return nil, err
				}
				args := append([]string{"serve", "--quiet", "--listen", "unix:" + socket}, c.args...)
				if c.args != nil {
					args = append(args, "--state", state)
				}
				return product.StartServer(socket, []string{"XDG_RUNTIME_DIR=" + b.tmp, "XDG_STATE_HOME=" + b.tmp}, b.bin, append(args, dir)...)
			}
			return withServer(b, serve, "", func(s *product.Server) (sample, error) {
				took := time.Since(start)
				now, peak, err := residentMiB(s.PID)
				return sample{milliseconds(took), map[string]float64{"MiB resident": now, "MiB peak": peak}}, err
			})
		}})
	}
	return r
}

// changes is how often a file is changed in one turn.
const changes = 20

// changeRow changes 4 KiB of a file and waits until the host has it.
func changeRow() row {
	r := row{name: "write-back: 4 KiB of a file to the host", unit: "ms after the flush", target: "≤ 50 ms, with T3 ≤ 2 of few files"}
	for _, tree := range []string{"T3", "few files"} {
		r.contenders = append(r.contenders, contender{"fatkit, " + tree, nil, func(b *bench) (sample, error) {
			dir, err := b.tree(tree)
			if err != nil {
				return sample{}, err
			}
			what := served{dir, filepath.Join(b.dir, "state"), []string{"--table", "none", "--settle", "10s"}}
			return b.withGuest(what, func(g *guest) (sample, error) { return g.change() })
		}})
	}
	return r
}

// change overwrites a file again and again.
func (g *guest) change() (sample, error) {
	name := "changing"
	if err := g.write(name, 4<<10); err != nil {
		return sample{}, err
	}
	if err := g.Sync(); err != nil {
		return sample{}, err
	}
	if _, err := arrives(filepath.Join(g.dir, name), 4<<10, 0x5a, time.Now()); err != nil {
		return sample{}, err
	}
	var all []float64
	for i := range changes {
		p := make([]byte, 4<<10)
		p[0] = byte(i)
		f, err := g.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return sample{}, err
		}
		if _, err := f.Write(p); err != nil {
			return sample{}, err
		}
		if err := f.Close(); err != nil {
			return sample{}, err
		}
		if err := g.Sync(); err != nil {
			return sample{}, err
		}
		took, err := arrives(filepath.Join(g.dir, name), 4<<10, byte(i), time.Now())
		if err != nil {
			return sample{}, err
		}
		all = append(all, milliseconds(took))
	}
	if err := g.Remove(name); err != nil {
		return sample{}, err
	}
	return sample{median(all), nil}, g.Sync()
}

// smallFilesRow has a guest make many small files.
func smallFilesRow(medium string, where func(b *bench) string) row {
	source := "T2"
	return row{name: "write-back: T2 to the host, " + medium, unit: "ms", target: "≤ 3 of cp -r", contenders: []contender{
		{"fatkit", nil, func(b *bench) (sample, error) {
			if _, err := b.tree(source); err != nil {
				return sample{}, err
			}
			dir := filepath.Join(where(b), "share")
			if err := fresh(dir); err != nil {
				return sample{}, err
			}
			what := served{dir, filepath.Join(where(b), "state"), []string{"--table", "none", "--size", "1G", "--settle", "10s"}}
			return b.withGuest(what, func(g *guest) (sample, error) { return b.smallFiles(g) })
		}},
		{"cp -r", nil, func(b *bench) (sample, error) {
			dir, err := b.tree(source)
			if err != nil {
				return sample{}, err
			}
			to := filepath.Join(where(b), "copy")
			if err := os.RemoveAll(to); err != nil {
				return sample{}, err
			}
			took, _, err := command("cp", "-r", dir, to)
			return sample{milliseconds(took), nil}, err
		}},
	}}
}

// fresh makes an empty directory.
func fresh(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Mkdir(dir, 0o755)
}

// smallFiles makes the files of T2 and waits until the host has them. That the guest
// makes them counts as well.
func (b *bench) smallFiles(g *guest) (sample, error) {
	dirs, per := 200, 100
	if b.short {
		dirs /= 16
	}
	start := time.Now()
	for d := range dirs {
		if err := g.Mkdir(fmt.Sprintf("d%d", d), 0o777); err != nil {
			return sample{}, err
		}
		for f := range per {
			if err := g.write(fmt.Sprintf("d%d/file %d.txt", d, f), 4<<10); err != nil {
				return sample{}, err
			}
		}
	}
	if err := g.Sync(); err != nil {
		return sample{}, err
	}
	wrote := time.Since(start)
	err := b.sync(g)
	took := time.Since(start)
	if err != nil {
		return sample{}, err
	}
	if list, err := os.ReadDir(filepath.Join(g.dir, "d0")); err != nil || len(list) != per {
		return sample{}, fmt.Errorf("the host has %d files of %d: %w", len(list), per, err)
	}
	_, peak, err := residentMiB(g.s.PID)
	return sample{milliseconds(took), map[string]float64{"ms until flushed": milliseconds(wrote), "MiB peak": peak}}, err
}

// sequentialRow has a guest write one large file.
func sequentialRow() row {
	size := func(b *bench) int64 {
		if b.short {
			return 16 << 20
		}
		return 512 << 20
	}
	write := func(b *bench, g *guest) (sample, error) {
		start := time.Now()
		if err := g.write("large", size(b)); err != nil {
			return sample{}, err
		}
		if err := g.Sync(); err != nil {
			return sample{}, err
		}
		took := time.Since(start)
		cpu, err := cpuTime(g.s.PID)
		return sample{float64(size(b)) / 1e6 / took.Seconds(), map[string]float64{"ms CPU of the server": milliseconds(cpu)}}, err
	}
	return row{name: "write-back: one large file, written", unit: "MB/s", target: "≥ 0.7 of our own qcow2 export", contenders: []contender{
		{"fatkit --rw DIR", nil, func(b *bench) (sample, error) {
			dir := filepath.Join(b.dir, "share")
			if err := fresh(dir); err != nil {
				return sample{}, err
			}
			what := served{dir, filepath.Join(b.dir, "state"), []string{"--table", "none", "--size", "2G"}}
			return b.withGuest(what, func(g *guest) (sample, error) { return write(b, g) })
		}},
		{"fatkit --rw QCOW2", nil, func(b *bench) (sample, error) {
			dir, img := filepath.Join(b.dir, "empty"), filepath.Join(b.dir, "large.qcow2")
			if err := fresh(dir); err != nil {
				return sample{}, err
			}
			if _, _, err := command(b.bin, "build", "--force", "--table", "none", "--size", "2G", dir, img); err != nil {
				return sample{}, err
			}
			return b.withGuest(served{source: img}, func(g *guest) (sample, error) { return write(b, g) })
		}},
	}}
}

// idleRow serves a directory to a client that asks for nothing.
func idleRow() row {
	return row{name: "write-back: a server that rests", unit: "ms CPU in a second", target: "0", contenders: []contender{
		{"fatkit", nil, func(b *bench) (sample, error) {
			dir, err := b.tree("few files")
			if err != nil {
				return sample{}, err
			}
			what := served{dir, filepath.Join(b.dir, "state"), []string{"--table", "none"}}
			return b.withGuest(what, func(g *guest) (sample, error) {
				before, err := cpuTime(g.s.PID)
				if err != nil {
					return sample{}, err
				}
				time.Sleep(b.runtime)
				after, err := cpuTime(g.s.PID)
				return sample{milliseconds(after-before) / b.runtime.Seconds(), nil}, err
			})
		}},
	}}
}
