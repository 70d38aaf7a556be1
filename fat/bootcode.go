package fat

import (
	"encoding/binary"
	"strings"
)

// Where boot code begins in the boot sector, behind the fields.
const (
	bootCodeOffset   = 62
	bootCodeOffset32 = 90
	// loadAddress is where a BIOS puts the boot sector.
	loadAddress = 0x7C00
)

// defaultMessage is what a PC shows that is started from a volume without a
// system.
const defaultMessage = "This is not a bootable disk. Press a key to try another one."

// messageCode returns boot code that prints a message, waits for a key and has
// the BIOS try the next disk. It is to lie at offset start of the boot sector.
func messageCode(start int, message string) []byte {
	if message == "" {
		message = defaultMessage
	}
	code := []byte{
		0x31, 0xC0, //             xor  ax, ax
		0x8E, 0xD8, //             mov  ds, ax
		0xFC,             //       cld
		0xBE, 0x00, 0x00, //       mov  si, message
		0xAC,       //       next: lodsb
		0x84, 0xC0, //             test al, al
		0x74, 0x08, //             jz   wait
		0xB4, 0x0E, //             mov  ah, 0Eh
		0x31, 0xDB, //             xor  bx, bx
		0xCD, 0x10, //             int  10h     print al
		0xEB, 0xF3, //             jmp  next
		0x31, 0xC0, //       wait: xor  ax, ax
		0xCD, 0x16, //             int  16h     wait for a key
		0xCD, 0x19, //             int  19h     start again
		0xF4,       //       halt: hlt
		0xEB, 0xFD, //             jmp  halt
	}
	binary.LittleEndian.PutUint16(code[6:], uint16(loadAddress+start+len(code)))
	message = strings.ReplaceAll(message, "\n", "\r\n")
	return append(append(code, message...), '\r', '\n', 0)
}
