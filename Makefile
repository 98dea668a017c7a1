# `make demo` distils Fashion-MNIST; `make test` runs linters and tests. Both install what they need.

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
DOCS_BIN := .venv-docs/bin
CORES ?= $(shell nproc)
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)
DEMO := results/fashionmnist_ipc50

# What `comparison`, `search` and `prior` are about.
DATASET ?= fashionmnist

# What each method is most sensitive to, two keys each: config/ablations.
SEARCHES := dit_scale lgd_omega lgd_scale seed_random_omega seed_random_scale influence igd_deviation \
	mode_strength mode_clusters finetune_steps finetune_diversity sparsity sparse_steps dm_lr dm_steps \
	idc1_lr idc1_steps real_kappa real_omega noised_start noised_omega mixed_share mixed_omega ot_strength \
	ot_clusters lgd_ot_strength lgd_ot_omega entropy_strength entropy_scale cgs_strength cgs_pull s3_pairs \
	s3_groups confident_kappa confident_scale ccs_cutoff ccs_strata

# What README and docs show.
PICTURES := samples samples/6_Shirt redundancy complementarity dynamics difficulty in_distribution guidance cost

# What the report is about: tables, figures and pages of a data set, its sweeps. RUN: options of their run,
# NAME: its name, if it has one.
RUN ?=
NAME ?=
SETS = results/*_ipc*$(NAME:%=/%)
MADE = $(wildcard $(SETS)/*.csv $(SETS)/*.png $(SETS)/samples/*.png $(SETS)/*.html results/*/ablation/*.csv)

PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not gpu and not cluster"

# What builds the image: the first of these that is there.
BUILDER ?= $(notdir $(firstword $(shell command -v podman buildah docker)))
RELEASE := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

# A run of a few minutes, whose prior is trained as well.
TINY := $(CURDIR)/tests/workflow/tiny.yaml
TINY_TARGETS := $(addprefix results/digits_ipc20/,table.csv redundancy.png curve.png samples.png)

# Packages of the documentation are apart, so that who runs the workflow needs none of them.
UPGRADE ?=
LOCK = $(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-emit-index-url --python-version 3.11 \
	$(if $(UPGRADE),--upgrade)
DOCS_PACKAGES := import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
	print(*project['optional-dependencies']['docs'], sep='\n')

VERSION ?= Unreleased

# glibc keeps freed memory for the next batch, as in jobs: rules/common.smk.
MALLOC := MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_TOP_PAD_=268435456

# Says so at once, where packages would say it of themselves one by one.
OLD_PYTHON := 'import sys; sys.exit(sys.version_info < (3, 11) and "error: $(PYTHON): found Python %d.%d, \
	expected 3.11 or later, as in: make PYTHON=python3.11" % sys.version_info[:2])'

.PHONY: help install demo comparison search pictures test test-cluster lint unit tiny first-steps docs lock \
	image sbom audit notes report mini prior bench bench-gpu

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

install: .venv/installed  ## Create .venv with the pinned dependencies

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c $(OLD_PYTHON)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv==0.13.9
	$(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

demo: install  ## Distil Fashion-MNIST at 50 images per class and show the table
	$(SNAKEMAKE)
	$(BIN)/python -m lgd_core.figures.summary $(DEMO)
	@echo "next: open $(DEMO)/gallery.html; make report collects everything in one page; docs/running.md"

comparison: install  ## Compare all methods at 20 and 50 images per class: an hour and a half on two cores
	$(SNAKEMAKE) --configfile config/comparison.yaml --config 'datasets=[$(DATASET)]'
	$(BIN)/python -m lgd_core.figures.summary results/$(DATASET)_ipc20/comparison
	$(BIN)/python -m lgd_core.figures.summary results/$(DATASET)_ipc50/comparison

search: install  ## Search two keys of each method on held-out images, SEARCHES, for config/search: many hours
	$(SNAKEMAKE) --configfile config/search.yaml -- \
		$(SEARCHES:%=results/$(DATASET)/ablation/%.csv)
	$(BIN)/python -m lgd_core.analysis.search $(DATASET) $(SEARCHES)

pictures: install  ## Make the pictures of the documentation anew
	$(SNAKEMAKE) --configfile config/pictures.yaml -- \
		$(DEMO)/pictures/table.csv $(PICTURES:%=$(DEMO)/pictures/%.png)
	cp $(PICTURES:%=$(DEMO)/pictures/%.png) docs/pictures/

lint: install  ## Check style, types and workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

test: install lint  ## Run linters and all tests but those marked slow, gpu or cluster
	$(PYTEST)

test-cluster: install  ## Run all tests on a Slurm that they start on this machine, as root
	$(BIN)/python -m pytest -n 3 --dist worksteal tests/cluster

unit: install  ## Run the unit tests alone
	$(PYTEST) tests/unit

tiny: install  ## Run the workflow on 8 x 8 digits in SCRATCH, or in a scratch folder: table and report
	scratch=$${SCRATCH:-$$(mktemp -d)} && $(BIN)/python tests/miniature.py $$scratch && cd $$scratch && \
		export PATH=$(CURDIR)/$(BIN):$$PATH && \
		snakemake --cores $(CORES) --configfile $(TINY) -- $(TINY_TARGETS) && \
		snakemake --cores $(CORES) --configfile $(TINY) --report results/report.html -- $(TINY_TARGETS) && \
		cat results/digits_ipc20/table.csv && pwd

first-steps: install  ## Run examples/first_steps.ipynb on digits and write it with its outputs into results/
	$(BIN)/jupyter execute --output=../results/first_steps examples/first_steps.ipynb

docs: .venv-docs/installed  ## Build the documentation as a site, site/index.html
	NO_MKDOCS_2_WARNING=1 $(DOCS_BIN)/mkdocs build --strict

.venv-docs/installed: requirements-docs.lock
	$(PYTHON) -m venv .venv-docs
	$(DOCS_BIN)/python -m pip install --quiet --require-hashes -r requirements-docs.lock
	touch $@

lock: install  ## Pin all packages for pyproject.toml; with UPGRADE=1 at their newest versions
	$(LOCK) pyproject.toml --extra dev -o requirements.lock
	$(BIN)/python -c "$(DOCS_PACKAGES)" | $(LOCK) - -o requirements-docs.lock
	sed -nE 's/^([a-z0-9._-]+)==([^ ]+) .*/s|- \1==.*|- \1==\2|/p' requirements.lock | \
		sed -i -f - environment.yml

