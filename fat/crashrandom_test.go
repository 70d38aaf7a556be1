package fat_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/fatkit/fatkit/fat"
)

// TestRandomPowerCuts cuts random runs at random events.
func TestRandomPowerCuts(t *testing.T) {
	runs, cuts := 30, 12
	if os.Getenv("FATKIT_LONG") != "" {
		runs, cuts = 1000, 40
	}
	for run := range runs {
		rnd := rand.New(rand.NewPCG(uint64(run), 7))
		k := []struct {
			size int64
			o    fat.FormatOptions
		}{
			{256 << 10, fat.FormatOptions{Type: 12, ClusterBytes: 512, RootEntries: 128}},
			{5 << 20, fat.FormatOptions{Type: 16, ClusterBytes: 1024}},
			{35 << 20, fat.FormatOptions{Type: 32, ClusterBytes: 512}},
		}[run%3]
		s := recorded(t, k.size, k.o, func(s *script) { randomScript(s, rnd) })
		dev := s.dev
		for range cuts {
			event, seed := rnd.IntN(dev.Events()+1), rnd.Uint64N(50)
			checkCut(t, s, event, seed)
			if t.Failed() {
				t.Fatalf("run %d, cut %d of %d, seed %d: %s", run, event, dev.Events(), seed, dev.Describe(min(event, dev.Events()-1)))
			}
		}
	}
}

// randomScript does what it likes in three directories.
func randomScript(s *script, rnd *rand.Rand) {
	dirs := []string{"", "one/", "two/"}
	s.mkdir("one")
	s.mkdir("two")
	name := func() string {
		n := fmt.Sprintf("%s%s%d", dirs[rnd.IntN(3)], []string{"F", "a longer name than fits ", "m"}[rnd.IntN(3)], rnd.IntN(12))
		return n
	}
	existing := func() string {
		names := sorted(s.now)
		if len(names) == 0 {
			return ""
		}
		return names[rnd.IntN(len(names))]
	}
	for i := range 60 {
		switch f := existing(); rnd.IntN(9) {
		case 0, 1, 2:
			s.write(name(), text(fmt.Sprint("w", i), rnd.IntN(6000)))
		case 3:
			if f != "" {
				s.append(f, text(fmt.Sprint("a", i), rnd.IntN(3000)))
			}
		case 4:
			if f != "" && len(s.now[f]) > 0 {
				s.truncate(f, rnd.IntN(len(s.now[f])))
			}
		case 5:
			if f != "" {
				s.remove(f)
			}
		case 6, 7:
			if to := name(); f != "" && f != to {
				s.rename(f, to)
			}
		case 8:
			s.sync()
		}
	}
}
