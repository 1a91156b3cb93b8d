# make help lists the targets.
GO ?= go
# The versions of the linters.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME ?= 10s
CHAOS_TIME ?= 20m
# The number of random defects to build in, or all: 22, five of which two tests must catch.
SEEDED ?= all
# WITH_DB runs a command with a database for its tests: the one of DIAMOND_TEST_MYSQL_DSN,
# or a private server, which is installed if possible.
WITH_DB = $(GO) run ./internal/dev/mariadb

# Tests use Go 1.27, because the race detector of Go 1.26 ends a process in which two timers
# of one synctest bubble fire at the same instant (golang.org/issue/78156). The go command
# downloads this toolchain if necessary. Where it cannot, tests use the local one.
TEST_GO = go1.27.4
test processors campaign chaos seeded-bugs cover: export GOTOOLCHAIN = \
	$(shell GOTOOLCHAIN=$(TEST_GO) $(GO) version >/dev/null 2>&1 && echo $(TEST_GO) || echo local)

.DEFAULT_GOAL := help
.PHONY: help build test lint cross vuln alerts fuzz processors campaign chaos seeded-bugs bench cover

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the program into ./gdiamond
	$(GO) build -o gdiamond ./cmd/gdiamond

test: ## run all tests, with the race detector, in random order
	$(WITH_DB) $(GO) test -race -shuffle=on -timeout 30m ./...
	$(GO) test -run '^TestStacksOfParkedPolls$$' ./server # the race detector has stacks of its own
	cd examples && $(GO) test -race -shuffle=on ./...
	cd robust && $(GO) test -race -shuffle=on -timeout 30m ./...

lint: ## gofmt, vet, staticcheck, go.mod
	@out=$$(gofmt -l .); test -z "$$out" || { echo "not gofmt-ed:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) mod tidy -diff
	$(GO) run $(STATICCHECK) ./...
	cd examples && $(GO) vet ./... && $(GO) mod tidy -diff
	cd robust && $(GO) vet ./... && $(GO) mod tidy -diff && $(GO) run $(STATICCHECK) ./...
	$(GO) vet -tags failpoint ./internal/failpoint

vuln: ## check for known vulnerabilities; needs the vulnerability database
	$(GO) run $(GOVULNCHECK) ./...

alerts: ## check the files for Prometheus and Grafana: configuration, queries, a case for each alert
	$(GO) run ./internal/dev/promcheck

# Before Go 1.27 fuzzing sometimes reports its end as a failure, with only "context deadline
# exceeded" (golang.org/issue/75804). A failing input has another message.
fuzz: ## run every fuzz target for FUZZTIME (10s)
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "== $$pkg $$target"; \
	    out=$$($(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg 2>&1); code=$$?; \
	    echo "$$out"; \
	    test $$code = 0 || echo "$$out" | grep -A1 -e '^--- FAIL: Fuzz' | grep -q '^ *context deadline exceeded$$' || exit 1; \
	  done; \
	done

# vet also compiles tests.
cross: ## build and vet everything for the other systems that users have
	GOOS=darwin $(GO) build ./...
	GOOS=windows $(GO) build ./...
	GOOS=darwin $(GO) vet ./...
	GOOS=windows $(GO) vet ./...

processors: ## run scenario C17 once: the engines on 1, 2 and 4 processors
	$(GO) test -race -cpu=1,2,4 -shuffle=on -timeout 20m . ./internal/engine ./internal/follower

campaign: ## run the scenarios at full counts; takes hours
	DIAMOND_CAMPAIGN=1 $(WITH_DB) $(GO) test -race -shuffle=on -timeout 4h ./...
	cd robust && DIAMOND_CAMPAIGN=1 $(GO) test -race -shuffle=on -timeout 12h ./...
	$(GO) test -race -cpu=1,2,4 -shuffle=on -count=200 -timeout 12h . ./internal/engine ./internal/follower

chaos: ## run scenario L3 for CHAOS_TIME (20m): random faults on a cluster of processes; prints its seed
	cd robust && CHAOS_TIME=$(CHAOS_TIME) $(GO) test -count=1 -v -timeout 4h -run '^TestL3_Chaos$$' ./proc

seeded-bugs: ## build in known defects, one at a time; a test must catch each
	cd robust && DIAMOND_SEEDED=$(SEEDED) $(GO) test -count=1 -v -timeout 4h ./seeded

bench: ## run the benchmarks, each as a ratio to its baseline in the same run
	$(GO) run ./bench

cover: ## print the test coverage of each package
	$(WITH_DB) $(GO) test -cover ./...
