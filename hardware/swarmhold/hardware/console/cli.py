"""`swarmhold console`: look at a team, and stop it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any

from swarmhold.hardware.cli.config import note, parse
from swarmhold.hardware.console.guard import LOOPBACK, Audit, Gate
from swarmhold.hardware.console.hub import KEPT_S, Hub
from swarmhold.hardware.console.live import LiveTeam
from swarmhold.hardware.console.replay import KEEPS_S, Replay
from swarmhold.hardware.console.runs import Runs
from swarmhold.hardware.console.source import Source, simulated
from swarmhold.hardware.errors import ConfigError, NotReadyError
from swarmhold.hardware.fleet.domain import taken
from swarmhold.hardware.fleet.estop import EstopArgs, place_of
from swarmhold.hardware.fleet.needs import need
from swarmhold.hardware.fleet.permission import TOKEN
from swarmhold.hardware.fleet.stop import stoppable
from swarmhold.hardware.network.hosts import entrance_of
from swarmhold.hardware.operator_token import new_token, read_token
from swarmhold.hardware.report.recording import about, events_of
from swarmhold.hardware.signing import load_public

PORT = 8470
GRACE_S = 3  # for streams to end


@dataclass(frozen=True)
class ConsoleArgs:
    """The operator's page: a live team, a recorded flight or a simulation, in a browser.

    Give one of --fleet, --flight, --domain and --sim. It listens on this machine alone, and is
    read-only unless it is given a token.
    """

    fleet: Path | None = None
    """Fleet file of a live team, which must name its ROS domain."""
    flight: Path | None = None
    """Flight folder: the live team while it flies, its recording afterwards."""
    domain: int | None = None
    """ROS domain of a live team; the robots are those that are found there, or --robots."""
    robots: int | None = None
    """Team size, with --domain or --sim."""
    sim: str | None = None
    """Scenario to simulate."""
    bundle: Path | None = None
    """Policy of --sim; default: the bundle that ships for the scenario."""
    seed: int = 0
    """Of --sim."""
    operate: bool = False
    """Make a token for this start and print a link with it: who opens that may act."""
    token_file: Path | None = None
    """File with the token, readable by its owner alone."""
    allow_faults: bool = False
    """Let robots be broken from the page; they must have been started for it, too."""
    faults_token: Path | None = None
    """With --allow-faults, file with the operator's token; that of a simulated flight is found in
    its folder."""
    runs: Path = Path("flights")
    """Folder of flights; the audit log goes there too."""
    slot: Path | None = None
    """Slot that bundles can be promoted into."""
    bundles: Path | None = None
    """Folder of bundles that can be promoted, beside those that ship."""
    key: tuple[Path, ...] = ()
    """Public keys (PEM files or folders of them), one of which must have signed a bundle."""
    host: str = "127.0.0.1"
    """Address to listen on; any but loopback needs a token, and --name."""
    name: tuple[str, ...] = ()
    """Further host names or addresses by which browsers call this console."""
    port: int = PORT
    """Port; 0: a free one."""


def main(argv: list[str]) -> int:
    """Serve until Ctrl-C."""
    args = parse(ConsoleArgs, argv, "swarmhold console")
    need("fastapi", "console")
    need("uvicorn", "console")
    token = _token(args)
    runs = Runs(args.runs, args.slot, args.bundles, load_public(args.key))
    with stoppable(), _bound(args) as listener:
        port = listener.getsockname()[1]
        gate = Gate((*LOOPBACK, *_names(args)), port, token)
        source = source_of(args)
        hub = Hub(KEEPS_S if source.about["replay"] else KEPT_S)
        audit = Audit(args.runs / "console-audit.jsonl")
        try:
            source.start(hub)
            fragment = f"#token={token}" if args.operate else ""
            note(f"{source.about['title']}: http://{_shown(args.host)}:{port}/{fragment}")
            _serve(listener, source, hub, runs, gate, audit)
        except KeyboardInterrupt:
            note("console: ended")
        finally:
            source.close()
            audit.close()
    return 0


def _serve(
    listener: socket.socket, source: Source, hub: Hub, runs: Runs, gate: Gate, audit: Audit
) -> None:
    import uvicorn

    from swarmhold.hardware.console.desk import Desk
    from swarmhold.hardware.console.web import build

    desk = Desk(source, hub, runs, gate, audit)
    config = uvicorn.Config(
        build(desk),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            desk.ends.set()  # before connections are waited for
            super().handle_exit(sig, frame)

    server = Server(config)
    try:
        server.run(sockets=[listener])
    finally:
        desk.ends.set()


def source_of(args: ConsoleArgs) -> Source:
    """What is looked at.

    Raises:
        ConfigError: nothing is given, or several things are.
    """
    given = [args.fleet, args.flight, args.domain, args.sim]
    if sum(one is not None for one in given) != 1:
        raise ConfigError("give one of --fleet, --flight, --domain and --sim")
    if args.sim is not None:
        options = {"robots": args.robots, "bundle": args.bundle, "seed": args.seed}
        return simulated(args.sim, {**options, "allow_faults": args.allow_faults})
    if args.flight is not None:
        return _flight(args.flight, args)
    place = place_of(EstopArgs(fleet=args.fleet, domain=args.domain, robots=args.robots))
    title = f"team of {args.fleet.stem}" if args.fleet else f"ROS domain {place.domain}"
    return LiveTeam(place, title, faults_token=_faults_token(args))


def _flight(folder: Path, args: ConsoleArgs) -> Source:
    """A flight that has not ended is looked at live, for as long as somebody is on its domain."""
    lines = events_of(folder)
    info = about(folder, lines)
    ended = any(line["event"] == "ended" for line in lines)
    if ended or not isinstance(info.get("domain"), int) or not _flies(info):
        return Replay(folder)
    told = {"flight": str(folder), "bundle": info.get("digest")}
    token = _faults_token(args)
    return LiveTeam(place_of(EstopArgs(flight=folder)), folder.name, told, token)


def _flies(info: Mapping[str, Any]) -> bool:
    """Whether somebody is on the domain of a flight."""
    hosts, namespace = entrance_of(info)
    return bool(namespace) if hosts else taken(info["domain"])


def _faults_token(args: ConsoleArgs) -> Path | None:
    """With which faults are ordered; None: none are.

    Raises:
        ConfigError: they are to be, and it is not known.
    """
    if not args.allow_faults:
        return None
    own = None if args.flight is None else args.flight / TOKEN
    if args.faults_token is None and (own is None or not own.exists()):
        raise ConfigError("--allow-faults needs the token that robots obey: --faults-token FILE")
    return args.faults_token or own


def _token(args: ConsoleArgs) -> str | None:
    """Who may act.

    Raises:
        ConfigError: two tokens are asked for, or none where others than this machine listen.
    """
    if args.operate and args.token_file is not None:
        raise ConfigError("give --operate or --token-file, not both")
    token = new_token() if args.operate else None
    if args.token_file is not None:
        token = read_token(args.token_file)
    if token is None and not _is_loopback(args.host):
        raise ConfigError(f"--host {args.host} is open to others; give --token-file or --operate")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _names(args: ConsoleArgs) -> list[str]:
    return [_shown(name.lower()) for name in (args.host, *args.name)]


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _bound(args: ConsoleArgs) -> socket.socket:
    """The socket, so that a port that is taken is one line.

    Raises:
        ConfigError: there is no such address or port.
        NotReadyError: the port is taken.
    """
    if not 0 <= args.port <= 65535:
        raise ConfigError(f"--port is {args.port}; it must lie in 0 to 65535")
    family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((args.host, args.port))
        listener.listen()  # who follows the link at once waits a moment and is served
    except OSError as error:
        listener.close()
        where = f"{args.host}:{args.port}"
        raise NotReadyError(f"{where} cannot be had ({error.strerror}); choose a --port") from error
    return listener
