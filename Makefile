# SPDX-License-Identifier: MIT
# The short way in; CMakePresets.json has the rest. `make help` lists the goals.
.DEFAULT_GOAL := all
PRESET ?= release
comma := ,
.PHONY: all demo test check hostile peers install clean help acceptance acceptance-full fuzz dist reliability

all: ## build the program (build/inferbench)
	@tools/packages.sh build
	@cmake --preset $(PRESET) >/dev/null
	@cmake --build --preset $(PRESET) --target program
demo: ## the main job on a real model: benchmark SmolLM2-135M, quantize it to nf4, benchmark that
	@tools/packages.sh build demo
	@tools/demo.sh
test: ## build and run every test
	@tools/packages.sh build test
	@tools/run_tests.sh
check: ## style, static analysis, layering, exported symbols, banned calls
	@tools/packages.sh build test check
	@tools/check.sh
acceptance: ## experiments on the tool itself, virtual clock: counts go to docs/acceptance.md (minutes)
	@tools/packages.sh build test
	@tools/acceptance.sh
acceptance-full: all ## the same on the real clock, and on real models: hours, resumable (docs/acceptance_full.md)
	@python3 tools/acceptance_full.py --program build/inferbench
hostile: all ## run the catalogue of hostile inputs, slow ones too; print tried / as asserted
	@IB_BIN=build/inferbench python3 tests/e2e/hostile.py --report
fuzz: ## run every fuzz target for SECONDS each (clang); print executions and findings
	@tools/fuzz.sh $(or $(SECONDS),60)
dist: ## a relocatable folder with every library, an SBOM and its gates (dist/)
	@tools/packages.sh build
	@tools/dist.sh
reliability: ## measure docs/reliability.md again (takes hours; tools/reliability.sh has shorter ways)
	@tools/reliability.sh
peers: all ## other programs on the same work (PEERS=, CASES=, ROUNDS=, PEERS_HOME=; docs/peers.md)
	@peers/setup.sh $(if $(PEERS),transformers $(subst $(comma), ,$(PEERS)))
	@python3 peers/run.py --peers "$(PEERS)" --cases "$(CASES)" --rounds $(or $(ROUNDS),6)
install: all ## install under /usr/local (DESTDIR and --prefix as in CMake)
	@cmake --install build
clean: ## remove the build folders
	@rm -rf build build-*
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12
