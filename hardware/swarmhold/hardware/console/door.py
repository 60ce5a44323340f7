"""Every request passes here first: hosts, origins, token and length, before anything is read."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from swarmhold.hardware.console.guard import Audit, Gate

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LONGEST = 64 * 2**10  # bytes of a request's body
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


class Door:
    """ASGI middleware."""

    def __init__(self, app: App, gate: Gate, audit: Audit) -> None:
        """Args: what is behind it, who may come in, and where it is noted who may not."""
        self._app, self._gate, self._audit = app, gate, audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            refused = self._refusal(scope)
            if refused is None:
                await self._app(scope, receive, _with_headers(send))
            else:
                await _answer(_with_headers(send), *refused)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason for whom it is not open to."""
        found: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            found.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        one = {name: values[0] for name, values in found.items() if len(values) == 1}
        if not self._gate.host_is_own(one.get("host")):
            return 421, "this console does not go by that host name; see --name"
        if "origin" in found and not self._gate.origin_is_own(one.get("origin", "")):
            return 403, "the request comes from another page"
        if scope["method"] in ("GET", "HEAD"):
            return None
        refused = self._refused_command(one)
        if refused is not None:
            peer = scope["client"][0] if scope.get("client") else ""
            told = {"command": scope["path"], "key": one.get("idempotency-key")}
            self._audit.note(peer=peer, **told, status=refused[0], answer=refused[1])
        return refused

    def _refused_command(self, headers: dict[str, str]) -> tuple[int, str] | None:
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "the request comes from another page"
        if self._gate.token is None:
            return 403, "this console is read-only; start it with --operate or --token-file"
        if not self._gate.may_act(headers.get("authorization")):
            return 401, "the token is missing or wrong"
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return 411, "say how long the body is (Content-Length)"
        return (413, f"more than {LONGEST} bytes") if int(length) > LONGEST else None


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message.get("headers", ())}
            own = ((name.encode(), value.encode()) for name, value in HEADERS.items())
            extra = [(name, value) for name, value in own if name not in given]
            message["headers"] = [*message.get("headers", ()), *extra]
        await send(message)

    return sending


async def _answer(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"detail": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
