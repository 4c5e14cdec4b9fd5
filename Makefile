# Two commands on a fresh machine with Python 3.11 to 3.13, pip, make and git: make train, make test.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install train test test-slow test-long test-all mutants peers serve audit clean

install: .venv/dev

# One environment that grows: make serve needs no TensorFlow, make train adds it, make test adds the tools.
# The newest pip, and compilation by all cores rather than by pip, take two thirds of the time (docs/log.md). What cannot
# be compiled is never imported: packages bring files for other versions of Python
PIP_INSTALL := pip install --quiet --disable-pip-version-check --no-compile

.venv/serve .venv/train .venv/dev: pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv --upgrade-deps .venv
	$(BIN)/$(PIP_INSTALL) --constraint constraints.txt --editable '.[$(@F)]'
	$(BIN)/python -m compileall -qq -j 0 .venv/lib || true
	touch $@ $(if $(filter dev,$(@F)),.venv/serve .venv/train)

# The S3 server that a slow test trains and serves from, apart from what is tested
.venv-s3/installed: tests/end_to_end/s3_server/requirements.txt
	$(PYTHON) -m venv --upgrade-deps .venv-s3
	.venv-s3/bin/$(PIP_INSTALL) --requirement $<
	touch $@

# What the benchmark's part `reading` is set beside, apart from what is measured
peers: .venv-peers/installed

.venv-peers/installed: digits/benchmarks/peers/requirements.txt
	$(PYTHON) -m venv --upgrade-deps .venv-peers
	.venv-peers/bin/$(PIP_INSTALL) --requirement $<
	touch $@

# The article's two networks on the real digits; ARGS adds flags: make train ARGS="--seeds 0 1 2"
train: .venv/train
	$(BIN)/python jobs/train.py --architecture both $(ARGS)

# What a change must pass, in at most five minutes. What starts no Ray runs in two processes at a time; the others have
# one of their own, since a Ray that starts beside another one on a busy machine may not be up in time
WITHOUT_RAY := tests/regression $(addprefix tests/end_to_end/test_,abuse.py audit.py clients.py page.py reader_job.py \
  serve_commands.py tune_job.py job_submit.py benchmark.py relative_paths.py install.py) \
  $(addprefix tests/integration/test_,gpus.py inference_equality.py loop.py page_network.py)

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not slow and not long" --durations 10 --numprocesses 2 --dist loadfile tests/unit tests/mutation $(WITHOUT_RAY) $(ARGS)
	$(BIN)/python -m pytest -m "not slow and not long" --durations 10 tests/end_to_end tests/integration $(addprefix --ignore=,$(WITHOUT_RAY)) $(ARGS)

# The long ones: real processes, kills, several nodes. One at a time: a Ray that starts beside others may not be up in time
test-slow: install .venv-s3/installed
	$(BIN)/python -m pytest -m "slow and not long" --durations 25 $(ARGS)

# Soaks, and every command of the documents: before a release
test-long: install .venv-s3/installed
	$(BIN)/python -m pytest -m long $(ARGS)

test-all: test test-slow

# Which small changes to the guards their tests do not notice; goes on where it was interrupted
mutants: install
	$(BIN)/python -m tests.mutation.run $(ARGS)

# The service on http://127.0.0.1:8000, with the shipped checkpoint until runs/ has a better one
serve: .venv/serve
	$(BIN)/digits serve $(ARGS)

# Known vulnerabilities among the installed versions; asks a vulnerability service over the network
audit: install
	installed=$$($(BIN)/pip freeze --all --exclude-editable --exclude digits-mnist) && \
	echo "$$installed" | $(BIN)/pip-audit --requirement /dev/stdin --no-deps --disable-pip --strict

clean:
	rm -rf .venv .venv-s3 .venv-peers
