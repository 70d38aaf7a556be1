package stack

import (
	"strings"
	"testing"
)

func TestParseDrive(t *testing.T) {
	for text, want := range map[string]DriveSpec{
		"a=floppy.img":                      {Point: "A:", Letter: 'A', Name: "floppy.img"},
		"C:=disk.qcow2,partition=2":         {Point: "C:", Letter: 'C', Name: "disk.qcow2", Volume: VolumeChoice{Partition: 2}},
		"/mnt/../x/=nbd://h/e,ro":           {Point: "/x", Name: "nbd://h/e", Access: AccessRead},
		"d=a,b,c":                           {Point: "D:", Letter: 'D', Name: "a,b,c"},
		"d=a,rw,b":                          {Point: "D:", Letter: 'D', Name: "a,rw,b"},
		"d=a,rw,":                           {Point: "D:", Letter: 'D', Name: "a,rw"},
		"d=a,offset=512,rw,driver=raw":      {Point: "D:", Letter: 'D', Name: "a", Volume: VolumeChoice{Offset: true, OffsetBytes: 512}, Access: AccessWrite, Driver: "raw"},
		"d=x=y,format=raw":                  {Point: "D:", Letter: 'D', Name: "x=y", Format: FormatRaw},
		"e=fat:16:./dir,offset=0":           {Point: "E:", Letter: 'E', Name: "fat:16:./dir", Volume: VolumeChoice{Offset: true}},
		"z:=nbd+unix:///x?socket=/run/s,ro": {Point: "Z:", Letter: 'Z', Name: "nbd+unix:///x?socket=/run/s", Access: AccessRead},
	} {
		if got, err := ParseDrive(text); err != nil || got != want {
			t.Errorf("%s is %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"a": "is no drive", "=x": "neither a drive letter", "ab=x": "neither", "1=x": "neither", "a=": "names nothing", "a=,ro": "names nothing",
		"a=x,partition=0": "counted from 1", "a=x,partition=": "counted from 1", "a=x,offset=-1": "number of bytes", "a=x,format=vmdk": "raw or qcow2", "a=x,driver=": "no driver",
	} {
		if got, err := ParseDrive(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %+v, %v; want %q", text, got, err, want)
		}
	}
}
