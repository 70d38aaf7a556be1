package shell

import (
	"fmt"
	"strings"

	"github.com/fatkit/fatkit/diskerr"
)

var chkdskCommand = &command{
	name: "chkdsk", aliases: []string{"fsck"},
	usage: "[DRIVE] [/f]", brief: "check a volume",
	help:     "/f  repair what is found. No file of the volume may be open.",
	switches: "f", unix: "a=f y=f", max: 1,
	run: func(c *call) error {
		point, err := c.point()
		if err != nil {
			return err
		}
		left, all := 0, 0
		var failed error
		err = c.ns.Check(c.ctx, point, c.has("f"), func(f diskerr.Finding) {
			what := ""
			if f.Repaired {
				what = " (repaired)"
			}
			if f.Severity != diskerr.Info {
				all++
				if !f.Repaired {
					left++
				}
			}
			if err := c.printf("%s: %s%s\n", f.Severity, show(f.Message), what); failed == nil {
				failed = err
			}
		})
		switch {
		case err != nil:
			return err
		case failed != nil:
			return failed
		case all == 0:
			return c.printf("%s no errors\n", colon(point))
		case left == 0:
			return c.printf("%s %s repaired\n", colon(point), plural(int64(all), "error", "errors"))
		case !c.has("f"):
			err = c.printf("%s %s: chkdsk %s /f repairs what can be repaired\n", colon(point), plural(int64(left), "error", "errors"), point)
		default:
			err = c.printf("%s %s left\n", colon(point), plural(int64(left), "error is", "errors are"))
		}
		if err == nil {
			err = errNegative
		}
		return err
	},
}

// point returns the drive that the operand, or the current directory, is on.
func (c *call) point() (string, error) {
	at, err := c.ns.Locate(c.drive())
	if err != nil {
		return "", err
	}
	best := ""
	for _, m := range c.ns.Mounts() {
		if inside(m.Point, at.String()) && len(m.Point) > len(best) {
			best = m.Point
		}
	}
	if best == "" {
		return "", fmt.Errorf("%s: is on no volume", c.drive())
	}
	return best, nil
}

// colon ends a place with a colon, as a letter does already.
func colon(point string) string {
	if strings.HasSuffix(point, ":") {
		return point
	}
	return point + ":"
}
