"""`swarmhold <verb>`: finds the verb, runs it, turns errors into one line."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points, version

from swarmhold.hardware.errors import SwarmholdError

GROUP = "swarmhold.verbs"
SUMMARY = {
    "doctor": "what this machine can do, and what is missing",
    "demo": "the whole line in one command: fly a team, break it, write a report",
    "play": "a scenario by its scripted heuristic; figures and a clip",
    "train": "train a team policy in simulation",
    "evaluate": "fault x weight-source table of a run, a bundle or the heuristic",
    "finetune": "a deployed policy on recordings of its flights, within limits",
    "validate": "the fast twin against PyBullet",
    "export": "a training run to a sealed bundle",
    "calibrate": "thresholds of a bundle, from flights without faults",
    "verify": "check a bundle as a robot would",
    "keygen": "a key pair to sign bundles with",
    "sign": "vouch for a bundle with a key",
    "keystore": "SROS 2 keys and permissions of a team, from its fleet file",
    "promote": "a bundle into a robot's slot, and back",
    "bench": "simulators, inference time, detection delay, false alarms",
    "fly": "a bundle on N robots, one process each, over ROS 2",
    "estop": "stop every robot of a team, and count who confirms it",
    "console": "the operator's page: a live team, a recording or a simulation",
    "faults": "fault plans in simulation and live, scored; every kind of fault by itself",
    "emulate": "N simulated robots that answer as Crazyflies or MAVLink vehicles",
    "slices": "a team whose robots hear only whom they must: learn, cut, seal",
    "robotarium": "a bundle as a folder that the Robotarium's server can run",
    "replay": "a recorded flight through controllers and supervisor, or another bundle's",
    "dataset": "make data to learn from out of recorded flights, and describe it",
    "gap": "how far robots are from their simulation, and what to train with",
    "autopsy": "who failed first in a recorded flight, and how it spread",
    "report": "flight recordings to one HTML page",
}
EXTRA_OF = {
    "pybullet": "sim",
    "pybullet_data": "sim",
    "scipy": "sim",
    "numba": "sim",
    "gymnasium": "adapters",
    "pettingzoo": "adapters",
    "matplotlib": "plot",
    "PIL": "plot",
    "ray": "ray",
    "flashbax": "vault",
    "safetensors": "train",
    "tensorboard": "train",
    "torch": "train",
    "cflib": "crazyflie",
    "cryptography": "sign",
    "mavsdk": "mavlink",
    "pymavlink": "emulate",
    "onnx": "export",
    "builtin_interfaces": "ros",
    "diagnostic_msgs": "ros",
    "geometry_msgs": "ros",
    "lifecycle_msgs": "ros",
    "nav_msgs": "ros",
    "rcl_interfaces": "ros",
    "rclpy": "ros",
    "std_msgs": "ros",
    "rosbags": "record",
    "fastapi": "console",
    "starlette": "console",
    "uvicorn": "console",
}
USER_ERROR = 2
INTERRUPTED = 130  # as a shell reports SIGINT
PIPE_CLOSED = 141  # as a shell reports SIGPIPE


def main(argv: list[str] | None = None) -> int:
    """Entry point of the command.

    Args:
        argv: arguments; those of the process by default.

    Returns:
        The verb's exit code; 2 for what the user can cure, 130 for Ctrl-C.
    """
    args = sys.argv[1:] if argv is None else argv
    # Networks this small are computed by one core; two that are busy take many times as long.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    verbs = {point.name: point for point in entry_points(group=GROUP)}
    if not args or args[0] in ("-h", "--help", "help"):
        print(usage(verbs))
        return 0
    if args[0] == "--version":
        print(f"swarmhold {version('swarmhold')}")
        return 0
    verb, rest = args[0], args[1:]
    if verb not in verbs:
        return _fail(f"unknown verb {verb!r}{_nearest(verb, verbs)}; see swarmhold --help")
    return _run(verb, verbs[verb], rest)


def _run(verb: str, point: EntryPoint, rest: list[str]) -> int:
    try:
        code = int(point.load()(rest) or 0)
        sys.stdout.flush()
        return code
    except SwarmholdError as error:
        return _fail(f"{verb}: {error}")
    except ModuleNotFoundError as error:
        line = missing_module(error)
        if line is None:
            raise
        return _fail(f"{verb}: {line}")
    except KeyboardInterrupt as stop:
        detail = f": {stop}" if str(stop) else ""
        return _fail(f"{verb}: stopped{detail}", INTERRUPTED)
    except BrokenPipeError:
        # The reader left; keep the interpreter from complaining when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return PIPE_CLOSED
    except OSError as error:
        return _fail(f"{verb}: {error}")


def missing_module(error: ModuleNotFoundError) -> str | None:
    """What to install for a module that is missing.

    Args:
        error: of the import.

    Returns:
        One line with the cure; None if the module belongs to no extra, which is a bug here.
    """
    name = (error.name or "").split(".")[0]
    if name == "swarmhold_msgs":
        return "the ROS messages are not built; run make setup, or colcon build in ros2_ws"
    if name in EXTRA_OF:
        return f"{name} is missing; install it: pip install 'swarmhold[{EXTRA_OF[name]}]'"
    return None


def usage(verbs: Mapping[str, EntryPoint]) -> str:
    """The list of verbs; loads none of them."""
    lines = ["usage: swarmhold VERB [options]     swarmhold VERB --help", ""]
    wide = max(map(len, (*SUMMARY, *verbs)))
    lines += [f"  {name:<{wide}}  {SUMMARY[name]}" for name in SUMMARY if name in verbs]
    added = sorted(set(verbs) - set(SUMMARY))
    lines += [f"  {name:<{wide}}  of {_owner(verbs[name])}" for name in added]
    lines += ["", "Options can come from a YAML file: --config FILE. Errors are one line, exit 2."]
    return "\n".join(lines)


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.module


def _fail(line: str, code: int = USER_ERROR) -> int:
    print(f"swarmhold {' '.join(line.split())}", file=sys.stderr)
    return code


def _nearest(word: str, choices: Mapping[str, EntryPoint]) -> str:
    close = difflib.get_close_matches(word, choices, n=1)
    return f", did you mean {close[0]!r}?" if close else ""
