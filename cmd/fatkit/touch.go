package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/internal/fileops"
	"github.com/fatkit/fatkit/vfs"
)

const touchLong = `Set the times of files inside an image to now, or to another time, and make files
that do not exist. FAT keeps the time of the last change in steps of two seconds and
of the last access the day alone, from 1980 to 2107.

` + locationLong

const touchExample = `  fatkit touch disk.img:/new.txt
  fatkit touch -d '2001-02-03 04:05:06' 'disk.img:/docs/*'`

// touchFlags are the flags of touch.
type touchFlags struct {
	volumeFlags
	noCreate, access, modify, created bool
	stamp, date, reference            string
}

func newTouch() *cobra.Command {
	f := touchFlags{}
	cmd := &cobra.Command{
		Use:     "touch [flags] IMAGE:/PATH...",
		Short:   "set the times of files inside an image",
		Long:    touchLong,
		Example: touchExample,
		Args:    wantArgs(1, -1, "one IMAGE:/PATH at least"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSession(cmd, &f.volumeFlags, func(s *session) error { return f.run(s, args) })
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVarP(&f.noCreate, "no-create", "c", false, "make no files")
	fs.BoolVarP(&f.access, "access", "a", false, "set the time of the last access alone")
	fs.BoolVarP(&f.modify, "modify", "m", false, "set the time of the last change alone")
	fs.BoolVar(&f.created, "created", false, "set the time of creation as well")
	fs.StringVarP(&f.stamp, "stamp", "t", "", "take the time `[[CC]YY]MMDDhhmm[.ss]` instead of now")
	fs.StringVarP(&f.date, "date", "d", "", "take the time `TIME` instead of now: 2006-01-02, '2006-01-02 15:04:05', 2006-01-02T15:04:05Z, or @ and seconds since 1970")
	fs.StringVarP(&f.reference, "reference", "r", "", "take the times of `FILE`, on the host or inside an image, instead of now")
	f.register(fs)
	cmd.ValidArgsFunction = f.completeInside
	return cmd
}

// run touches.
func (f *touchFlags) run(s *session, args []string) error {
	places, err := s.expand(args, true, false)
	if err != nil {
		return err
	}
	times, err := f.times(s)
	if err != nil {
		return err
	}
	return s.each(places, func(p fileops.Place) error {
		err := vfs.Chtimes(p.FS, p.Path, times)
		if !errors.Is(err, fs.ErrNotExist) || p.DirOnly {
			return p.Wrap(err)
		}
		if f.noCreate {
			return nil
		}
		file, err := p.FS.OpenFile(p.Path, os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			return p.Wrap(err)
		}
		return p.Wrap(errors.Join(file.Close(), vfs.Chtimes(p.FS, p.Path, times)))
	})
}

// times works out the new times.
func (f *touchFlags) times(s *session) (vfs.Times, error) {
	given := 0
	for _, v := range []string{f.stamp, f.date, f.reference} {
		if v != "" {
			given++
		}
	}
	if given > 1 {
		return vfs.Times{}, usageError("-t, -d and -r each say a time: give one of them")
	}
	t, err := f.moment(s)
	if err != nil {
		return t, err
	}
	if f.access && !f.modify {
		t.Modified = time.Time{}
	}
	if f.modify && !f.access {
		t.Accessed = time.Time{}
	}
	if !f.created {
		t.Created = time.Time{}
	}
	return t, checkTimes(t, f.zone)
}

// checkTimes refuses times that FAT cannot hold.
func checkTimes(t vfs.Times, zone *time.Location) error {
	for _, stamp := range []time.Time{t.Modified, t.Accessed, t.Created} {
		if year := stamp.In(zone).Year(); !stamp.IsZero() && (year < 1980 || year > 2107) {
			return usageError("%s: FAT holds the years 1980 to 2107", stamp.In(zone).Format(time.DateTime))
		}
	}
	return nil
}

// moment returns the times that were asked for.
func (f *touchFlags) moment(s *session) (vfs.Times, error) {
	all := func(t time.Time) vfs.Times { return vfs.Times{Modified: t, Accessed: t, Created: t} }
	now, err := clock()
	if err != nil {
		return vfs.Times{}, err
	}
	switch {
	case f.stamp != "":
		t, err := parseStamp(f.stamp, now(), f.zone)
		return all(t), err
	case f.date != "":
		t, err := parseDate(f.date, f.zone)
		return all(t), err
	case f.reference == "":
		return all(now()), nil
	}
	l, err := s.parse(f.reference)
	if err != nil {
		return vfs.Times{}, err
	}
	p, err := s.place(l, false)
	if err != nil {
		return vfs.Times{}, err
	}
	fi, err := p.Stat()
	if err != nil {
		return vfs.Times{}, err
	}
	t := vfs.TimesOf(fi)
	if t.Accessed.IsZero() {
		t.Accessed = t.Modified
	}
	if t.Created.IsZero() {
		t.Created = t.Modified
	}
	return t, nil
}

// parseDate reads a time for people and programs.
func parseDate(s string, zone *time.Location) (time.Time, error) {
	if seconds, ok := strings.CutPrefix(s, "@"); ok {
		if n, err := strconv.ParseInt(seconds, 10, 64); err == nil {
			return time.Unix(n, 0), nil
		}
	}
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04", time.DateOnly, "2006-01-02T15:04:05", time.RFC3339, time.RFC1123Z} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usageError("--date: %q is not a time: write 2006-01-02, '2006-01-02 15:04:05', 2006-01-02T15:04:05Z or @SECONDS", s)
}

// parseStamp reads [[CC]YY]MMDDhhmm[.ss], as POSIX has it for touch -t.
func parseStamp(s string, now time.Time, zone *time.Location) (time.Time, error) {
	digits, seconds, hasSeconds := strings.Cut(s, ".")
	if !hasSeconds {
		seconds = "00"
	}
	switch len(digits) {
	case len("MMDDhhmm"):
		digits = fmt.Sprintf("%04d", now.In(zone).Year()) + digits
	case len("YYMMDDhhmm"): // 69 to 99 are of the last century
		century := "20"
		if digits[0] >= '7' || strings.HasPrefix(digits, "69") {
			century = "19"
		}
		digits = century + digits
	}
	if t, err := time.ParseInLocation("20060102150405", digits+seconds, zone); err == nil {
		return t, nil
	}
	return time.Time{}, usageError("--stamp: %q is not [[CC]YY]MMDDhhmm[.ss]", s)
}
