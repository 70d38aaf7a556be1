package fat

import "fmt"

// Region is a part of a volume, in bytes from its start.
type Region struct {
	Name   string `json:"name"`
	Offset int64  `json:"offset"`
	Len    int64  `json:"length"`
}

// Regions returns what a volume consists of, in rising order: boot sector, other
// reserved sectors, FATs, on FAT12 and FAT16 the root directory, the data area, and
// what the data area leaves unused.
func (i *Info) Regions() []Region {
	sector := int64(i.SectorBytes)
	var all []Region
	end := int64(0)
	add := func(name string, n int64) {
		if n > 0 {
			all = append(all, Region{name, end, n})
			end += n
		}
	}
	special := map[int64]string{}
	if i.FSInfoSector != 0 {
		special[int64(i.FSInfoSector)] = "FSInfo"
	}
	if b := int64(i.BackupSector); b != 0 {
		special[b] = "backup boot sector"
		if i.FSInfoSector != 0 {
			special[b+int64(i.FSInfoSector)] = "backup FSInfo"
		}
	}
	add("boot sector", min(1, int64(i.ReservedSectors))*sector)
	for s, reserved := int64(1), int64(i.ReservedSectors); s < reserved; {
		if name := special[s]; name != "" {
			add(name, sector)
			s++
			continue
		}
		n := int64(1)
		for s+n < reserved && special[s+n] == "" {
			n++
		}
		add("reserved", n*sector)
		s += n
	}
	for f := range i.FATs {
		add(fmt.Sprintf("FAT %d", f+1), int64(i.FATSectors)*sector)
	}
	add("root directory", i.DataOffset-end)
	add("data area", int64(i.Clusters)*int64(i.ClusterBytes))
	add("unused", int64(i.TotalSectors)*sector-end)
	return all
}

// Hints returns what the FSInfo sector says: the number of free clusters, and
// where to look for one. ok is false if there is no such sector; a number that is
// unknown, or cannot be right, is FFFFFFFFh.
func (v *Volume) Hints() (free, next uint32, ok bool) {
	if v.fsInfo == nil {
		return 0, 0, false
	}
	return v.fsInfo.Free, v.fsInfo.Next, true
}
