# What a person or a machine does with the sources. Each goal installs what it needs first (deploy/setup.sh).

SHELL := /bin/sh
.SHELLFLAGS := -euc
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# Found again for each goal: the set-up may just have installed it.
CARGO = $(shell deploy/setup.sh cargo)
TARGET := $(or $(CARGO_TARGET_DIR),target)
PREFIX ?= /usr
DESTDIR ?=
IMAGE ?= portcullis
# Extra words for the program that a goal runs: make demo ARGS=--ipv6, make test ARGS='-p portcullis-rules'.
ARGS ?=

# Namespaces and BPF are root's. Everything is built as whoever calls, and only what is run is run as root.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env)
RUNNER = $(if $(AS_ROOT),--config 'target."cfg(unix)".runner="sudo --preserve-env"')
# The same cache for root.
export XDG_CACHE_HOME := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)

.PHONY: help
help: ## Show the goals
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Set up, build, and run the whole story with real curl, httpbin, PostgreSQL, unbound and Kafka
	@deploy/setup.sh run
	@$(MAKE) bins
	@$(AS_ROOT) $(TARGET)/debug/demo $(ARGS)

.PHONY: test
test: ## Set up, build, and run every test against a real kernel and real peers
	@deploy/setup.sh test
	@$(MAKE) bins
	@$(MAKE) cargo-test

.PHONY: bins
bins:
	@echo 'make: building the programs (the first time takes some minutes)'
	@$(CARGO) build --locked --workspace --bins

.PHONY: cargo-test
cargo-test:
	@echo 'make: building the tests'
	@$(CARGO) test --locked --workspace --no-run
	@echo 'make: running the tests'
	@$(CARGO) $(RUNNER) test --locked --no-fail-fast $(or $(ARGS),--workspace)

.PHONY: build
build: ## Set up and build the node, optimised
	@deploy/setup.sh build
	@$(MAKE) release

.PHONY: release
release:
	@$(CARGO) build --locked --release --package portcullis

.PHONY: bench
bench: ## Micro benchmarks
	@deploy/setup.sh build
	@$(MAKE) cargo-bench

.PHONY: cargo-bench
cargo-bench:
	@$(CARGO) bench --locked --package portcullis-benches $(ARGS)

.PHONY: compare
compare: ## The same work through Portcullis and through other proxies, side by side
	@deploy/setup.sh bench
	@$(MAKE) compare-programs
	@$(AS_ROOT) $(TARGET)/release/compare $(ARGS)

.PHONY: compare-programs
compare-programs:
	@$(CARGO) build --locked --release --package portcullis --package portcullis-benches --bins

.PHONY: lint
lint: ## Format, lints, shell scripts
	@deploy/setup.sh build
	@$(MAKE) cargo-lint

.PHONY: cargo-lint
cargo-lint:
	@$(CARGO) fmt --all --check
	@if $(CARGO) clippy --version >/dev/null 2>&1; then \
	    $(CARGO) clippy --locked --workspace --all-targets -- -D warnings; \
	else echo 'make: this cargo has no clippy; its lints are left out' >&2; fi
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run deploy/*.sh redirect-ebpf/*.sh; \
	else echo 'make: no shellcheck here; the scripts are left out' >&2; fi

.PHONY: image
image: ## Build the container image with docker or buildah
	@revision=$$(git describe --always --dirty 2>/dev/null || echo unknown); \
	if command -v docker >/dev/null; then \
	    docker build --build-arg PORTCULLIS_REVISION="$$revision" --tag $(IMAGE) .; \
	elif command -v buildah >/dev/null; then \
	    buildah build --build-arg PORTCULLIS_REVISION="$$revision" --tag $(IMAGE) .; \
	else echo 'make: docker or buildah builds the image; neither is here' >&2; exit 1; fi

.PHONY: install
install: build ## Build and install the node, its settings and its service below DESTDIR
	install -D -m 0755 $(TARGET)/release/portcullis $(DESTDIR)$(PREFIX)/bin/portcullis
	install -D -m 0644 deploy/portcullis.service $(DESTDIR)/etc/systemd/system/portcullis.service
	install -D -m 0644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/portcullis/LICENSE
	@# Settings that somebody wrote stay as they are.
	@[ -e $(DESTDIR)/etc/portcullis/portcullis.yaml ] || \
	    install -D -m 0644 deploy/portcullis.yaml $(DESTDIR)/etc/portcullis/portcullis.yaml
