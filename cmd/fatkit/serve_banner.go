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
		g := e.Generation
		fmt.Fprintf(w, "%s: %s on %s, %s in %s, read-only\n",
			printable(e.Source), g.Type, diskSize(e), count(g.Files, "file", "files"), count(g.Directories, "directory", "directories"))
		for _, uri := range e.URIs {
			fmt.Fprintf(w, "  URI   %s\n", uri)
		}
		if len(e.URIs) > 0 {
			fmt.Fprintf(w, "  QEMU  %s\n", qemuCommand(e))
		}
	}
	if len(st.Listen) > 0 {
		fmt.Fprintln(w, "Stop with Ctrl-C.")
	}
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
	drive := "file=" + strings.ReplaceAll(e.URIs[0], ",", ",,") + ",format=raw,readonly=on,if="
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
