# The verbs a person types. Each is a line or two over CMake; see README.md.
.DEFAULT_GOAL := build
.PHONY: deps build build-all run test test-venv test-browser bench bench-peers bench-faults bench-overload soak simulate gpu-check train train-venv eval sanitize fuzz format lint clean
SHELL := /bin/bash

sources = $(shell git ls-files '*.h' '*.cpp' '*.cu' '*.cuh')

# Debian packages that are missing; says what it installs, and nothing when all is there.
deps:
	@launch/deps.sh

# ninja runs cmake again by itself when a CMakeLists.txt changed.
build/build.ninja:
	cmake --preset release

# The programs, in build/bin.
build: build/build.ninja
	cmake --build --preset release --target switchyard

# The programs, the tests and the benchmarks.
build-all: build/build.ninja
	cmake --build --preset release

# The whole cluster on this machine, a first answer, a line to try; Ctrl-C ends it.
run: deps build
	@exec build/bin/switchyard up configs/local.yaml --demo

test: deps build-all test-venv test-browser
	ctest --test-dir build -j2 --output-on-failure

# Python packages of tests/requirements.txt, in build/venv.
test-venv:
	@tests/venv.sh build/venv

# The browser in which the page is tested: 98 MB to load, 306 MB installed, with what it depends on.
test-browser:
	@launch/deps.sh chromium-headless-shell

# Kernels, the engine, the whole cluster on checkpoints of real shapes; rows in build/bench/results.csv. BENCH="--only engine" for a part.
bench: deps build-all
	@tests/venv.sh build/bench/venv tests/bench/requirements.txt
	build/bench/venv/bin/python tests/bench/run.py $(BENCH)

# This engine beside llama.cpp (built from PyPI's source) and ik_llama.cpp (PEERS="--ik SOURCE"): ratios, rows in build/bench/peers.csv.
bench-peers: deps build-all
	@tests/venv.sh build/bench/peers-venv tests/bench/peers/requirements.txt
	build/bench/peers-venv/bin/python tests/bench/peers/run.py $(PEERS)

# What clients see when ranks and the coordinator die under load: pauses, and that nothing is lost. FAULTS="MODEL --kills 100" for others.
bench-faults: deps build-all
	python3 tests/bench/faults.py $(or $(FAULTS),tests/data/golden/r1-tiny)

# Mixed load with random faults for T seconds: nothing lost, nothing different, nothing that grows. SOAK="MODEL --groups 1 --ranks 4" for others.
soak: deps build-all
	python3 tests/bench/soak.py $(or $(SOAK),tests/data/golden/r1-tiny) --seconds $(or $(T),3600)

# Ten times the load that a small cluster carries, for T seconds. OVERLOAD="MODEL --bound 8" for others.
bench-overload: deps build
	python3 tests/bench/overload.py $(or $(OVERLOAD),models/switchyard-r1-small) --seconds $(or $(T),300)

# SEEDS simulated clusters with faults, from FIRST on: which break an invariant, and how to repeat that (docs/decisions/0017-simulation.md).
SEEDS ?= 5000
simulate: deps build/build.ninja
	cmake --build --preset release --target simulate
	build/bin/simulate --seeds=$(SEEDS) --first=$(or $(FIRST),1)

# Tests and benchmarks of the CUDA backend: on this machine's GPU, or a bundle to carry to one. GPU_MODEL=DIR adds the engine's speed.
gpu-check: deps build-all
	@tests/gpu/bundle.sh build/gpu-bundle
	@if command -v nvidia-smi >/dev/null; then build/gpu-bundle/run.sh $(GPU_MODEL); else echo "no GPU here: carry build/gpu-bundle to one and run its run.sh"; fi

# The demo model from nothing: data, training (3 hours on 2 cores with AVX-512 bfloat16; TRAIN=--resume goes on), checkpoint, loss curve. See training/README.md.
small = models/switchyard-r1-small
train: train-venv
	build/train-venv/bin/python -m training.train --size small --out build/train/small $(TRAIN)
	build/train-venv/bin/python -m training.export --run build/train/small --out $(small)
	build/train-venv/bin/python -m training.plot --run build/train/small --output $(small)/loss.png

# PIP_EXTRA_INDEX_URL, if set, may name an index with a PyTorch without CUDA: a tenth of the download.
train-venv:
	@tests/venv.sh build/train-venv training/requirements.txt

# The test split through the served API: a table of scores per task and language. EVAL="--count 20 --task sentiment" for less.
eval: deps build
	python3 -m training.evaluate --serve $(small) $(EVAL)

# Unit tests under AddressSanitizer and UndefinedBehaviorSanitizer, and those of threads and sockets under ThreadSanitizer, but for the
# emulation of CUDA's grid: its fibers are one thread, on stacks that ThreadSanitizer does not follow.
# To be run by hand where threads, sockets or parsers change: it compiles for most of an hour on two slow cores.
tsan_folders = $(patsubst tests/unit/%/CMakeLists.txt,%,$(wildcard $(addsuffix /CMakeLists.txt,$(addprefix tests/unit/,net kernels scheduler exchange coordinator frontend))))
sanitize: deps
	cmake --preset asan && cmake --build build-asan --target tests/unit/all
	ASAN_OPTIONS=quarantine_size_mb=8 LSAN_OPTIONS=suppressions=$(CURDIR)/tests/lsan.supp ctest --test-dir build-asan/tests/unit -j2 --output-on-failure
	cmake --preset tsan && cmake --build build-tsan --target $(patsubst %,tests/unit/%/all,$(tsan_folders))
	set -e; for folder in $(tsan_folders); do ctest --test-dir build-tsan/tests/unit/$$folder -j2 --output-on-failure -E /cuda; done

# libFuzzer on every target, FUZZ_SECONDS each (TARGET=http for one). What it finds lies in build-fuzz/; see tests/fuzz/CMakeLists.txt.
FUZZ_SECONDS ?= 60
fuzz: deps
	@launch/deps.sh clang libclang-rt-14-dev
	cmake --preset fuzz && cmake --build build-fuzz --target fuzz_targets
	set -e; cd build-fuzz; for target in $(or $(TARGET),$(notdir $(wildcard tests/fuzz/corpus/*))); do \
	  mkdir -p corpus/$$target; bin/fuzz_$$target corpus/$$target ../tests/fuzz/corpus/$$target \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=2048 -artifact_prefix=finding-$$target-; done

format:
	@launch/deps.sh clang-format
	clang-format -i $(sources)

lint: build/build.ninja
	@launch/deps.sh clang-format clang-tidy
	clang-format --dry-run -Werror $(sources)
	cmake --build --preset release --target switchyard_wire
	run-clang-tidy -quiet -p build '^$(CURDIR)/(common|coordinator|frontend|kernels|launch|worker)/.*\.cpp$$'

clean:
	rm -rf build build-dev build-asan build-tsan build-fuzz