image:  ## Build the image of Containerfile with Podman, Buildah or Docker
	@$(if $(BUILDER),,echo "error: found none of podman, buildah, docker, expected one that builds images" >&2; exit 1)
	$(BUILDER) build --tag lgd:$(RELEASE) --file Containerfile .

sbom: install  ## Write sbom.json, a list of all packages with their digests (CycloneDX)
	$(BIN)/uv tool run --from cyclonedx-bom==7.5.0 cyclonedx-py requirements --output-reproducible -o sbom.json \
		requirements.lock

audit: install  ## Ask whether vulnerabilities of the locked packages are known
	$(BIN)/uv tool run pip-audit==2.10.1 --vulnerability-service osv --disable-pip --require-hashes -r requirements.lock

notes:  ## Print what CHANGELOG.md says of VERSION
	@awk '/^## / {on = index($$0, "[$(VERSION)]")} on {print; found = 1} END {exit !found}' CHANGELOG.md

report: install  ## Write results/report.html from what has been made of data sets
	$(SNAKEMAKE) $(RUN) --report results/report.html -- $(MADE)

mini: install  ## Run ImageNette's own command on a miniature, in results of a scratch folder
	scratch=$$(mktemp -d) && $(BIN)/python tests/miniature.py $$scratch && cd $$scratch && \
		PATH=$(CURDIR)/$(BIN):$$PATH LGD_DATA=miniature/imagenet \
		snakemake --cores 1 --resources gpu=1 --configfile config/test/imagenette_mini.yaml \
		-- results/imagenette_ipc100/table.csv && cat results/imagenette_ipc100/table.csv && pwd

prior: install  ## Train a prior that ships with the project, and measure it
	$(SNAKEMAKE) --config 'overrides={datasets: {$(DATASET): {prior: {source: train}}}}' \
		-- results/$(DATASET)/prior_quality.json

bench: install  ## Measure the project beside the plain way, on a CPU: minutes
	$(MALLOC) $(BIN)/python -m benchmarks
	$(BIN)/python -m lgd_core.figures.benchmarks results/benchmarks.jsonl results/growth.png

bench-gpu:  ## Measure on a GPU, with this machine's torch and the packages in wheels/
	benchmarks/gpu.sh
