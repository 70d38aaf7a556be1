package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fatkit/fatkit/internal/fileops"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/vfs"
)

const cpLong = `Copy files and, with -r, directories: from the host into an image, out of an image,
between images and within one. As with cp(1), what is copied goes into the target
if that is a directory, and otherwise gets its name; a file that exists is
replaced. The root of an image stands for what is in it.

Times and the read-only attribute are kept, and the other attributes between
images. "-" is standard input or output. Links on the host are followed; those
that lead out of a directory that is copied are errors.

` + locationLong

const cpExample = `  fatkit cp -r site disk.img:/
  fatkit cp 'disk.img:/docs/*.txt' out
  fatkit cp disk.img:/docs/hello.txt disk.qcow2:/hello.txt
  fatkit cp -i disk.img ::/docs/hello.txt -`

// copyFlags are the flags that cp and mv share.
type copyFlags struct {
	volumeFlags
	force, noReplace, ask, verbose, whole, quiet bool
}

func (f *copyFlags) register(fs *pflag.FlagSet) {
	fs.BoolVarP(&f.force, "force", "f", false, "replace also files that are read-only; never ask")
	fs.BoolVarP(&f.noReplace, "no-clobber", "n", false, "leave files alone that exist")
	fs.BoolVar(&f.ask, "interactive", false, "ask before a file is replaced")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "print what is done")
	fs.BoolVarP(&f.whole, "no-target-directory", "T", false, "the target is the name of the copy, also if it is a directory")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "draw no progress bar")
}

// options returns what the flags say.
func (f *copyFlags) options(s *session) fileops.CopyOptions {
	o := fileops.CopyOptions{Whole: f.whole, NoReplace: f.noReplace, Force: f.force, Preserve: true, Failed: s.tell}
	if f.verbose {
		o.Started = func(from, to string) {
			s.bar.finish()
			fmt.Fprintf(s.out, "%s -> %s\n", printable(from), printable(to))
		}
	}
	if f.ask && !f.force {
		in := bufio.NewReader(os.Stdin)
		o.Replace = func(name string) bool {
			s.bar.finish()
			s.flush()
			fmt.Fprintf(s.errOut, "fatkit: replace %s? ", printable(name))
			answer, _ := in.ReadString('\n') // no answer is no
			return strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y")
		}
	}
	return o
}

// cpFlags are the flags of cp.
type cpFlags struct {
	copyFlags
	recursive, archive, preserve, fresh bool
	links                               string
}

func newCp() *cobra.Command {
	f := cpFlags{links: "follow"}
	cmd := &cobra.Command{
		Use:     "cp [flags] SOURCE... TARGET",
		Short:   "copy files into, out of and between images",
		Long:    cpLong,
		Example: cpExample,
		Args:    wantArgs(2, -1, "a source and a target"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSession(cmd, &f.volumeFlags, func(s *session) error { return f.run(s, cmd.InOrStdin(), args) })
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVarP(&f.recursive, "recursive", "r", false, "copy directories with what is in them")
	fs.BoolVarP(&f.recursive, "Recursive", "R", false, "the same as -r")
	fs.Lookup("Recursive").Hidden = true
	fs.BoolVarP(&f.archive, "archive", "a", false, "the same as -r -p")
	fs.BoolVarP(&f.preserve, "preserve", "p", false, "keep times and attributes, as it is anyway")
	fs.BoolVar(&f.fresh, "no-preserve", false, "do not keep times and attributes")
	fs.Var(&choiceValue{word: &f.links, choices: []string{"follow", "skip"}}, "symlinks", "on symbolic links of the host")
	f.copyFlags.register(fs)
	f.volumeFlags.register(fs)
	cmd.ValidArgsFunction = f.completeInside
	return cmd
}

// run copies.
func (f *cpFlags) run(s *session, stdin io.Reader, args []string) error {
	if f.preserve && f.fresh {
		return usageError("--preserve and --no-preserve: give one of them")
	}
	sources, target, err := s.sourceAndTarget(args)
	if err != nil {
		return err
	}
	o := f.options(s)
	o.Recursive, o.Preserve = f.recursive || f.archive, !f.fresh
	if f.links == "skip" {
		o.Links = vfs.SkipLinks
	}
	if target.Kind == stack.Stdio {
		return f.print(s, args[:len(args)-1])
	}
	to, err := s.place(target, target.Inside())
	if err != nil {
		return err
	}
	from, err := s.sources(sources, false)
	if err != nil {
		return err
	}
	if from == nil {
		return f.fromStdin(s, to, stdin, o)
	}
	s.showProgress(&o, from, "copying", f.quiet)
	_, err = fileops.Copy(s.ctx, to, from, o)
	return err
}

// sources opens the places of sources. There are none if the only source is
// standard input.
func (s *session) sources(all []stack.Location, writable bool) ([]fileops.Place, error) {
	var places []fileops.Place
	for _, l := range all {
		if l.Kind == stack.Stdio {
			if len(all) > 1 {
				return nil, usageError("standard input cannot be one of several sources")
			}
			return nil, nil
		}
		p, err := s.place(l, writable && l.Inside())
		if err != nil {
			return nil, err
		}
		found := []fileops.Place{p}
		if l.Inside() {
			if found, err = fileops.Glob(s.ctx, p); err != nil {
				return nil, err
			}
		}
		places = append(places, found...)
	}
	return places, nil
}

// print copies to standard output.
func (f *cpFlags) print(s *session, args []string) error {
	places, err := s.expand(args, false, false)
	if err != nil {
		return err
	}
	return s.each(places, func(p fileops.Place) error { return fileops.Read(s.ctx, p, s.out) })
}

// fromStdin copies standard input.
func (f *cpFlags) fromStdin(s *session, to fileops.Place, stdin io.Reader, o fileops.CopyOptions) error {
	if f.ask && !f.force {
		return usageError("--interactive: the answers cannot come from standard input as well")
	}
	_, err := fileops.Write(s.ctx, to, stdin, o)
	return err
}

// showProgress lets a copy draw a bar if somebody sees it: then what there is
// to copy is counted before.
func (s *session) showProgress(o *fileops.CopyOptions, from []fileops.Place, what string, quiet bool) {
	s.bar = newProgressBar(s.errOut, what, quiet)
	if s.bar == nil {
		return
	}
	total := int64(0)
	for _, p := range from {
		t, err := vfs.Measure(s.ctx, p.FS, p.Path, nil)
		if err != nil {
			continue // the copy will tell
		}
		total += t.Bytes
	}
	o.Progress = func(now vfs.Tally) { s.bar.update(now.Bytes, max(total, now.Bytes)) }
}
