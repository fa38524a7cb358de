# Two commands for a newcomer: `make run` and `make test`. Everything here can be done by hand; the README shows how.
CONFIG ?= configs/flow/demo.yaml
ARGS ?=
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# With only a few cores, one thread per test process is faster than all threads in each.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal
TEST := OMP_NUM_THREADS=1 $(PYTEST)
# What else may compute the numbers: kernels without AVX, with AVX2, with two threads that share each sum.
PLAIN := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE OPENBLAS_CORETYPE=Nehalem
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_CBWR=AVX2 OPENBLAS_CORETYPE=Haswell

.PHONY: run test test-slow test-processors test-gpu test-floors check format bench docs gallery scoreboard clean

run: $(VENV)/installed
	$(BIN)/python train.py --config $(CONFIG) $(ARGS)

test: $(VENV)/installed-dev
	$(TEST) -m "not slow and not gpu" $(ARGS)

test-slow: $(VENV)/installed-dev
	$(TEST) -m "slow and not gpu" $(ARGS)

# The fast tests as other processors would compute them; three times as long as `make test`.
test-processors: $(VENV)/installed-dev
	for kernels in "$(PLAIN) OMP_NUM_THREADS=1" "$(AVX2) OMP_NUM_THREADS=1" "OMP_NUM_THREADS=2"; do \
		echo "== $$kernels"; \
		env $$kernels $(PYTEST) -m "not slow and not gpu" $(ARGS) || exit 1; \
	done

# The tests of tensor code once more on the first CUDA device.
test-gpu: $(VENV)/installed-dev
	@if $(BIN)/python -c "import sys, torch; sys.exit(not torch.cuda.is_available())"; \
	then $(BIN)/python -m pytest -m gpu $(ARGS); \
	else echo "no GPU here: PyTorch sees no CUDA device, so there is nothing that make test-gpu could run"; fi

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy sevenfold lightning_modules datamodules
	$(BIN)/python benchmarks/shape.py
	$(MAKE) test

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed-dev
	for script in $(filter-out benchmarks/gpu.py benchmarks/scoreboard.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; PYTHONPATH=. $(BIN)/python $$script || exit 1; done

# The documentation, as docs/_build/html/index.html: every example runs, a warning is an error.
docs: $(VENV)/installed-docs scoreboard
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

# The pictures of README and pages, from the recipes and examples of docs/gallery.yaml.
gallery: $(VENV)/installed-dev
	PYTHONPATH=. $(BIN)/python docs/gallery.py $(NAMES)

# docs/scoreboard.md, docs/performance.md and the tables of the systems' pages, from results/*.json.
scoreboard: $(VENV)/installed-dev
	$(BIN)/python benchmarks/scoreboard.py

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

$(VENV)/installed-docs: $(VENV)/installed-dev
	$(BIN)/uv pip install --python $(BIN)/python --editable ".[docs]"
	touch $@

# The lowest versions that setup.cfg allows, in an environment of their own.
test-floors:
	test -x .venv-floors/bin/python || $(PYTHON) -m venv .venv-floors
	.venv-floors/bin/python -m pip install --quiet uv
	.venv-floors/bin/uv pip install --python .venv-floors/bin/python -r requirements-min.txt --editable ".[dev]"
	OMP_NUM_THREADS=1 .venv-floors/bin/python -m pytest -n 2 --dist worksteal -m "not slow and not gpu" $(ARGS)

clean:
	rm -rf $(VENV) .venv-floors build dist *.egg-info docs/_build docs/gallery
