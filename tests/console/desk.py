"""A console in this process, on a free port, around any source."""

import socket
import threading
from contextlib import contextmanager

import uvicorn

from swarmhold.hardware.console.desk import Desk
from swarmhold.hardware.console.guard import LOOPBACK, Audit, Gate
from swarmhold.hardware.console.hub import Hub
from swarmhold.hardware.console.runs import Runs
from swarmhold.hardware.console.web import build

TOKEN = "a token of the tests, ".replace(" ", "-") + "0123456789"


def make_desk(source, folder, port=80, token=TOKEN, **runs):
    """A desk; its source is not started."""
    gate = Gate(LOOPBACK, port, token)
    kept = Runs(folder, **runs)
    return Desk(source, Hub(float("inf")), kept, gate, Audit(folder / "audit.jsonl"))


@contextmanager
def serving(source, folder, token=TOKEN, **runs):
    """Serve a console with a started source; yields its address and its desk."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    desk = make_desk(source, folder, port, token, **runs)
    source.start(desk.hub)
    config = uvicorn.Config(
        build(desk), log_level="warning", access_log=False, timeout_graceful_shutdown=3
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}", desk
    finally:
        desk.ends.set()
        server.should_exit = True
        thread.join(20)
        source.close()
        desk.audit.close()
        listener.close()
        assert not thread.is_alive()
