package hostfs

import (
	"bytes"
	"strconv"
)

// DOSAttribute is the extended attribute that keeps the attributes of DOS, as
// text such as "0x22". Samba calls it so as well.
const DOSAttribute = "user.DOSATTRIB"

// ParseDOSAttribute reads the value of DOSAttribute. Newer versions of Samba put
// a structure of their own behind the text, or in its place: what is not the
// text is not ok.
func ParseDOSAttribute(value []byte) (attributes byte, ok bool) {
	text, _, _ := bytes.Cut(value, []byte{0})
	digits, ok := bytes.CutPrefix(text, []byte("0x"))
	n, err := strconv.ParseUint(string(digits), 16, 8)
	return byte(n), ok && err == nil
}
