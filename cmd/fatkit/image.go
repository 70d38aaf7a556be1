package main

import (
	"github.com/spf13/cobra"
)

const imageLong = `Work on disk images: raw ones and those of QEMU's format qcow2, in files, on block
devices and on NBD servers.

The commands have the names, the short options and the JSON fields of qemu-img
where they mean the same, so that scripts can move over. They differ where that
is safer: the format of an image follows from -f, else from the suffix of its
name, else it is raw, and never from its contents alone; nothing that exists is
replaced without --force; and backing files are opened only beneath the image's
own folder unless --backing says otherwise.`

// newImage returns the verbs about images.
func newImage() *cobra.Command {
	cmd := &cobra.Command{
		Use:                        "image",
		Short:                      "create, check, convert and compare disk images, raw and qcow2",
		Long:                       imageLong,
		SuggestionsMinimumDistance: 2,
		Args:                       noSuchVerb,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	cmd.AddCommand(
		newImageInfo(), newImageCreate(), newImageConvert(), newImageCheck(),
		newImageMeasure(), newImageCompare(), newImageResize(), newImageDD(), newImageMap(),
		newImageRebase(), newImageCommit(), newImageBench(),
	)
	return cmd
}
