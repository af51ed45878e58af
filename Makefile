# Two commands on a fresh machine: `make demo` and `make test`. Each target first installs what is missing (scripts/setup).

SHELL := bash
PREFIX ?= /usr/local
ORT := $(CURDIR)/.cache/onnxruntime/1.32.0/libonnxruntime.so
export ORT_DYLIB_PATH ?= $(ORT)
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help setup build test lint demo readme-picture models street-proof street-table bench soak install env

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

setup: ## Install what is missing: packages, ONNX Runtime, Rust
	@scripts/setup

build: setup ## target/release/uniood and target/release/libgstuniood.so
	cargo build --release --workspace --locked
	@ln -sf $(ORT) target/release/libonnxruntime.so

test: setup ## All tests
	@scripts/test

lint: setup ## Formatting, lints, documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked

demo: build ## The main job on a default that ships with the repository; writes demo-out/
	@scripts/demo

readme-picture: build ## Make docs/street.jpg anew
	@scripts/readme-picture

models: build ## Train street-tiny, the model set that ships, from nothing (about an hour)
	@scripts/models

street-proof: setup ## What tuning is worth on the street prototype: five draws of ten shots on two cameras, and the paper's recipe
	cargo test --locked --test tune_street -- --ignored --nocapture --test-threads 1

street-table: build ## All methods and ablations on held-out rendered streets, into the README and street-tiny's card (long)
	@scripts/street-table

bench: build ## Measure on this machine and write BENCHMARKS.md
	@scripts/bench

soak: setup ## Cameras and a broker that come and go for MINUTES (30): nothing may grow or be lost
	@scripts/soak

install: build ## Install program, element and ONNX Runtime under PREFIX
	install -D -m 755 target/release/uniood $(DESTDIR)$(PREFIX)/bin/uniood
	install -D -m 755 target/release/libgstuniood.so $(DESTDIR)$(PREFIX)/lib/gstreamer-1.0/libgstuniood.so
	install -D -m 755 $(ORT) $(DESTDIR)$(PREFIX)/lib/libonnxruntime.so
	-@[ -n "$(DESTDIR)" ] || ldconfig 2>/dev/null
	@echo 'Where the system does not search $(PREFIX)/lib by itself:'
	@echo '  export GST_PLUGIN_PATH=$(PREFIX)/lib/gstreamer-1.0 ORT_DYLIB_PATH=$(PREFIX)/lib/libonnxruntime.so'
	@echo 'So that ONNX Runtime keeps no telemetry under ~/.cache/Microsoft: export ORT_DISABLE_TELEMETRY=1'

env: ## Variables for this checkout, for `eval`
	@echo 'export PATH="$(CURDIR)/target/release:$$PATH"'
	@echo 'export GST_PLUGIN_PATH="$(CURDIR)/target/release$${GST_PLUGIN_PATH:+:$$GST_PLUGIN_PATH}"'
	@echo 'export ORT_DYLIB_PATH="$(ORT_DYLIB_PATH)"'
	@echo 'export ORT_DISABLE_TELEMETRY=1'
