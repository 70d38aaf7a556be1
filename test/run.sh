#!/usr/bin/env bash
# run.sh: the tests, from nothing but Go and Debian's package manager. It
# installs what they need where it may, and then runs `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."
./test/setup.sh
exec make test
