#!/usr/bin/env bash
# fuzz.sh TIME: run every fuzz target of the module for TIME, such as 60s, or
# for a count of inputs, such as 1000x, one after the
# other. `go test -fuzz` takes one target of one package at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
time="${1:?usage: fuzz.sh TIME, such as 60s or 1000x}"
count=0
while IFS=: read -r file name; do
	pkg="./$(dirname "$file")"
	echo "fuzz $time $pkg $name"
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$pkg"
	count=$((count + 1))
done < <(git ls-files -co --exclude-standard '*_test.go' |
	xargs grep -oE '^func Fuzz[A-Za-z0-9_]+' | sed 's/:func /:/')
echo "fuzzed $count targets for $time each"
[ "$count" -gt 0 ]
