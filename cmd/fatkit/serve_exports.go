package main

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/fatkit/fatkit/internal/server"
	"github.com/fatkit/fatkit/stack"
)

// shareFlags are the flags of serve that each export has for itself.
type shareFlags struct {
	diskFlags
	refresh    string
	refreshOn  string
	consistent bool
}

func newShareFlags() shareFlags {
	return shareFlags{diskFlags: *newDiskFlags(), refresh: "disconnect"}
}

func (f *shareFlags) register(fs *pflag.FlagSet) {
	fs.Var(&choiceValue{word: &f.refresh, choices: []string{"never", "disconnect"}}, "refresh", "when to show the directory anew by itself")
	fs.Var(&choiceValue{word: &f.refreshOn, choices: []string{"boot-read"}}, "refresh-on", "show the directory anew also when a guest that was reset reads the first sector")
	fs.BoolVar(&f.consistent, "consistent", f.consistent, "check files after each read too, at the price of a copy")
	f.diskFlags.register(fs)
}

// exportOptions turns the sources and the values of --export into exports.
func (f *serveFlags) exportOptions(sources []string) ([]server.ExportOptions, error) {
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
	return nameExports(out)
}

// export returns the export of a source under a name, which may be empty.
func (f *shareFlags) export(name, source string) (server.ExportOptions, error) {
	dir, err := f.source(source)
	if err != nil {
		return server.ExportOptions{}, err
	}
	dir.Disk.Consistent = f.consistent
	return server.ExportOptions{
		Name: name, Source: dir, Description: "FAT disk of " + dir.BaseName(),
		Refresh: server.RefreshPolicy{OnDisconnect: f.refresh == "disconnect", OnBootRead: f.refreshOn == "boot-read"},
	}, nil
}

// parseExport reads a value of --export. Flags that it does not name are f's.
func (f *shareFlags) parseExport(spec string) (server.ExportOptions, error) {
	var name, source string
	mine := *f
	fs := pflag.NewFlagSet("export", pflag.ContinueOnError)
	mine.register(fs)
	fs.StringVar(&name, "name", "", "")
	fs.StringVar(&source, "source", "", "")
	for _, word := range splitCommas(spec) {
		key, value, hasValue := strings.Cut(word, "=")
		flag := fs.Lookup(key)
		if flag == nil {
			return server.ExportOptions{}, usageError("--export %s: there is no %q: write name=N,source=S and flags of serve without dashes", spec, key)
		}
		if !hasValue {
			if value = flag.NoOptDefVal; value == "" {
				return server.ExportOptions{}, usageError("--export %s: %q needs a value", spec, key)
			}
		}
		if err := fs.Set(key, value); err != nil {
			return server.ExportOptions{}, usageError("--export %s: %v", spec, err)
		}
	}
	if source == "" {
		return server.ExportOptions{}, usageError("--export %s: names no source: add source=DIR", spec)
	}
	return mine.export(name, source)
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
// answers to the name of its directory too. Several go by their names or
// directories.
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
