# Every target does its own set-up: Python 3.11 or newer with venv, and make, are all it needs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PROJECTS := . cli plugins/circle plugins/cluster plugins/conformance plugins/datasets plugins/export plugins/hierarchy plugins/holes plugins/hub plugins/likelihoods plugins/metrics plugins/optimizers plugins/posteriors plugins/priors plugins/sklearn plugins/sparse plugins/starts plugins/study plugins/trackers
PACKAGES := intel_core cli/intel_cli plugins/circle/intel_circle plugins/cluster/intel_cluster \
	plugins/conformance/intel_conformance plugins/datasets/intel_datasets plugins/export/intel_export plugins/hierarchy/intel_hierarchy plugins/holes/intel_holes plugins/hub/intel_hub plugins/likelihoods/intel_likelihoods plugins/metrics/intel_metrics plugins/optimizers/intel_optimizers plugins/posteriors/intel_posteriors plugins/priors/intel_priors \
	plugins/sklearn/intel_sklearn plugins/sparse/intel_sparse plugins/starts/intel_starts plugins/study/intel_study plugins/trackers/intel_trackers
WORKERS ?= 2
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
# Pip unpacks with one core: what is pinned is unpacked by two, in halves of about one size, without asking what needs what.
# That is asked by the commands after it, which find everything there; what failed, on another Python say, they install.
PINS = $(shell grep -ioE '^[a-z0-9_.-]+==[^ ;]+' constraints.txt | grep -vE '^(pythae|imageio|dataclasses)==')
LATER = $(filter-out torch==%,$(filter p% q% r% s% t% u% v% w% x% y% z%,$(PINS)))
UNPACK := $(INSTALL) --no-deps
# Compiled to bytes by every core, and while pip, which would do it with one, still installs; tests of others are not.
COMPILE := $(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib > /dev/null
# Each test worker has one core; torch would otherwise start a thread per core in each.
doctest test test-all: export OMP_NUM_THREADS ?= 1
# The second worker begins in the middle, so that what a module's tests share is made once; who is done first takes over.
TESTS = $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

.PHONY: demo test test-all test-lowest bench lint doctest site setup wheels clean

## set-up: an environment with everything, at the versions that constraints.txt pins
setup: $(READY)

$(READY): constraints.txt $(addsuffix /pyproject.toml,$(PROJECTS))
	$(PYTHON) -m venv $(VENV)
	@echo "unpacking what constraints.txt pins, in two halves at once"
	@($(UNPACK) $(filter-out $(LATER),$(PINS)) & $(UNPACK) $(LATER); wait) > /dev/null 2>&1
	$(INSTALL) hatchling editables torch
	$(INSTALL) --no-build-isolation -e '.[dev,docs]' $(foreach project,$(filter-out .,$(PROJECTS)),-e $(project)) & \
	$(COMPILE); wait $$!
	@$(COMPILE) || true  # some files of others are templates, and no Python
	touch $(READY)

## train a clustering InteL-VAE on scikit-learn's digits; ends with a table and pictures
demo: $(READY)
	rm -rf runs/demo
	$(BIN)/intel train --mapping cluster:k=3 --run-dir runs/demo
	$(BIN)/intel report runs/demo
	@echo "Look at runs/demo/report.html, or at runs/demo/latent.png and the other pictures"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PACKAGES)

doctest: $(READY)
	$(BIN)/python -m pytest --doctest-modules $(PACKAGES) -q

## the site, in build/site: a link that leads nowhere ends it; no network is used
site: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

## every check but the long ones; the types and the examples in docstrings are checked at the same time
test: $(READY)
	$(MAKE) --no-print-directory -j2 lint doctest site
	$(TESTS) -m "not slow"

test-all: export HYPOTHESIS_PROFILE ?= thorough
test-all: $(READY)
	$(MAKE) --no-print-directory -j2 lint doctest site
	$(TESTS)

# The oldest Python that is supported, if there is one, and an environment of its own.
OLDEST ?= $(shell python3.10 --version > /dev/null 2>&1 && echo python3.10 || echo $(PYTHON))
LOWEST := build/lowest
LOWEST_INSTALL := $(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check -c $(LOWEST)/versions.txt

# What is otherwise in torch 2.6 and safetensors 0.4: the KL term of directions is not compiled, a declared operator of
# torchvision may not be declared again, a checkpoint with empty tensors is refused in other words, and two processes that
# train several runs in a row may wait for each other for ever when they close their connections.
OTHERWISE := --deselect tests/helpers/test_projected_normal.py::test_compiled_it_is_the_same \
	--deselect tests/helpers/test_torchvision_compat.py::test_it_also_works_after_somebody_declared_the_operators \
	--deselect "tests/fitting/test_resume_crafted.py::test_tensors_that_are_not_those_of_the_model_are_named[empty moments]" \
	--deselect "tests/processes/test_distributed.py::test_two_processes_leave_the_run_of_one[identity]"

## the core's tests with the lowest versions that it declares (intelvae-study needs a later pydantic); minutes, 6 GB
test-lowest: export OMP_NUM_THREADS ?= 1
test-lowest:
	$(OLDEST) -m venv $(LOWEST)
	$(OLDEST) tests/lowest.py > $(LOWEST)/versions.txt
	$(LOWEST_INSTALL) hatchling editables torch numpy
	$(LOWEST_INSTALL) --no-build-isolation -e '.[dev]'
	$(LOWEST_INSTALL) --no-build-isolation $(foreach project,$(filter-out . plugins/study,$(PROJECTS)),-e $(project))
	$(LOWEST)/bin/python -m pytest -q -n $(WORKERS) --dist worksteal -m "not slow" tests --ignore tests/whole $(OTHERWISE)

## one table of every ratio; pythae is there for its speed to be compared with, nothing else needs it
bench: $(READY)
	$(INSTALL) pythae
	$(BIN)/python benchmarks/table.py

wheels: $(READY)
	for project in $(PROJECTS); do \
		$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation -w dist $$project || exit 1; done

clean:
	rm -rf $(VENV) dist build
