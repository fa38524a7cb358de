# Two commands for a newcomer: `make run` and `make test`. Everything here can be done by hand; the README shows how.
CONFIG ?= configs/flow/demo.yaml
ARGS ?=
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# With only a few cores, one thread per test process is faster than all threads in each.
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: run test test-slow test-floors check format bench clean

run: $(VENV)/installed
	$(BIN)/python train.py --config $(CONFIG) $(ARGS)

test: $(VENV)/installed-dev
	$(TEST) -m "not slow and not gpu" $(ARGS)

test-slow: $(VENV)/installed-dev
	$(TEST) -m "slow and not gpu" $(ARGS)

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy sevenfold
	$(BIN)/python benchmarks/shape.py
	$(MAKE) test

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed-dev
	for script in benchmarks/*.py; do echo "== $$script"; PYTHONPATH=. $(BIN)/python $$script || exit 1; done

# uv resolves and installs in a fraction of pip's time; it comes from the same package index as everything else.
$(VENV)/installed: setup.cfg
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --python $(BIN)/python --editable .
	$(BIN)/python -c "import torchvision.ops" || (echo "torch and torchvision do not fit together: remove $(VENV) and try again" && false)
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/uv pip install --python $(BIN)/python --editable ".[dev]"
	touch $@

# The lowest versions that setup.cfg allows, in an environment of their own.
test-floors:
	test -x .venv-floors/bin/python || $(PYTHON) -m venv .venv-floors
	.venv-floors/bin/python -m pip install --quiet uv
	.venv-floors/bin/uv pip install --python .venv-floors/bin/python -r requirements-min.txt --editable ".[dev]"
	OMP_NUM_THREADS=1 .venv-floors/bin/python -m pytest -n 2 --dist worksteal -m "not slow and not gpu" $(ARGS)

clean:
	rm -rf $(VENV) .venv-floors build dist *.egg-info
