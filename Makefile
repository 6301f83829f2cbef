# make            what there is to make
# make build      bin/strata, for this machine
# make static     bin/strata-static: no shared libraries, for nodes and containers that have none of ours
# make test       all tests; make check: what the automatic checks run

.PHONY: help build static test check

help:
	@sed -n 's/^# //p' Makefile

build:
	go build -buildvcs=auto -o bin/strata ./cmd/strata

# The C library is linked in too, which glibc does with warnings where it would load parts of itself later: names of users and
# hosts (osusergo, netgo: Go's own are used) and extensions of SQLite (left out).
static:
	CGO_ENABLED=1 go build -trimpath -buildvcs=auto -tags 'osusergo netgo sqlite_omit_load_extension' -ldflags '-s -w -linkmode external -extldflags -static' -o bin/strata-static ./cmd/strata

test:
	./test

check:
	.ci/run
