#!/usr/bin/env bash
# Installs the Debian packages that the interoperability and guest tests use,
# where they are missing and this user may install them. Otherwise it says
# which tests are left out, and where CI is set it fails.
set -euo pipefail

# program package what-it-judges
judges='
fsck.fat dosfstools FAT-volumes-by-fsck.fat
mkfs.fat dosfstools control-images,bench
mcopy mtools files-read-back-by-mtools
nbdinfo libnbd-bin NBD-by-libnbd
nbdcopy libnbd-bin NBD-by-libnbd,bench
nbdfuse libnbd-bin NBD-by-libnbd
fusermount3 fuse3 NBD-by-nbdfuse,mount
nbdkit nbdkit bench
sqlite3 sqlite3 mount-under-sqlite
rsync rsync mount-under-rsync
git git mount-under-git
fio fio NBD-by-fio,bench
qemu-img qemu-utils images-by-qemu-img
qemu-io qemu-utils images-by-qemu-io
qemu-nbd qemu-utils bench
mkfs.ext4 e2fsprogs ext4-in-qcow2
e2fsck e2fsprogs ext4-in-qcow2
mkfs.xfs xfsprogs XFS-in-qcow2
xfs_repair xfsprogs XFS-in-qcow2
sfdisk fdisk MBR-by-sfdisk
sgdisk gdisk GPT-by-sgdisk
qemu-system-x86_64 qemu-system-x86 guests
busybox busybox-static Linux-guest
xz xz-utils Linux-guest,faster
cc gcc race-detector
openssl openssl TLS
make make everything
'
PATH="$PATH:/usr/sbin:/sbin"

missing() { # prints the packages that are missing, one a line, once each
	while read -r program package _; do
		[ -z "$program" ] || command -v "$program" >/dev/null || echo "$package"
	done <<<"$judges" | sort -u
	[ -e /usr/share/OVMF/OVMF_CODE_4M.fd ] || [ -e /usr/share/OVMF/OVMF_CODE.fd ] || echo ovmf
	/usr/bin/python3 -I -c 'import nbd; nbd.NBD' 2>/dev/null || echo python3-libnbd
	# The race detector is linked by gcc against the C library's headers.
	[ -e /usr/include/stdlib.h ] || echo libc6-dev
}

report() { # says what the missing programs leave out
	while read -r program package what; do
		[ -z "$program" ] || command -v "$program" >/dev/null || echo "  left out without $package ($program): $what"
	done <<<"$judges"
	[ -e /usr/share/OVMF/OVMF_CODE_4M.fd ] || [ -e /usr/share/OVMF/OVMF_CODE.fd ] || echo "  left out without ovmf: firmware-boot"
	/usr/bin/python3 -I -c 'import nbd; nbd.NBD' 2>/dev/null || echo "  left out without python3-libnbd: NBD-by-libnbd's-bindings"
}

as_root() { # runs a command as root, or through sudo without a password
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		sudo -n "$@"
	else
		return 1
	fi
}

install() { # installs the packages given
	command -v apt-get >/dev/null || return 1
	as_root apt-get -q update || return 1
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$@" || return 1
}

# The Linux guest's kernel is fetched by the tests, which needs apt's lists.
if command -v apt-cache >/dev/null && ! apt-cache show linux-image-amd64 >/dev/null 2>&1; then
	as_root apt-get -q update || echo "setup: cannot update apt's lists; left out without them: Linux-guest"
fi

mapfile -t packages < <(missing)
if [ "${#packages[@]}" = 0 ]; then
	echo "setup: every judge is installed"
	exit 0
fi
echo "setup: missing: ${packages[*]}"
install "${packages[@]}" || echo "setup: cannot install them here; as root: apt-get install ${packages[*]}"
mapfile -t packages < <(missing)
if [ "${#packages[@]}" = 0 ]; then
	exit 0
fi
report
[ -z "${CI:-}" ] || { echo "setup: CI is set, so a missing judge is a failure"; exit 1; }
