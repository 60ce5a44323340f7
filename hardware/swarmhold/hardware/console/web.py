"""The console's HTTP interface; the one module of `hardware` that imports FastAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, FastAPI, Header, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, StreamingResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from swarmhold.hardware.console import metrics
from swarmhold.hardware.console.breaking import LATEST_S, dry_run
from swarmhold.hardware.console.desk import Desk
from swarmhold.hardware.console.door import Door
from swarmhold.hardware.console.guard import KEY_LENGTH, Answer, Conflict
from swarmhold.hardware.console.stream import live, replayed
from swarmhold.hardware.errors import ConfigError, MissingExtraError
from swarmhold.hardware.faults import FIELD_S, KINDS, FaultSpec
from swarmhold.hardware.messages import MOST_ROBOTS

ASSETS = Path(__file__).parent / "assets"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# A report is one page with its own script; in a sandbox it is of no origin, and cannot act.
REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "sandbox allow-scripts"
)
_STRICT = ConfigDict(extra="forbid", frozen=True)
Time = Annotated[float, Query(ge=0.0, le=1e11, allow_inf_nan=False)]


class StopOrder(BaseModel):
    """Stop everybody."""

    model_config = _STRICT

    confirm: Literal["STOP"]


class Fault(BaseModel):
    """One fault, as `FaultSpec`."""

    model_config = _STRICT

    kind: Literal[tuple(KINDS)]  # type: ignore[valid-type]
    robot: int = Field(ge=0, lt=MOST_ROBOTS)
    start_s: float = Field(0.0, ge=0.0, le=LATEST_S)
    duration_s: float = Field(5.0, gt=0.0, le=FIELD_S)
    severity: float = Field(1.0, ge=0.0, le=1.0)
    seed: int = Field(1, ge=0, lt=2**32)


class PlanOrder(BaseModel):
    """Faults to inject, or to look at."""

    model_config = _STRICT

    faults: list[Fault] = Field(min_length=1, max_length=100)
    dry_run: bool = True


class PlanFile(BaseModel):
    """A fault plan as it stands in its file."""

    model_config = _STRICT

    text: str = Field(min_length=1, max_length=60_000)


class PromoteOrder(BaseModel):
    """A bundle that robots are to fly when they start next."""

    model_config = _STRICT

    bundle: str = Field(min_length=1, max_length=200)


class Nothing(BaseModel):
    """A command without options."""

    model_config = _STRICT


_ANSWERS: dict[int | str, dict[str, Any]] = {
    401: {"description": "the token is missing or wrong"},
    403: {"description": "the console is read-only, or the request comes from another page"},
    409: {"description": "not possible now"},
    411: {"description": "no Content-Length"},
    413: {"description": "too long"},
    421: {"description": "another host is asked for"},
    422: {"description": "the request makes no sense"},
}
_NONE_YET: dict[int | str, dict[str, Any]] = {503: {"description": "nothing was heard yet"}}
Key = Annotated[
    str, Header(alias="Idempotency-Key", min_length=1, max_length=KEY_LENGTH, pattern=r"^[!-~]+$")
]


def build(desk: Desk) -> FastAPI:
    """The application around a desk."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        desk.ends.set()

    app = FastAPI(
        title="swarmhold console",
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Door, gate=desk.gate, audit=desk.audit)
    _pages(app, desk)
    _views(app, desk)
    _commands(app, desk)
    return app


def _pages(app: FastAPI, desk: Desk) -> None:
    files = {path.name: path for path in ASSETS.iterdir() if path.suffix in TYPES}

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(ASSETS / "index.html", media_type="text/html")

    @app.get("/assets/{name}", include_in_schema=False)
    def asset(name: str) -> Response:
        if name not in files:
            return JSONResponse({"detail": "there is no such file"}, 404)
        return FileResponse(files[name], media_type=TYPES[files[name].suffix])

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> FileResponse:
        return FileResponse(ASSETS / "icon.svg", media_type="image/svg+xml")

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def prometheus() -> Response:
        """The team as Prometheus text."""
        text = metrics.exposition(desk.hub.last, desk.source.stopped(), desk.telemetry_age())
        return Response(text, headers={"content-type": metrics.CONTENT_TYPE})

    @app.get(
        "/runs/{name}/report",
        response_class=HTMLResponse,
        responses={404: {"description": "there is no such flight, or no recording of it"}},
    )
    def report(name: str) -> Response:
        """Report of a recorded flight, in a sandbox."""
        try:
            text = desk.runs.report(name)
        except (ConfigError, MissingExtraError) as error:
            return JSONResponse({"detail": str(error)}, 404)
        return HTMLResponse(text, headers={"content-security-policy": REPORT_POLICY})


