package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/fatkit/fatkit/internal/server"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/stack/live"
)

// shareFlags are the flags of serve that each export has for itself.
type shareFlags struct {
	description string
	imageFlags
	directoryFlags
}

// directoryFlags are those of them that are about directories.
type directoryFlags struct {
	refresh    string
	refreshOn  string
	consistent bool
	writeFlags
	diskFlags
}

func newShareFlags() shareFlags {
	return shareFlags{directoryFlags: directoryFlags{diskFlags: *newDiskFlags(), writeFlags: newWriteFlags(), refresh: "disconnect"}}
}

func (f *shareFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.description, "description", f.description, "`TEXT` about the disk for clients that list it")
	fs.BoolVar(&f.rw, "rw", f.rw, "let clients write to an image or a directory")
	f.imageFlags.register(fs)
	f.directoryFlags.register(fs)
}

func (f *directoryFlags) register(fs *pflag.FlagSet) {
	fs.Var(&choiceValue{word: &f.refresh, choices: []string{"never", "disconnect"}}, "refresh", "when to show the directory anew by itself")
	fs.Var(&choiceValue{word: &f.refreshOn, choices: []string{"boot-read"}}, "refresh-on", "show the directory anew also when a guest that was reset reads the first sector")
	fs.BoolVar(&f.consistent, "consistent", f.consistent, "check files after each read too, at the price of a copy")
	f.writeFlags.register(fs)
	f.diskFlags.register(fs)
}

