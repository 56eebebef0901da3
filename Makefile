SHELL       := bash
.SHELLFLAGS := -o pipefail -ec

.PHONY: test fuzz lint smoke bench

# The tests run OpenSSH and Dropbear: .ci/prepare installs them where it may. The
# limit is for a test that hangs; a machine that is ten times slower, and does
# other things, stays below.
test:
	.ci/prepare
	go test -race -timeout 55m ./...

# Every fuzz target in turn. What one finds is in testdata/fuzz of its package,
# to be committed: go test runs that from then on.
FUZZTIME ?= 20s
fuzz:
	for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$package; \
		done; \
	done

# Every package must build for, and pass vet on, the systems that it is for.
# staticcheck has a module file of its own, so that go.mod stays short.
lint:
	@echo "gofmt: are all files formatted?"
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "Not formatted:" $$unformatted; exit 1; }
	@for os in linux darwin windows; do \
		echo "go build and go vet for $$os"; \
		GOOS=$$os go build ./... && GOOS=$$os go vet ./... || exit 1; \
	done
	@echo "staticcheck"
	@go tool -modfile=internal/tools/go.mod staticcheck ./...
	@echo "lint found nothing"

# The tour of the layers, against a server of its own.
smoke:
	go run ./examples/cat | \
		diff <(printf '%s\r\n' 'We got this from "cat": This data will be echoed back to us by "cat."') -

# Nacre and its peers, side by side. Flags go into BENCHFLAGS; the benchmarks
# of single packages are run by go test -bench.
bench:
	go run ./internal/bench -svg docs/bench.svg $(BENCHFLAGS)
