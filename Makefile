# The targets of fatkit. `make help` lists them.

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 1000x
# What `make long` runs.
LONGFUZZ ?= 60s

export CGO_ENABLED ?= 0

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/fatkit, one static binary
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/fatkit ./cmd/fatkit

.PHONY: test
test: lint cross race judge fuzz ## everything that CI runs, in its short form (test/run.sh installs the tools first)

.PHONY: setup
setup: ## install the Debian packages that the interop tests use, where missing and permitted
	./test/setup.sh

.PHONY: unit
unit: ## the tests alone, without the race detector
	$(GO) test ./...

.PHONY: race
race: ## the tests with the race detector (needs a C compiler), smaller where they have a short form; without those that run the program from outside
	CGO_ENABLED=1 $(GO) test -race -short -timeout 15m $$($(GO) list ./... | grep -vE '/(test/(interop|guest|bench)|cmd/fatkit)$$')

.PHONY: judge
judge: ## the tests that run the program (real tools, guests, the benchmark's rows), and those whose short form the race detector saw
	$(GO) test -count=1 -timeout 15m ./cmd/fatkit ./test/interop ./test/mount ./test/guest ./test/bench ./fat ./qcow2 ./nbd ./vvfat

.PHONY: lint
lint: ## gofmt, vet, the import table and the size rules
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) test ./internal/lint

.PHONY: cross
cross: ## compile for the other systems
	GOOS=darwin GOARCH=arm64 $(GO) build ./...
	GOOS=windows GOARCH=amd64 $(GO) build ./...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME, a time or a count (default 1000x)
	./test/fuzz.sh $(FUZZTIME)

.PHONY: interop
interop: ## the tests against fsck.fat, mtools, qemu-img, libnbd and fio alone
	$(GO) test -count=1 ./test/interop/...

.PHONY: guest
guest: ## a firmware and a Linux kernel under emulation read and boot our disks
	$(GO) test -count=1 -timeout 15m ./test/guest/...

.PHONY: bench
bench: build ## the speed rows, with the peers beside them in one run
	$(GO) run ./test/bench

.PHONY: long
long: setup lint cross race ## the full counts: a minute of fuzzing a target, all seeds, the big trees, ten minutes of soak
	./test/fuzz.sh $(LONGFUZZ)
	FATKIT_LONG=1 $(GO) test -count=1 -timeout 60m ./...
	NBD_SOAK=10m $(GO) test -count=1 -timeout 20m -run Soak ./nbd
	dir=$$(mktemp -d) && ./test/libnbd.sh $$dir && NBD_LIBNBD=$$dir $(GO) test -count=1 -run NewerLibnbd ./nbd && rm -r $$dir

.PHONY: man
man: ## write the manual pages anew
	$(GO) run ./cmd/fatkit docs man docs/man

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
