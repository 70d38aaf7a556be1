package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/server"
)

// firmware are the places where systems keep OVMF, the UEFI firmware for
// virtual machines, as one file that QEMU's -bios takes.
var firmware = []string{
	"/usr/share/ovmf/OVMF.fd",
	"/usr/share/edk2/x64/OVMF.4m.fd",
	"/usr/share/edk2/ovmf/OVMF.fd",
	"/opt/homebrew/share/qemu/edk2-x86_64-code.fd",
}

// banner tells a person what is served and how to attach it.
func banner(w io.Writer, st server.Status) {
	for _, e := range st.Exports {
		fmt.Fprintf(w, "%s: %s, %s\n", printable(e.Source), contents(e), access(e))
		for _, uri := range e.URIs {
			fmt.Fprintf(w, "  URI   %s\n", uri)
		}
		if len(e.URIs) > 0 && !strings.HasPrefix(e.URIs[0], "nbds") {
			fmt.Fprintf(w, "  QEMU  %s\n", qemuCommand(e))
		}
	}
	if len(st.Listen) > 0 {
		fmt.Fprintln(w, "Stop with Ctrl-C.")
	}
}

// contents says in a few words what a disk is.
func contents(e server.ExportStatus) string {
	g := e.Generation
	if g.Image != nil {
		return imageText(e)
	}
	return fmt.Sprintf("%s on %s, %s in %s", g.Type, diskSize(e), count(g.Files, "file", "files"), count(g.Directories, "directory", "directories"))
}

// imageText says what of an image is shown.
func imageText(e server.ExportStatus) string {
	image, size := e.Generation.Image, diskerr.FormatBytes(e.Generation.SizeBytes)
	switch {
	case image.Partition > 0:
		return fmt.Sprintf("partition %d of a %s image, %s at offset %d", image.Partition, image.Format, size, image.OffsetBytes)
	case image.OffsetBytes > 0:
		return fmt.Sprintf("%s of a %s image from offset %d on", size, image.Format, image.OffsetBytes)
	}
	return fmt.Sprintf("%s image of %s", image.Format, size)
}

// access says what clients may do.
func access(e server.ExportStatus) string {
	image := e.Generation.Image
	switch {
	case e.ReadOnly:
		return "read-only"
	case image != nil && image.CopyOnWrite:
		return "writable, changes are forgotten at the end"
	case e.Writing != nil && e.Writing.DryRun:
		return "writable, what would change in the directory is only said"
	case e.Writing == nil && image == nil:
		return "writable, changes stay in the overlay"
	case e.Writing != nil:
		return "writable, changes go to the directory"
	}
	return "writable"
}

// diskSize names the size of a disk and what kind it is.
func diskSize(e server.ExportStatus) string {
	size := diskerr.FormatBytes(e.Generation.SizeBytes)
	switch {
	case e.Generation.Floppy:
		return "a floppy disk of " + size
	case e.Generation.ESP:
		return size + " with a GPT (EFI system partition)"
	case e.Generation.Table == "none":
		return size + " without a partition table"
	default:
		return size + " with " + map[string]string{"mbr": "an MBR", "gpt": "a GPT"}[e.Generation.Table]
	}
}

// qemuCommand returns a command line that attaches the export.
func qemuCommand(e server.ExportStatus) string {
	// QEMU takes a comma within a value doubled.
	drive := "file=" + strings.ReplaceAll(e.URIs[0], ",", ",,") + ",format=raw,"
	if e.ReadOnly {
		drive += "readonly=on,"
	}
	drive += "if="
	if e.Generation.Floppy {
		return "qemu-system-x86_64 -drive " + shellQuote(drive+"floppy")
	}
	if !e.Generation.ESP {
		return "qemu-system-x86_64 -drive " + shellQuote(drive+"virtio")
	}
	return "qemu-system-x86_64 -bios " + findFirmware() + " -drive " + shellQuote(drive+"virtio")
}

// findFirmware returns a firmware of this system, or a name to replace.
func findFirmware() string {
	for _, path := range firmware {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return "OVMF.fd"
}
