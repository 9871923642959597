# The commands of the README. Everything is installed into .venv of this checkout.
PYTHON ?= python3
BIN := .venv/bin
# three workers on two cores, since tests of servers mostly wait; tests of one group stay together
WORKERS ?= -n 3 --dist loadgroup --no-loadscope-reorder
# some fast tests wait for time limits: 3:28 with three workers, 3:55 with two; the plug-ins, which
# these tests do not use, take 1 s of each worker
FAST ?= -n 3 --dist loadgroup --no-loadscope-reorder -p no:schemathesis -p no:nbmake
# seconds for each cell, so that the cell is named if it hangs
NOTEBOOKS := --nbmake --nbmake-timeout=600
# without bytecode each child process of a test would compile 1,000 modules, for 4 seconds
unexport PYTHONDONTWRITEBYTECODE
# three workers on two cores: a thread of torch that waits must not keep a core busy
export OMP_WAIT_POLICY := PASSIVE
# what tests start, COMMAND:PACKAGE; the -core packages bring no service that Debian would start
SERVICES := mariadbd:mariadb-server-core my_print_defaults:mariadb-client-core \
  chromium:chromium chromedriver:chromium-driver
# fails if a file is changed or untracked; ignored files do not count
CLEAN := changes=$$(git status --porcelain --untracked-files) && [ -z "$$changes" ] || \
  { echo "$$changes"; echo 'commit, stash or remove these first'; exit 1; }
.PHONY: help demo docs test pytest test-fast services notebooks check bench soak wheel smoke smoke-small release clean

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

# the tilde, because only some shells expand it here
demo: .venv/.core  ## search PHOTOS=FOLDER, or a gallery, and write demo/index.html
	$(BIN)/python -m imgsearch demo $(if $(PHOTOS),"$(subst ~/,$(HOME)/,$(PHOTOS))")

test: check pytest  ## everything: linters, types, layers, tests, notebooks

pytest: .venv/.dev services
	$(BIN)/python -m pytest $(WORKERS) -m 'not nightly' $(NOTEBOOKS) tests notebooks

test-fast: .venv/.dev  ## tests without servers, emulated stores, browser, torch, long runs: 3 min
	$(BIN)/python -m pytest $(FAST) -m fast

services:  ## as root: Debian's MariaDB and Chromium, for tests
	@missing=$$(PATH="$$PATH:/usr/sbin"; for each in $(SERVICES); do \
	  command -v "$${each%:*}" > /dev/null || printf ' %s' "$${each#*:}"; done); \
	if [ -z "$$missing" ]; then exit; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing > /dev/null && exit; \
	fi; echo "some tests skip without these: apt-get install$$missing"

notebooks: .venv/.dev  ## run the codelabs from a clean kernel
	$(BIN)/python -m pytest $(WORKERS) $(NOTEBOOKS) notebooks

check: .venv/.dev  ## linters, types, layers, words
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy
	$(BIN)/python -c 'from importlinter.cli import lint_imports_command as lint; lint()'
	$(BIN)/python -m tools.words

bench: .venv/.dev  ## ratios of one run; see tests/benchmarks/README.md
	$(BIN)/python -m tests.benchmarks

soak: .venv/.dev services  ## the long runs: kills, load, fuzzing
	$(BIN)/python -m pytest -m nightly
	$(BIN)/python -m tests.soak

# an environment of its own, because `make --jobs` builds while .venv is installed
wheel: | .venv/bin/python  ## build dist/*.whl
	rm -rf dist .venv-build
	$(PYTHON) -m venv --without-pip .venv-build
	$(BIN)/python -m pip --python .venv-build install --quiet --no-compile build hatchling
	.venv-build/bin/python -m build --no-isolation --outdir dist .

# NO_MKDOCS_2_WARNING: without it MkDocs prints an advertisement
docs: .venv/.dev  ## build the documentation into site/; a dead link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

# -P: the folder of the script has a package towhee, which must not shadow Towhee
smoke: wheel  ## try the wheel in an environment of its own
	rm -rf .venv-smoke
	$(PYTHON) -m venv --without-pip .venv-smoke
	$(BIN)/python -m pip --python .venv-smoke install --quiet --no-compile dist/*.whl
	.venv-smoke/bin/python -P tests/smoke.py

smoke-small: wheel  ## as smoke, with the small lists of docs/install.md
	rm -rf .venv-smoke
	$(PYTHON) -m venv --without-pip .venv-smoke
	$(BIN)/python -m pip --python .venv-smoke install --quiet --no-compile --no-deps -r requirements/small-tencent.txt dist/*.whl
	.venv-smoke/bin/python -P tests/smoke_small.py

# the tree is checked first and again at the end, because checks take minutes
release:  ## check and tag the version of a clean tree; publishes nothing
	@$(CLEAN)
	@$(MAKE) check wheel
	@$(CLEAN)
	@version=$$($(BIN)/python -c 'from imgsearch.distribution import VERSION; print(VERSION)'); \
	grep -q "^## \[$$version\]" CHANGELOG.md || { echo "CHANGELOG.md has no section [$$version]"; exit 1; }; \
	$(BIN)/python -m twine check --strict dist/* && git tag --annotate "v$$version" --message "imgsearch $$version" && \
	echo "tagged v$$version; dist/ has the wheel. Run make test before you publish it."

clean:  ## remove what the commands above made
	rm -rf .venv .venv-build .venv-smoke demo dist build site

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or newer is needed; name one: make PYTHON=python3.12 …'; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; \
	  [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null || \
	    { echo 'Debian keeps venv in a package of its own: apt-get install python3-venv'; exit 1; }; \
	  apt-get update && apt-get install -y python3-venv && $(PYTHON) -m venv .venv; }

# --no-compile: of some 25,000 modules few are imported, and those are compiled then
.venv/.core: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --no-compile --editable .
	touch $@

# --no-deps: this Daft forbids pyarrow 26, which the other packages take and with which tests pass
.venv/.dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[torch,dev]'
	$(BIN)/python -m pip install --quiet --no-compile --no-deps 'daft==0.7.26'
	touch .venv/.core $@
