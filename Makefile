# Oraculo: `make demo` runs everything, `make test` checks everything; both set themselves up.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export CARGO_TARGET_DIR ?= $(HOME)/.cache/oraculo/target
CARGO ?= cargo
DEMO_FEATURES := --no-default-features
DEMO_BIN := $(CARGO_TARGET_DIR)/demo/oraculo
ARGS ?=

.PHONY: help demo test lint bench fuzz ort models newcomer gpu-check setup-test release

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

ort: ## fetch the pinned ONNX Runtime library into vendor/ (done by demo and test)
	@python3 scripts/fetch_ort.py >/dev/null

demo: ort ## build what the demo needs and run all roles in one process (ARGS="--for 60 --json")
	$(CARGO) build --locked --profile demo -p node $(DEMO_FEATURES)
	$(DEMO_BIN) demo $(ARGS)

release: ort ## the full binary, Parquet tables included (polars: a quarter of an hour on two cores)
	$(CARGO) build --locked --release -p node

setup-test:
	@bash scripts/setup_test.sh

test: ort setup-test ## run every test (installs redis-server and chromium where missing and possible)
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --locked --workspace --no-fail-fast; \
	else \
		$(CARGO) test --locked --workspace --no-fail-fast; \
	fi

lint: ## rustfmt, clippy with warnings as errors, cargo-deny where installed
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked -p forecaster --features cuda --all-targets -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --offline check licenses bans sources; \
	else echo "cargo-deny is not installed: licences and sources unchecked (cargo install cargo-deny)"; fi

bench: ort ## the numbers of docs/benchmarks.md
	$(CARGO) build --locked --release -p node $(DEMO_FEATURES)
	$(CARGO_TARGET_DIR)/release/oraculo bench $(ARGS)

SECONDS_EACH ?= 600
fuzz: ## fuzz every decoder (SECONDS_EACH=600 JOBS=2); needs a C++ compiler
	@bash scripts/fuzz.sh $(SECONDS_EACH)

models: ort ## retrain the model bundles (needs ../shared/data/candles; see models/README.md)
	python3 -m venv .venv && .venv/bin/pip install -q -r forecaster/training/requirements.txt
	.venv/bin/python models/train.py
	$(CARGO) build --locked --profile demo -p node $(DEMO_FEATURES)
	$(DEMO_BIN) doctor --models models

newcomer: ort ## time the path from a new model to its first scored prediction (ARGS="--cold --json")
	$(CARGO) build --locked --profile demo -p node $(DEMO_FEATURES)
	ORACULO=$(DEMO_BIN) scripts/newcomer.sh $(ARGS)

gpu-check: ## on a machine with an NVIDIA GPU: everything it should prove, or the exact reason why it cannot
	@if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then python3 scripts/fetch_ort.py --gpu >/dev/null; \
	else echo "gpu-check: nvidia-smi finds no GPU here; nothing of CUDA is fetched" >&2; fi
	$(CARGO) build --locked --release -p node $(DEMO_FEATURES) --features cuda
	$(CARGO_TARGET_DIR)/release/oraculo gpu-check --models models $(ARGS)
