# Two commands on a fresh machine: `make demo` and `make test`. Each sets up what it needs.
PYTHON ?= python3.11
WORKERS ?= 3
BIN := .venv/bin
export OMP_NUM_THREADS = 1

.PHONY: setup demo test lint bench clean

setup:
	@command -v $(PYTHON) >/dev/null || { echo "setup: $(PYTHON) is missing; install Python 3.11 with its headers and venv module (apt install python3.11-dev python3.11-venv), or name one with make PYTHON=..." >&2; exit 2; }
	@$(PYTHON) tools/setup.py

demo: setup
	$(BIN)/swarmhold demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Live robots wait more than they compute: three small teams run side by side, the rest alone, last.
test: lint
	$(BIN)/pytest -m "not system" -n $(WORKERS) -q
	$(BIN)/pytest -m "system and not quiet" -n $(WORKERS) -q
	$(BIN)/pytest -m quiet -q

bench: setup
	$(BIN)/swarmhold bench onnx export/swarmhold/export/bundles/rendezvous-epuck
	$(BIN)/swarmhold bench detection export/swarmhold/export/bundles/rendezvous-epuck --events 8

clean:
	rm -rf .venv runs flights dist ros2_ws/build ros2_ws/install ros2_ws/log
