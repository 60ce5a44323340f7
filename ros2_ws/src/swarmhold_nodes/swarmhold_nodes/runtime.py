"""The skeleton that all nodes share: signals, executor loop, shutdown, status lines.

The events executor is run with a finite timeout only: without one, builds against an old C
library spin at full load and call nothing. Own signal handlers, because the default ones race
with the middleware at shutdown.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.signals import SignalHandlerOptions

from swarmhold.hardware.errors import NotReadyError, SwarmholdError

SPIN_S = 0.1  # longest wait for events
SHUTDOWN_S = 3.0  # then the process ends whatever the middleware does

# State is the heartbeat: liveliness is asserted by publishing, never by a middleware thread.
STATE_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=4,
    reliability=ReliabilityPolicy.BEST_EFFORT,
    liveliness=LivelinessPolicy.MANUAL_BY_TOPIC,
    liveliness_lease_duration=Duration(seconds=0.5),
    deadline=Duration(seconds=0.2),
)
STREAM_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=4, reliability=ReliabilityPolicy.BEST_EFFORT
)
LATCHED_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
RELIABLE_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=20, reliability=ReliabilityPolicy.RELIABLE
)


def say(event: str, **values: Any) -> None:
    """One JSON status line on standard output, for the launcher."""
    try:
        sys.stdout.write(json.dumps({"event": event, "t": time.time(), **values}) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)  # the launcher is gone; nobody is left to report to


def refuse_mixed_environment() -> None:
    """End early when a system ROS and the wheels would end up in one process.

    Raises:
        NotReadyError: both are present; the order of libraries would be random.
    """
    sourced = [p for p in os.environ.get("LD_LIBRARY_PATH", "").split(":") if "/opt/ros/" in p]
    wheels = rclpy.__file__ is not None and rclpy.__file__.startswith(sys.prefix)
    if sourced and wheels and sys.prefix != sys.base_prefix:
        raise NotReadyError(
            f"a sourced ROS ({sourced[0]}) and the rclpy wheel are mixed in one process; "
            "use a shell without the ROS setup file, or an environment without the wheel"
        )


def refuse_duplicate(node: Node, settle_s: float = 0.0) -> None:
    """End early when a node of this very name is on the graph already.

    Raises:
        NotReadyError: there is one; two robots with one identity must never fly.
    """
    if settle_s:
        time.sleep(settle_s)
    full = (node.get_name(), node.get_namespace())
    if node.get_node_names_and_namespaces().count(full) > 1:
        raise NotReadyError(
            f"a node {full[1].rstrip('/')}/{full[0]} runs already on this ROS domain; "
            "stop it or choose another domain"
        )


def run(build: Callable[[Context], Node | Sequence[Node]], argv: list[str] | None = None) -> int:
    """Run a node, or several in one process, until SIGINT or SIGTERM.

    Args:
        build: makes the node or nodes in the given context.
        argv: ROS arguments; None: of the process.

    Returns:
        Exit code: 0, or 2 after one line for an error that a user can cure.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    context = Context()
    nodes: Sequence[Node] = ()
    executor: EventsExecutor | None = None
    code = 0
    try:
        refuse_mixed_environment()
        rclpy.init(args=argv, context=context, signal_handler_options=SignalHandlerOptions.NO)
        built = build(context)
        nodes = [built] if isinstance(built, Node) else built
        executor = EventsExecutor(context=context)
        for node in nodes:
            executor.add_node(node)
        gc.collect()
        gc.freeze()
        beats = [node.beat for node in nodes if hasattr(node, "beat")]
        wait: float | None = None
        while not stop.is_set():
            executor.spin_once(timeout_sec=SPIN_S if wait is None else wait)
            for beat in beats:
                wait = beat()
    except SwarmholdError as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        say("failed", reason=str(error))
        code = 2
    finally:
        _shut_down(context, nodes, executor, code)
    return code


def _shut_down(
    context: Context, nodes: Sequence[Node], executor: EventsExecutor | None, code: int
) -> None:
    """Tear down; a watchdog ends the process if the middleware hangs while peers vanish."""
    longest = SHUTDOWN_S + max((getattr(node, "farewell_s", 0.0) for node in nodes), default=0.0)
    watchdog = threading.Timer(longest, lambda: os._exit(code))
    watchdog.daemon = True
    watchdog.start()
    for node in nodes:
        if hasattr(node, "close"):
            node.close()
    if executor is not None:
        executor.shutdown(timeout_sec=1.0)
    for node in nodes:
        node.destroy_node()
    context.try_shutdown()
    watchdog.cancel()