def _views(app: FastAPI, desk: Desk) -> None:
    hub = desk.hub

    @app.get("/api/about")
    def about() -> dict[str, Any]:
        """What is looked at, and what can be done."""
        return desk.about()

    @app.get("/api/picture", responses=_NONE_YET)
    def picture(at: Time | None = None) -> Response:
        """The team now, or at a time (s, wall clock)."""
        text = hub.latest if at is None else hub.at(at)
        if text is None:
            return JSONResponse({"detail": "nothing was heard yet"}, 503)
        return Response(text, media_type="application/json")

    @app.get("/api/recent")
    def recent(
        at: Time | None = None, seconds: Annotated[float, Query(gt=0.0, le=600.0)] = 10.0
    ) -> dict[str, Any]:
        """Places and loop times of some seconds until a time."""
        span = hub.span
        end = at if at is not None else (span[1] if span else 0.0)
        return hub.recent(end, seconds)

    @app.get("/api/happenings")
    def happenings(after: Annotated[int, Query(ge=0, le=2**53)] = 0) -> list[dict[str, Any]]:
        """The time line."""
        return hub.happenings(after)

    @app.get(
        "/api/stream",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}, **_NONE_YET},
    )
    async def stream(
        request: Request,
        at: Time | None = None,
        speed: Annotated[float, Query(gt=0.0, le=100.0)] = 1.0,
    ) -> Response:
        """Server-sent events: `picture`, `happened`, `stop`, `pulse`; of a recording from `at`."""
        if hub.listeners >= desk.MOST_VIEWERS:
            return JSONResponse({"detail": "too many pages are open"}, 503)
        replay = bool(desk.source.about["replay"])
        lines = replayed(desk, at, speed) if replay else live(desk)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(lines, media_type="text/event-stream", headers=headers)

    @app.get("/api/stop")
    def stopped() -> dict[str, Any]:
        """Who has confirmed the emergency stop."""
        return desk.source.stopped()

    @app.get("/api/faults")
    def faults() -> dict[str, Any]:
        """Kinds that can be injected here, and what became of the last plan."""
        return desk.faults()

    @app.get("/api/runs")
    def runs() -> list[dict[str, Any]]:
        """Flights, the newest first."""
        return desk.runs.flights()

    @app.get("/api/bundles")
    def bundles() -> dict[str, Any]:
        """The slot, and bundles that may be promoted."""
        return desk.runs.bundles()


def _commands(app: FastAPI, desk: Desk) -> None:
    door = APIRouter(dependencies=[Depends(HTTPBearer(auto_error=False))], responses=_ANSWERS)

    def done(request: Request, key: str, order: BaseModel, act: Callable[[], Answer]) -> Response:
        peer = request.client.host if request.client else ""
        try:
            answer, again = desk.command(request.url.path, key, order.model_dump(), act, peer)
        except Conflict as conflict:
            return JSONResponse({"detail": str(conflict)}, conflict.status)
        headers = {"Idempotency-Replayed": "true"} if again else None
        return JSONResponse(dict(answer.body), answer.status, headers)

    @door.post("/api/stop")
    def stop(request: Request, key: Key, order: StopOrder) -> Response:
        """Emergency stop of everybody, until each robot is restarted."""
        return done(request, key, order, desk.stop)

    @door.post("/api/faults")
    def plan(request: Request, key: Key, order: PlanOrder) -> Response:
        """Look at a plan, or carry it out."""
        specs = [FaultSpec(**fault.model_dump()) for fault in order.faults]
        robots = desk.robots()
        checked = dry_run(specs, robots, desk.source.kinds)
        return done(request, key, order, lambda: desk.plan(checked, order.dry_run))

    @door.post("/api/faults/read")
    def read(request: Request, key: Key, order: PlanFile) -> Response:
        """Faults of a plan file, with all that it leaves open drawn; nothing is done."""
        return done(request, key, order, lambda: desk.read_plan(order.text))

    @door.post("/api/faults/abort")
    def abort(request: Request, key: Key, order: Annotated[Nothing, Body()]) -> Response:
        """Inject no more of the plan."""
        return done(request, key, order, desk.abort)

    @door.post("/api/bundles/promote")
    def promote(request: Request, key: Key, order: PromoteOrder) -> Response:
        """Make a bundle the one that robots fly when they start next."""
        return done(request, key, order, lambda: desk.promote(order.bundle))

    @door.post("/api/bundles/back")
    def back(request: Request, key: Key, order: Annotated[Nothing, Body()]) -> Response:
        """Fly the bundle before again."""
        return done(request, key, order, desk.go_back)

    app.include_router(door)
