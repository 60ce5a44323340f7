"""Decisions run on monotonic clocks; the wall clock is for stamps, recordings and people."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLYING = [
    *(ROOT / "ros2_ws/src/swarmhold_nodes/swarmhold_nodes").glob("*.py"),
    *(ROOT / "hardware/swarmhold/hardware").glob("*.py"),
    *(ROOT / "hardware/swarmhold/hardware/injection").glob("*.py"),
    *(ROOT / "hardware/swarmhold/hardware/drivers").glob("*.py"),
]
# Where a wall-clock time may go: into messages and status lines, as a stamp.
STAMPS = {"stamp_of", "_send", "tick", "say", "dumps", "signed"}


def is_wall(node):
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.time", "time.time_ns")


def allowed(tree):
    """Calls that end in a stamp: as an argument, or by way of a variable of that name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).split(".")[-1]
            values = [*node.args, *(word.value for word in node.keywords)]
            if name == "dumps":
                values = [value for d in values if isinstance(d, ast.Dict) for value in d.values]
            if name in STAMPS:
                yield from filter(is_wall, values)
            for word in node.keywords:
                if word.arg == "stamp":
                    yield from filter(is_wall, ast.walk(word.value))
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "stamp":
            yield from filter(is_wall, [node.value])


def test_wall_clock_times_end_as_stamps():
    seen = 0
    for path in FLYING:
        if path.stem in ("recorder", "jumped_supervisor", "fault_orders"):
            # Stamps what it receives; breaks its own clock; refuses orders of another time.
            continue
        tree = ast.parse(path.read_text())
        calls = {id(node): node.lineno for node in ast.walk(tree) if is_wall(node)}
        good = {id(node) for node in allowed(tree)}
        bad = [f"{path.name}:{line}" for call, line in calls.items() if call not in good]
        assert not bad, f"a decision may hang on the wall clock: {bad}"
        seen += len(calls)
    assert seen >= 5, "the check looks where there is something to see"
