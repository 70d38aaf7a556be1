#!/usr/bin/env bash
# libnbd.sh DIR: unpacks Debian 13's libnbd (1.22, the first that knows extended
# headers) with all it needs into DIR, for the tests of package nbd:
#
#	test/libnbd.sh /tmp/libnbd && NBD_LIBNBD=/tmp/libnbd go test -run NewerLibnbd ./nbd
#
# Nothing is installed. It runs where apt-get and Debian's archive key are.
set -euo pipefail
dir=$(realpath -m "${1:?usage: libnbd.sh DIR}")
key=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$key" ] || { echo "libnbd.sh: no $key: it comes with debian-archive-keyring" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$dir"
echo "deb [signed-by=$key] http://deb.debian.org/debian trixie main" >"$work/sources.list"
: >"$work/status"
# A state of its own: apt believes that nothing is installed, and fetches all.
apt=(apt-get -q -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
	-o "Dir::State::Lists=$work/lists" -o "Dir::State::status=$work/status" -o "Dir::Cache=$work/cache"
	-o "APT::Sandbox::User=$(id -un)" -o Debug::NoLocking=1)
"${apt[@]}" update
"${apt[@]}" -y --download-only --no-install-recommends install libnbd-bin python3-libnbd
for deb in "$work"/cache/archives/*.deb; do
	dpkg -x "$deb" "$dir"
done
echo "libnbd.sh: libnbd is in $dir"
