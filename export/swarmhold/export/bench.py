"""`swarmhold bench`: what is measured, never asserted, on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from swarmhold.hardware.bundle import HIDDEN, Bundle, open_bundle
from swarmhold.hardware.cli.config import parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.fleet import campaign, cycles, many

TEAMS = (2, 5, 10, 20, 50)
LIVE = ("detection", "soak")


@dataclass(frozen=True)
class OnnxArgs:
    """Inference time of a bundle against team size, one robot, one thread."""

    bundle: Annotated[Path, tyro.conf.Positional]
    """Bundle folder or zip archive."""
    repeats: int = 2000
    """Inferences per team size."""
    json: bool = False
    """One JSON object on standard output."""


USAGE = """usage: swarmhold bench NAME [options]; swarmhold bench NAME --help

  sim          simulators: hovering quadrotors against gym-pybullet-drones and crazyflow
  ground       Robotarium robots and their barrier, against JaxRobotarium and its simulator
  train        the MAPPO update against the textbook one, and where an iteration goes
  learning     tables of evidence on fault tolerance and robustness, from nothing
  autopsy      who failed first, by Patient-0 and by simpler ways, where the truth is known
  pjap         replay priorities for offline learning, on games with two players
  offline      a deployed policy fine-tuned on recordings, with priorities and without
  bun          who must hear whom: sparse joint policies grown edge by edge, against dense ones
  detectors    delays, misses and false alarms of the health chain, simulated at batch speed
  witnesses    how fast a team learns of a failure when robots hear only some of the others
  drills       what a team feels of dead, doubled, lying and repeated supervisors
  onnx         inference time of a bundle against team size
  detection    how fast live robots learn of a killed or hung one
  soak         false alarms, periods and memory of live robots over hours
  cycles       what a fleet leaves behind that is started and stopped again and again
  many         live teams of growing size: what one more robot costs, and what still arrives"""


def main(argv: list[str]) -> int:
    """Run one bench."""
    name = argv[0] if argv else "--help"
    if name in ("-h", "--help"):
        say(USAGE)
        return 0
    if name == "onnx":
        return _onnx(argv[1:])
    if name == "cycles":
        return cycles.main(argv[1:])
    if name == "many":
        return many.main(argv[1:])
    if name in LIVE:
        return campaign.main(name, argv[1:])
    if name in ("sim", "ground"):
        from swarmhold.sim.bench import cli

        return cli.sim(argv[1:]) if name == "sim" else cli.ground(argv[1:])
    if name == "learning":
        from swarmhold.policies.learning.cli import main as learning

        return learning(argv[1:])
    if name == "autopsy":
        from swarmhold.policies.forensics.bench_cli import main as autopsy

        return autopsy(argv[1:])
    if name == "pjap":
        from swarmhold.policies.offline.pjap_cli import main as pjap

        return pjap(argv[1:])
    if name == "offline":
        from swarmhold.policies.offline.offline_cli import main as offline

        return offline(argv[1:])
    if name == "bun":
        from swarmhold.policies.bun.cli import main as bun

        return bun(argv[1:])
    if name == "detectors":
        from swarmhold.policies.detectors_cli import main as detectors

        return detectors(argv[1:])
    if name == "witnesses":
        from swarmhold.sim.witnesses_cli import main as witnesses

        return witnesses(argv[1:])
    if name == "drills":
        from swarmhold.policies.drills_cli import main as drills

        return drills(argv[1:])
    if name == "train":
        from swarmhold.policies.bench import train

        return train(argv[1:])
    known = ", ".join(line.split()[0] for line in USAGE.splitlines()[2:])
    raise ConfigError(f"unknown bench {name!r}; choose one of: {known}")


def _onnx(argv: list[str]) -> int:
    args = parse(OnnxArgs, argv, "swarmhold bench onnx")
    bundle = open_bundle(args.bundle)
    rows = [time_team(bundle, robots, args.repeats) for robots in TEAMS]
    if args.json:
        print_json({"bundle": str(args.bundle), "digest": bundle.digest, "rows": rows})
        return 0
    say(f"{args.bundle}: inference of one robot, ms")
    say("robots     p50     p90     p99     max")
    for row in rows:
        times = "".join(f"{1e3 * row[name]:8.3f}" for name in ("p50", "p90", "p99", "max"))
        say(f"{row['robots']:6d}{times}")
    return 0


def time_team(bundle: Bundle, robots: int, repeats: int) -> dict[str, Any]:
    """Distribution of the inference time, s.

    Args:
        bundle: opened bundle.
        robots: team size; as many landmarks and four bodies.
        repeats: number of inferences; a tenth more go before as warm-up.
    """
    rng, spec = np.random.default_rng(robots), bundle.spec
    feeds = {
        "self": rng.normal(size=(1, spec.self_size)),
        "team": rng.normal(size=(1, robots - 1, spec.team_size)),
        "health": np.ones((1, robots - 1)),
        "obstacles": rng.normal(size=(1, robots + 4, spec.obstacle_size)),
        "obstacle_mask": np.ones((1, robots + 4)),
    }
    if bundle.manifest.memory is not None:
        feeds[HIDDEN] = rng.uniform(-1.0, 1.0, (1, bundle.manifest.memory.size))
    feeds = {name: feeds[name].astype(np.float32) for name in bundle.inputs}
    spent = np.zeros(repeats)
    for index in range(-(repeats // 10), repeats):
        started = time.perf_counter()
        bundle.session.run(bundle.outputs, feeds)
        if index >= 0:
            spent[index] = time.perf_counter() - started
    p50, p90, p99 = np.percentile(spent, [50, 90, 99])
    return {
        "robots": robots,
        "p50": float(p50),
        "p90": float(p90),
        "p99": float(p99),
        "max": float(spent.max()),
        "n": repeats,
    }
