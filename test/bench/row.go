package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/fatkit/fatkit/test/tools"
)

// sample is what one turn of one contender gives: the value that the row
// compares, and side values to print beside it.
type sample struct {
	value float64
	side  map[string]float64 // by unit, such as "µs CPU/request"
}

// contender is fatkit or a peer.
type contender struct {
	name  string
	needs []string // programs
	run   func(b *bench) (sample, error)
}

// row is a line of the table: fatkit first, then its peers.
type row struct {
	name       string
	unit       string
	target     string
	contenders []contender
}

// outcome is the median of a contender's turns.
type outcome struct {
	Name    string             `json:"name"`
	Median  float64            `json:"median"`
	Samples []float64          `json:"samples"`
	Side    map[string]float64 `json:"side,omitempty"`
	Ratio   float64            `json:"ratio,omitempty"` // fatkit's median by this peer's
}

// result is a row that was run.
type result struct {
	Row      string    `json:"row"`
	Unit     string    `json:"unit"`
	Target   string    `json:"target"`
	Outcomes []outcome `json:"outcomes"`
}

// runRows runs the rows one after the other and prints each when it is done.
// A row that fails is printed as such; the others go on.
func (b *bench) runRows(rows []row) ([]result, error) {
	var results []result
	failed := 0
	for _, r := range rows {
		if b.interrupted() {
			return results, fmt.Errorf("interrupted")
		}
		res, err := b.runRow(r)
		if err != nil {
			failed++
			fmt.Printf("%s\n    FAILED: %v\n\n", r.name, err)
			continue
		}
		res.print(os.Stdout.WriteString)
		results = append(results, res)
	}
	if failed > 0 {
		return results, fmt.Errorf("%d of %d rows failed", failed, len(rows))
	}
	return results, nil
}

// runRow lets the contenders take turns. The first turn of each only warms the
// page cache; the short form does without.
func (b *bench) runRow(r row) (result, error) {
	var here []contender
	for _, c := range r.contenders {
		if missing := missingPrograms(c.needs); len(missing) > 0 {
			fmt.Printf("%s: without %s, which is not installed\n", r.name, strings.Join(missing, ", "))
			continue
		}
		here = append(here, c)
	}
	samples := make([][]sample, len(here))
	first := 1
	if b.short {
		first = 0
	}
	for turn := range first + b.turns {
		for i, c := range here {
			s, err := c.run(b)
			if err != nil {
				return result{}, fmt.Errorf("%s: %w", c.name, err)
			}
			if turn >= first {
				samples[i] = append(samples[i], s)
			}
		}
	}
	res := result{Row: r.name, Unit: r.unit, Target: r.target}
	for i, c := range here {
		o := summarize(c.name, samples[i])
		if i > 0 && o.Median != 0 {
			o.Ratio = res.Outcomes[0].Median / o.Median
		}
		res.Outcomes = append(res.Outcomes, o)
	}
	return res, nil
}

func missingPrograms(names []string) (missing []string) {
	for _, n := range names {
		if tools.Lookup(n) == "" {
			missing = append(missing, n)
		}
	}
	return missing
}

// summarize takes the medians of a contender's turns.
func summarize(name string, samples []sample) outcome {
	o := outcome{Name: name, Side: map[string]float64{}}
	side := map[string][]float64{}
	for _, s := range samples {
		o.Samples = append(o.Samples, s.value)
		for unit, v := range s.side {
			side[unit] = append(side[unit], v)
		}
	}
	o.Median = median(o.Samples)
	for unit, v := range side {
		o.Side[unit] = median(v)
	}
	return o
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Clone(v)
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// print writes the row: each contender's median, spread, ratio and side values.
func (r result) print(write func(string) (int, error)) {
	var s strings.Builder
	fmt.Fprintf(&s, "%s   (target: %s)\n", r.Row, r.Target)
	for _, o := range r.Outcomes {
		fmt.Fprintf(&s, "    %-22s %10.4g %s", o.Name, o.Median, r.Unit)
		fmt.Fprintf(&s, "  [%.4g … %.4g]", slices.Min(o.Samples), slices.Max(o.Samples))
		if o.Ratio != 0 {
			fmt.Fprintf(&s, "  fatkit is %.2f of it", o.Ratio)
		}
		units := make([]string, 0, len(o.Side))
		for unit := range o.Side {
			units = append(units, unit)
		}
		slices.Sort(units)
		for _, unit := range units {
			fmt.Fprintf(&s, "  %.4g %s", o.Side[unit], unit)
			if own, ok := r.Outcomes[0].Side[unit]; ok && o.Ratio != 0 && o.Side[unit] != 0 {
				fmt.Fprintf(&s, " (%.2f)", own/o.Side[unit])
			}
		}
		s.WriteByte('\n')
	}
	s.WriteByte('\n')
	_, _ = write(s.String()) // nowhere to report that standard output is gone
}
