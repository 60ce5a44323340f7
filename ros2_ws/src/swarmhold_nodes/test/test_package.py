"""The package as colcon sees it: every node module is there and has an entry point."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NODES = (
    *("policy_node", "policy_group", "supervisor_node", "world_node"),
    *("bases_node", "driver_node", "field_node", "fault_node", "estop_node", "recorder"),
)


def test_every_node_has_a_main():
    for name in NODES:
        tree = ast.parse((ROOT / "swarmhold_nodes" / f"{name}.py").read_text())
        assert "main" in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}


def test_setup_lists_every_node():
    text = (ROOT / "setup.py").read_text()
    assert all(f"{name} = swarmhold_nodes.{name}:main" in text for name in NODES)
