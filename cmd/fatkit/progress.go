package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/fatkit/fatkit/diskerr"
)

// Appearance of the progress bar.
const (
	barWidth    = 32                     // characters
	barInterval = 100 * time.Millisecond // between two drawings
)

// progressBar draws one line about a long copy, over and over. A nil bar draws
// nothing. It may be used concurrently.
type progressBar struct {
	mu    sync.Mutex
	out   io.Writer
	what  string
	start time.Time
	last  time.Time
	drawn int // characters of the line that stands there
}

// newProgressBar returns a bar on out, or nil if out is no terminal or quiet
// is set.
func newProgressBar(out io.Writer, what string, quiet bool) *progressBar {
	if quiet || !isTerminal(out) {
		return nil
	}
	return &progressBar{out: out, what: what, start: time.Now()}
}

// update shows that done of total bytes are copied.
func (b *progressBar) update(done, total int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if done < total && now.Sub(b.last) < barInterval {
		return
	}
	b.last = now
	b.draw(barLine(b.what, done, total, now.Sub(b.start)))
}

// updateSteps shows that done of total steps are done.
func (b *progressBar) updateSteps(done, total int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	full := done * barWidth / max(1, total)
	b.draw(fmt.Sprintf("%s [%s%s] step %d of %d", b.what, strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), min(done+1, total), total))
}

// finish takes the line away.
func (b *progressBar) finish() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.draw("")
	io.WriteString(b.out, "\r")
}

// draw replaces the line. The caller holds mu.
func (b *progressBar) draw(line string) {
	pad := max(0, b.drawn-len(line))
	fmt.Fprintf(b.out, "\r%s%s", line, strings.Repeat(" ", pad))
	b.drawn = len(line)
}

// barLine renders the line: what, a bar, a share, amounts, speed and the time
// that is left.
func barLine(what string, done, total int64, elapsed time.Duration) string {
	share := 1.0
	if total > 0 {
		share = float64(done) / float64(total)
	}
	full := int(share * barWidth)
	line := fmt.Sprintf("%s [%s%s] %3d%%  %s of %s", what,
		strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), int(share*100),
		diskerr.FormatBytes(done), diskerr.FormatBytes(total))
	if seconds := elapsed.Seconds(); seconds > 0.5 && done > 0 {
		speed := float64(done) / seconds
		left := time.Duration(float64(total-done) / speed * float64(time.Second)).Round(time.Second)
		line += fmt.Sprintf("  %s/s  %s left", diskerr.FormatBytes(int64(speed)), left)
	}
	return line
}
