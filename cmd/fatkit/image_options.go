package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
	"github.com/fatkit/fatkit/qcow2"
	"github.com/fatkit/fatkit/stack"
)

// creation is what -o and the flags beside it say about a new image. The names
// of options are qemu-img's.
type creation struct {
	qcow2.CreateOptions
	prealloc  qcow2.Preallocation
	sizeBytes int64 // -1 if none was given
	given     []string
}

// creationOptions are the options by name. Those that only qcow2 has come with
// a note.
var creationOptions = map[string]struct {
	qcow2Only bool
	set       func(c *creation, value string) error
}{
	"size":             {false, func(c *creation, v string) (err error) { c.sizeBytes, err = parseSize(v); return }},
	"preallocation":    {false, func(c *creation, v string) (err error) { c.prealloc, err = qcow2.ParsePreallocation(v); return }},
	"cluster_size":     {true, func(c *creation, v string) (err error) { c.ClusterBytes, err = parseSize(v); return }},
	"refcount_bits":    {true, func(c *creation, v string) (err error) { c.RefcountBits, err = strconv.Atoi(v); return }},
	"lazy_refcounts":   {true, func(c *creation, v string) (err error) { c.LazyRefcounts, err = parseSwitch(v); return }},
	"extended_l2":      {true, func(c *creation, v string) (err error) { c.ExtendedL2, err = parseSwitch(v); return }},
	"compat":           {true, setCompat},
	"compression_type": {true, setCompression},
	"backing_file":     {true, func(c *creation, v string) error { c.BackingName = v; return nil }},
	"backing_fmt":      {true, func(c *creation, v string) error { c.BackingFormat = v; return nil }},
}

// optionsOfOthers are options that qemu-img has and that do not exist here.
var optionsOfOthers = map[string]string{
	"encryption":         noEncryption,
	"encrypt.format":     noEncryption,
	"encrypt.key-secret": noEncryption,
	"encrypt.cipher-alg": noEncryption, "encrypt.cipher-mode": noEncryption,
	"encrypt.ivgen-alg": noEncryption, "encrypt.ivgen-hash-alg": noEncryption,
	"encrypt.hash-alg": noEncryption, "encrypt.iter-time": noEncryption,
	"data_file": noDataFile, "data_file_raw": noDataFile,
	"nocow":            "is about the host's file system: use chattr +C on the folder",
	"extent_size_hint": "is about the host's file system, and left to it",
}

const (
	noEncryption = "images are not encrypted here: put an encrypted file system or device below them"
	noDataFile   = "the data of an image is always in its own file"
)

// parseCreation reads the values of all -o flags, each of which is a list
// name=value,name=value.
func parseCreation(lists []string) (*creation, error) {
	c := &creation{sizeBytes: -1}
	for _, list := range lists {
		for _, item := range splitOptions(list) {
			name, value, ok := strings.Cut(item, "=")
			option, known := creationOptions[name]
			if why, other := optionsOfOthers[name]; other {
				return nil, usageError("-o %s: %s", name, why)
			}
			if !known {
				return nil, usageError("-o %s: there is no option %q", list, name)
			}
			if !ok {
				return nil, usageError("-o %s: write %s=VALUE", list, name)
			}
			if err := option.set(c, value); err != nil {
				return nil, usageError("-o %s: %w", item, err)
			}
			c.given = append(c.given, name)
		}
	}
	return c, nil
}

// setBacking takes over what flags say about the backing file, if they do.
func (c *creation) setBacking(name, format string) {
	if name != "" {
		c.BackingName = name
		c.given = append(c.given, "backing_file")
	}
	if format != "" {
		c.BackingFormat = format
	}
}

// checkBacking refuses what is said about the backing file if it is not enough.
func (c *creation) checkBacking() error {
	switch {
	case c.BackingName == "" && c.BackingFormat != "":
		return usageError("-F says what format the backing file has: name the file as well")
	case c.BackingName != "" && c.BackingFormat == "":
		return usageError("%s: say which format the backing file has with -F", c.BackingName)
	case c.BackingFormat != "" && c.BackingFormat != stack.FormatRaw && c.BackingFormat != stack.FormatQcow2:
		return usageError("-F %s: a backing file is raw or qcow2", c.BackingFormat)
	}
	return nil
}

// splitOptions cuts at commas. Two commas stand for one that belongs to a
// value, as in QEMU.
func splitOptions(list string) []string {
	const comma = "\x00" // no argument of a program holds it
	parts := strings.Split(strings.ReplaceAll(list, ",,", comma), ",")
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], comma, ",")
	}
	return parts
}

// check refuses options that the format does not have.
func (c *creation) check(format string) error {
	if format == stack.FormatQcow2 {
		return nil
	}
	for _, name := range c.given {
		if creationOptions[name].qcow2Only {
			return usageError("-o %s: a raw image has no such option; is -f or -O qcow2 meant?", name)
		}
	}
	if c.prealloc == qcow2.PreallocateMetadata {
		return usageError("-o preallocation: a raw image takes off, falloc or full")
	}
	return nil
}

func parseSwitch(s string) (bool, error) {
	switch s {
	case "on":
		return true, nil
	case "off":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither on nor off", s)
}

func setCompat(c *creation, v string) error {
	switch v {
	case "0.10", "v2":
		c.Version = 2
	case "1.1", "v3":
		c.Version = 3
	default:
		return fmt.Errorf("%q is neither 0.10 nor 1.1", v)
	}
	return nil
}

func setCompression(c *creation, v string) error {
	for _, t := range []qcow2fmt.Compression{qcow2fmt.CompressionDeflate, qcow2fmt.CompressionZstd} {
		if t.String() == v {
			c.Compression = t
			return nil
		}
	}
	return fmt.Errorf("%q is neither zlib nor zstd", v)
}

// formatForNew returns the format of a new image: what was said, else what its
// name says.
func formatForNew(name, format string) (string, error) {
	if format == "" {
		format = stack.FormatByName(name)
	}
	if format != stack.FormatRaw && format != stack.FormatQcow2 {
		return "", usageError("%s: images of the format %s cannot be written: say which one with -f raw or -f qcow2", name, format)
	}
	return format, nil
}
