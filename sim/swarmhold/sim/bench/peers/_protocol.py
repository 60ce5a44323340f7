"""What every peer script does: say that it is ready, then answer rounds. Standard library only."""

import importlib.metadata
import json
import sys
import time


def options(**defaults):
    """Options of the command line, name=value, as the types of the defaults."""
    given = dict(part.split("=", 1) for part in sys.argv[1:])
    return {name: type(value)(given.get(name, value)) for name, value in defaults.items()}


def serve(action, steps, seconds, *packages, notes=()):
    """Answer rounds until the end of input.

    Args:
        action: called again and again for `seconds` of CPU time.
        steps: what one call is worth.
        seconds: of a round.
        packages: whose versions to tell.
        notes: lines on what is wrong with the peer, if anything.
    """
    action()
    versions = {name: _version(name) for name in packages}
    ready = {"swarmhold": "ready", "versions": versions, "notes": list(notes)}
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        done, started, spent = 0, time.process_time(), 0.0
        while spent < seconds:
            action()
            done += steps
            spent = time.process_time() - started
        print(json.dumps({"swarmhold": "round", "steps": done, "cpu_s": spent}), flush=True)


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "?"
