package interop

import (
	"math/rand/v2"
	"slices"
)

// order is how a client writes the sectors of a step: in phases, between which
// it may flush or rest.
type order struct {
	name   string
	phases func(s []sector, rnd *rand.Rand) [][]sector
}

// orders are the eleven orders of the scenarios.
var orders = []order{
	{"data FAT directory", byRegion([]region{data}, []region{boot, fat1, fat2}, []region{folder})},
	{"data directory FAT", byRegion([]region{data}, []region{folder}, []region{boot, fat1, fat2})},
	{"FAT data directory", byRegion([]region{boot, fat1, fat2}, []region{data}, []region{folder})},
	{"FAT directory data", byRegion([]region{boot, fat1, fat2}, []region{folder}, []region{data})},
	{"directory data FAT", byRegion([]region{folder}, []region{data}, []region{boot, fat1, fat2})},
	{"directory FAT data", byRegion([]region{folder}, []region{boot, fat1, fat2}, []region{data})},
	{"FAT2 first and FAT1 last", byRegion([]region{fat2}, []region{data}, []region{folder}, []region{fat1, boot})},
	{"ascending", func(s []sector, _ *rand.Rand) [][]sector { return quarters(s) }},
	{"descending", func(s []sector, _ *rand.Rand) [][]sector {
		s = slices.Clone(s)
		slices.Reverse(s)
		return quarters(s)
	}},
	{"interleaved", func(s []sector, _ *rand.Rand) [][]sector { return quarters(interleave(s)) }},
	{"random", func(s []sector, rnd *rand.Rand) [][]sector {
		s = slices.Clone(s)
		rnd.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
		return quarters(s)
	}},
}

// byRegion makes a phase of each list of regions.
func byRegion(lists ...[]region) func(s []sector, _ *rand.Rand) [][]sector {
	return func(s []sector, _ *rand.Rand) [][]sector {
		var out [][]sector
		for _, l := range lists {
			var phase []sector
			for _, x := range s {
				if slices.Contains(l, x.region) {
					phase = append(phase, x)
				}
			}
			if len(phase) > 0 {
				out = append(out, phase)
			}
		}
		return out
	}
}

// quarters cuts s into four phases, or fewer.
func quarters(s []sector) [][]sector {
	return slices.Collect(slices.Chunk(s, max(1, (len(s)+3)/4)))
}

// interleave takes one sector of each region in turn.
func interleave(s []sector) []sector {
	var queues [data + 1][]sector
	for _, x := range s {
		queues[x.region] = append(queues[x.region], x)
	}
	var out []sector
	for len(out) < len(s) {
		for i, q := range queues {
			if len(q) > 0 {
				out, queues[i] = append(out, q[0]), q[1:]
			}
		}
	}
	return out
}
