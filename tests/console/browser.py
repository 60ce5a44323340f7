"""A real headless Chromium, driven by its DevTools protocol over one websocket."""

import base64
import json
import shutil
import subprocess
import time
from contextlib import ExitStack, contextmanager
from urllib.request import Request, urlopen

import pytest
from websockets.sync.client import connect

NEEDED = pytest.mark.skipif(
    shutil.which("chromium") is None,
    reason="chromium is not installed; apt-get install chromium",
)


class Page:
    """One tab, with everything that it asked of the network."""

    def __init__(self, socket):
        self._socket, self._number = socket, 0
        self.events = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """A command, and its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    def js(self, expression):
        """Value of an expression; awaits promises."""
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def go(self, url):
        """Load a page."""
        self.call("Page.navigate", url=url)

    def until(self, expression, seconds=20.0):
        """Wait until an expression holds, and until what it changes is drawn (by frames)."""
        ends = time.monotonic() + seconds
        while not self.js(f"!!({expression})"):
            shown = self.js("document.body ? document.body.innerText.slice(0, 1500) : ''")
            assert time.monotonic() < ends, f"never: {expression}\n{shown}\n{self.problems()}"
            time.sleep(0.05)
        self.js(
            "new Promise(drawn => { setTimeout(drawn, 1000);"
            " requestAnimationFrame(() => requestAnimationFrame(drawn)); })"
        )

    def size(self, width, height):
        """Of the window, CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def key(self, key, code=None, text=None):
        """Press and release a key, as a person does."""
        code = code or key
        numbers = {" ": 32, "Enter": 13, "Tab": 9, "Escape": 27, "End": 35, "ArrowLeft": 37}
        number = numbers.get(key, ord(key.upper()) if len(key) == 1 else 0)
        press = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        if text is None and len(key) == 1:
            text = key
        if key == "Enter":
            text = "\r"
        self.call(
            "Input.dispatchKeyEvent", type="keyDown", **press, **({"text": text} if text else {})
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", **press)

    def picture(self, path):
        """Save a screenshot (PNG)."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def requests(self):
        """URLs that the page asked for so far."""
        self.js("0")
        sent = (e for e in self.events if e.get("method") == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in sent]

    def problems(self):
        """Exceptions and errors that the browser complained of."""
        out = []
        for event in self.events:
            if event.get("method") == "Runtime.exceptionThrown":
                detail = event["params"]["exceptionDetails"]
                out.append(detail.get("exception", {}).get("description", detail["text"]))
            if event.get("method") == "Log.entryAdded":
                entry = event["params"]["entry"]
                if entry["level"] == "error":
                    out.append(f"{entry['text']} {entry.get('url', '')}")
        return out


@contextmanager
def chromium(folder):
    """A browser with an empty profile; yields what opens a page in it."""
    profile = folder / "profile"
    command = [
        "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-quic", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", "--disable-default-apps", "--disable-dev-shm-usage",
        "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
    ]  # fmt: skip
    with (folder / "chromium.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    sockets = ExitStack()
    try:
        port_file = profile / "DevToolsActivePort"
        ends = time.monotonic() + 60
        while not port_file.exists() or not port_file.read_text().strip():
            assert process.poll() is None and time.monotonic() < ends, "chromium did not start"
            time.sleep(0.05)
        port = port_file.read_text().split()[0]

        def page(width=1440, height=900):
            new = Request(f"http://127.0.0.1:{port}/json/new?about:blank", method="PUT")
            with urlopen(new, timeout=30) as answer:
                url = json.load(answer)["webSocketDebuggerUrl"]
            opened = Page(
                sockets.enter_context(
                    connect(
                        url, max_size=None, open_timeout=30, ping_interval=None, close_timeout=0.1
                    )
                )
            )
            opened.size(width, height)
            return opened

        yield page
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        sockets.close()  # without a handshake: what a page still wanted to say, nobody reads
