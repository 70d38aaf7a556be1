package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

const labelLong = `Print the label of the volume in an image, or set it: up to eleven characters, kept in
upper case. --clear takes it away, --serial sets the serial number.`

// labelJSON is what label tells programs.
type labelJSON struct {
	Image  string `json:"image"`
	Label  string `json:"label"`
	Serial string `json:"serial"` // eight hexadecimal digits
}

// labelFlags are the flags of label.
type labelFlags struct {
	volumeFlags
	clear, json bool
	serial      *uint32
}

func newLabel() *cobra.Command {
	f := labelFlags{}
	cmd := &cobra.Command{
		Use:     "label [flags] IMAGE [LABEL]",
		Short:   "print or set the label of the volume in an image",
		Long:    labelLong,
		Example: "  fatkit label disk.img\n  fatkit label disk.img 'MY DISK'\n  fatkit label --clear --serial 1234-ABCD disk.img",
		Args:    wantArgs(1, 2, "one image and perhaps a label"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSession(cmd, &f.volumeFlags, func(s *session) error { return f.run(s, args) })
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVarP(&f.clear, "clear", "c", false, "take the label away")
	fs.Var(&hexValue{&f.serial}, "serial", "set the serial number")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	f.registerDisk(fs)
	return cmd
}

// run changes what is to be changed, and prints the label otherwise.
func (f *labelFlags) run(s *session, args []string) error {
	l, err := s.parseInside(args[0], true)
	if err != nil {
		return err
	}
	sets := len(args) == 2 || f.clear
	if len(args) == 2 && f.clear {
		return usageError("--clear takes the label away: what is %q?", args[1])
	}
	v, err := s.volume(l, sets || f.serial != nil)
	if err != nil {
		return err
	}
	if sets {
		label := ""
		if !f.clear {
			label = args[1]
		}
		if err := v.SetLabel(label); err != nil {
			return fmt.Errorf("%s: %w", l.Image, err)
		}
	}
	if f.serial != nil {
		if err := v.SetSerial(*f.serial); err != nil {
			return fmt.Errorf("%s: %w", l.Image, err)
		}
	}
	if !f.json && (sets || f.serial != nil) {
		return nil
	}
	info, err := v.Info()
	if err != nil {
		return fmt.Errorf("%s: %w", l.Image, err)
	}
	if f.json {
		return printJSON(s.out, labelJSON{l.Image, info.Label, fmt.Sprintf("%08X", info.Serial)})
	}
	_, err = fmt.Fprintln(s.out, printable(info.Label))
	return err
}
