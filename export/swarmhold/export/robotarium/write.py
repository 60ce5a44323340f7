"""`swarmhold robotarium`: a bundle and a team as a folder that the Robotarium's server can run."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import tyro

from swarmhold.export.robotarium.interpreter import OPERATORS, Graph
from swarmhold.hardware.bundle import Bundle, open_bundle
from swarmhold.hardware.cli.config import parse, print_json, say
from swarmhold.hardware.errors import BundleError, ConfigError
from swarmhold.hardware.shipped import located
from swarmhold.hardware.signing import load_public
from swarmhold.sim.field import Field
from swarmhold.sim.ground.engine import TICK
from swarmhold.sim.robots import GRITSBOT
from swarmhold.sim.scenarios.navigation import GOAL_RADIUS

ROBOT, SCENARIO = "gritsbot", "navigation"
TOLERANCE = 1e-5
# What the script needs of ours: numpy and the standard library are all that these import.
VENDORED = (
    *("swarmhold.hardware.errors", "swarmhold.hardware.messages", "swarmhold.hardware.observe"),
    *("swarmhold.hardware.spec", "swarmhold.hardware.surroundings", "swarmhold.hardware.types"),
    "swarmhold.export.robotarium.interpreter",
)
ENTRY = "swarmhold.export.robotarium.experiment"


@dataclass(frozen=True)
class RobotariumArgs:
    """Write a submission folder for the Robotarium: flat files, main.py, numpy alone."""

    bundle: Annotated[Path, tyro.conf.Positional]
    """Bundle of the scenario navigation."""
    out: Path
    """New folder."""
    robots: int = 3
    """Team size."""
    seed: int = 0
    """Of starts and goals."""
    seconds: float = 50.0
    """Longest length of the experiment."""
    key: tuple[Path, ...] = ()
    """Public keys, one of which must have signed the bundle."""
    json: bool = False
    """Print what was written as JSON."""


def main(argv: list[str]) -> int:
    """Write the folder."""
    args = parse(RobotariumArgs, argv, "swarmhold robotarium")
    if args.robots < 1 or args.seconds <= 0:
        raise ConfigError("need at least one robot, and --seconds above 0")
    bundle = open_bundle(args.bundle, load_public(args.key))
    worst = write(bundle, located(args.bundle), args)
    files = sorted(file.name for file in args.out.iterdir())
    found = {"folder": str(args.out), "files": files, "worst_gap": worst}
    if args.json:
        print_json(found)
    else:
        say(f"{args.out}: {', '.join(files)}; upload all of them, main.py is to be run")
        say(f"numpy and ONNX Runtime agree on the golden vectors to {worst:.1g}")
    return 0


def write(bundle: Bundle, path: Path, args: RobotariumArgs) -> float:
    """Write everything; returns how far numpy is off on the golden vectors.

    Raises:
        ConfigError: the bundle is none for the Robotarium, or the folder is there already.
        BundleError: its graph does not come out the same on numpy.
    """
    manifest = bundle.manifest
    if (manifest.robot, manifest.scenario) != (ROBOT, SCENARIO) or manifest.memory is not None:
        raise ConfigError(
            f"{args.bundle} is for {manifest.robot} in {manifest.scenario}; what can be submitted "
            f"is a policy without memory for {ROBOT} in {SCENARIO}, whose goals stand still"
        )
    if not (path / "model.onnx").is_file():
        raise ConfigError(f"{args.bundle} is no folder; unpack the archive, or name what is in it")
    if args.out.exists():
        raise ConfigError(f"{args.out} exists already; choose a new folder")
    numbers = table_of(path / "model.onnx")
    worst = gap(Graph(numbers), path / "golden.npz", bundle)
    args.out.mkdir(parents=True)
    np.savez(args.out / "policy.npz", **numbers)
    (args.out / "experiment.json").write_text(json.dumps(_plan(args, bundle), indent=1) + "\n")
    for module in (*VENDORED, ENTRY):
        name = "main" if module == ENTRY else _flat(module)
        (args.out / f"{name}.py").write_text(_flattened(module))
    return worst


def table_of(model: Path) -> dict[str, Any]:
    """The graph of a model as steps and numbers; see `interpreter`.

    Raises:
        BundleError: it has an operator that the interpreter does not know.
    """
    graph = onnx.load(str(model)).graph
    numbers: dict[str, Any] = {}
    named: dict[str, str] = {}

    def keep(name: str, value: Any) -> None:
        named[name] = f"n{len(named)}"
        numbers[named[name]] = value

    for initializer in graph.initializer:
        keep(initializer.name, onnx.numpy_helper.to_array(initializer))
    steps = []
    for node in graph.node:
        options: dict[str, Any] = {}
        for attribute in node.attribute:
            value = onnx.helper.get_attribute_value(attribute)
            if attribute.type == onnx.AttributeProto.TENSOR:
                keep(f"{node.output[0]}@", onnx.numpy_helper.to_array(value))
                value = f"={node.output[0]}@"
            elif not isinstance(value, (int, float)):
                value = list(value)
            options["axes_" if attribute.name == "axes" else attribute.name] = value
        if node.op_type == "Constant":
            named[node.output[0]] = named.pop(f"{node.output[0]}@")
            continue
        if node.op_type not in OPERATORS:
            raise BundleError(f"{model}: numpy has no operator {node.op_type!r} here")
        steps.append(
            {
                "operator": node.op_type, "inputs": list(node.input), "output": node.output[0],
                "options": options,
            }
        )  # fmt: skip
    told = {"steps": steps, "outputs": [out.name for out in graph.output], "numbers": named}
    numbers["graph"] = np.frombuffer(json.dumps(told).encode(), np.uint8)
    return numbers


def gap(graph: Graph, golden: Path, bundle: Bundle) -> float:
    """Largest difference from the golden vectors.

    Raises:
        BundleError: it is larger than rounding explains.
    """
    worst = 0.0
    with np.load(golden, allow_pickle=False) as stored:
        for case in sorted({name.split("_", 1)[0] for name in stored.files}):
            feeds = {name: stored[f"{case}_{name}"] for name in bundle.inputs}
            for name, value in zip(bundle.outputs, graph(feeds), strict=True):
                off = np.abs(value - stored[f"{case}_{name}"]).max()
                worst = float(np.maximum(worst, off))
    if not worst <= TOLERANCE:
        raise BundleError(f"on numpy the golden vectors come out {worst:.2g} off; do not submit it")
    return worst


def _plan(args: RobotariumArgs, bundle: Bundle) -> dict[str, Any]:
    """Where robots begin and what they are to do."""
    places = Field(SCENARIO, ROBOT, args.robots, args.seed).places
    start = np.column_stack([places.position[0], places.yaw[0]])
    ticks = round(1.0 / (bundle.spec.rate_hz * TICK))
    body = {name: getattr(GRITSBOT, name) for name in ("near_range", "height", "radius")}
    return {
        "bundle": bundle.manifest.name,
        "digest": bundle.digest,
        "start": start.tolist(),
        "goals": places.landmarks.position[0, : args.robots].tolist(),
        "decision_ticks": ticks,
        "decision_s": ticks * TICK,
        "ticks": round(args.seconds / TICK),
        "goal_radius": GOAL_RADIUS,
        "body": body,
    }


def _flat(module: str) -> str:
    return "swarmhold_" + module.rpartition(".")[2]


def _flattened(module: str) -> str:
    """A module's text, with imports of ours as they are in the flat folder."""
    file = Path(__file__).with_name("experiment.py")  # which only the testbed can import
    if module != ENTRY:
        file = Path(str(importlib.import_module(module).__file__))
    text = file.read_text()
    return re.sub(r"(?<=from )swarmhold(\.\w+)+(?= import)", lambda m: _flat(m[0]), text)