// exportOptions turns the sources and the values of --export into exports. fs
// are the flags of the command.
func (f *serveFlags) exportOptions(fs *pflag.FlagSet, sources []string) ([]server.ExportOptions, error) {
	var out []server.ExportOptions
	for _, name := range sources {
		e, err := f.share.export(f.exportName, name)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	for _, spec := range f.exports {
		e, err := f.share.parseExport(spec)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	if err := checkUseful(fs, out); err != nil {
		return nil, err
	}
	return nameExports(out)
}

// checkUseful refuses flags of the command that are about no source.
func checkUseful(fs *pflag.FlagSet, exports []server.ExportOptions) error {
	kinds, writing := map[stack.Kind]bool{}, false
	for _, e := range exports {
		kinds[kindOf(e.Source)] = true
		writing = writing || takesWrites(e.Source)
	}
	if flag := needsRW(fs); flag != "" && !writing {
		return usageError("%s is about directories that take writes: add --rw", flag)
	}
	if len(kinds) > 1 {
		return nil
	}
	if kinds[stack.KindDirectory] {
		if flag := misplaced(fs, stack.KindDirectory); flag != "" {
			return usageError("%s is about images, and every source is a directory", flag)
		}
		return nil
	}
	if flag := misplaced(fs, stack.KindImage); flag != "" {
		return usageError("%s is about directories, and every source is an image", flag)
	}
	return nil
}

func kindOf(s stack.Source) stack.Kind {
	if _, ok := s.(*stack.Image); ok {
		return stack.KindImage
	}
	return stack.KindDirectory
}

// export returns the export of a source under a name, which may be empty.
func (f *shareFlags) export(name, source string) (server.ExportOptions, error) {
	e := server.ExportOptions{Name: name, Description: f.description}
	kind, err := stack.KindOf(source)
	if err != nil {
		return e, err
	}
	if kind == stack.KindImage {
		e.Source, err = f.image(source)
		return e, err
	}
	dir, err := f.source(source)
	if err != nil {
		return e, err
	}
	dir.Disk.Consistent = f.consistent
	e.Refresh = server.RefreshPolicy{OnDisconnect: f.refresh == "disconnect", OnBootRead: f.refreshOn == "boot-read"}
	if e.Description == "" {
		e.Description = "FAT disk of " + dir.BaseName()
	}
	if !f.rw && !stack.WantsWrites(source) {
		e.Source = dir
		return e, nil
	}
	if e.Refresh.OnBootRead {
		return e, usageError("--refresh-on boot-read: a guest that writes must leave the disk in order before it is shown anew: leave it out, or --rw")
	}
	if f.overlay != "" {
		e.Source = live.NewKept(dir, f.overlay)
		return e, nil
	}
	o, err := f.writeFlags.options(!e.Refresh.OnDisconnect)
	e.Source = live.New(dir, o)
	return e, err
}

// takesWrites reports whether a source is a directory that clients write to.
func takesWrites(s stack.Source) bool {
	switch s.(type) {
	case *live.Directory, *live.Kept:
		return true
	}
	return false
}

// image returns the image that name means, with these flags applied.
func (f *shareFlags) image(name string) (*stack.Image, error) {
	sector, err := smallSize("--sector", f.sector)
	if err != nil {
		return nil, err
	}
	if f.partition == 0 {
		sector = 0 // it is about the directories beside the image
	}
	o, err := f.imageFlags.options(sector)
	if err != nil {
		return nil, err
	}
	return stack.NewImage(name, o)
}

// parseExport reads a value of --export. Flags that it does not name are f's.
func (f *shareFlags) parseExport(spec string) (server.ExportOptions, error) {
	none := server.ExportOptions{}
	var name, source string
	var maxConns int
	mine := *f
	fs := pflag.NewFlagSet("export", pflag.ContinueOnError)
	mine.register(fs)
	fs.StringVar(&name, "name", "", "")
	fs.StringVar(&source, "source", "", "")
	fs.IntVar(&maxConns, "max-connections", 0, "")
	if err := setFlags(fs, spec); err != nil {
		return none, err
	}
	switch {
	case source == "":
		return none, usageError("--export %s: names no source: add source=DIR or source=IMAGE", spec)
	case maxConns < 0:
		return none, usageError("--export %s: max-connections is negative", spec)
	}
	e, err := mine.export(name, source)
	if err != nil {
		return none, fmt.Errorf("--export %s: %w", spec, err)
	}
	if flag := misplaced(fs, kindOf(e.Source)); flag != "" {
		return none, usageError("--export %s: %s is not about a source of this kind", spec, strings.TrimLeft(flag, "-"))
	}
	if flag := needsRW(fs); flag != "" && !takesWrites(e.Source) {
		return none, usageError("--export %s: %s is about directories that take writes: add rw", spec, strings.TrimLeft(flag, "-"))
	}
	e.MaxConns = maxConns
	return e, nil
}

// setFlags sets the flags that a value of --export names.
func setFlags(fs *pflag.FlagSet, spec string) error {
	for _, word := range splitCommas(spec) {
		key, value, hasValue := strings.Cut(word, "=")
		flag := fs.Lookup(key)
		if flag == nil {
			return usageError("--export %s: there is no %q: write name=N,source=S and flags of serve without dashes", spec, key)
		}
		if !hasValue {
			if value = flag.NoOptDefVal; value == "" {
				return usageError("--export %s: %q needs a value", spec, key)
			}
		}
		if err := fs.Set(key, value); err != nil {
			return usageError("--export %s: %v", spec, err)
		}
	}
	return nil
}

// splitCommas splits at commas; a doubled one stands for itself.
func splitCommas(s string) []string {
	const comma = "\x00" // cannot occur in an argument
	words := strings.Split(strings.ReplaceAll(s, ",,", comma), ",")
	for i, w := range words {
		words[i] = strings.ReplaceAll(w, comma, ",")
	}
	return words
}

// nameExports gives every export a name, and the first one the default name.
//
// A single export is called as --export-name says, by default nothing, and
// answers to the name of its directory or image too. Several go by their names.
func nameExports(exports []server.ExportOptions) ([]server.ExportOptions, error) {
	if len(exports) == 1 {
		e := &exports[0]
		for _, alias := range []string{"", e.Source.BaseName()} {
			if alias != e.Name {
				e.Aliases = append(e.Aliases, alias)
			}
		}
		return exports, nil
	}
	taken := map[string]stack.Source{}
	for i := range exports {
		e := &exports[i]
		if e.Name == "" {
			e.Name = e.Source.BaseName()
		}
		if other := taken[e.Name]; other != nil {
			return nil, usageError("%s and %s would both be exported as %q: use --export name=N,source=S", other.Path(), e.Source.Path(), e.Name)
		}
		taken[e.Name] = e.Source
	}
	if taken[""] == nil {
		exports[0].Aliases = []string{""}
	}
	return exports, nil
}
