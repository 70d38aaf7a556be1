package fat

import "github.com/fatkit/fatkit/block"

// Probe says whether a volume begins on dev: nil, or why its boot sector
// describes none. It reads that sector alone, and on what may be a floppy of
// DOS 1 the start of the FAT.
func Probe(dev block.Device) error {
	_, _, err := readBoot(newDisk(dev))
	return err
}
