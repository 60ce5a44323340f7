"""Plots as SVG text, for a page without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

import numpy as np

from swarmhold.hardware.types import Float

WIDTH, HEIGHT = 520, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 36
TICKS = 5


def style() -> str:
    """CSS of what is drawn here, for `report.html.document`."""
    return files("swarmhold.sim.gap").joinpath("chart.css").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot.

    Attributes:
        x: (K).
        y: (K); what is not finite is left out.
        kind: class of the line's style.
        title: what it is, for whoever points at it.
    """

    x: Float
    y: Float
    kind: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line at a value, or a dot where `y` is one."""

    x: float
    kind: str
    y: float | None = None


class Frame:
    """Axes: from values to pixels."""

    def __init__(
        self, x: tuple[float, float], y: tuple[float, float], size: tuple[int, int]
    ) -> None:
        """Args: ranges of both axes, width and height in pixels."""
        self._x, self._y, (self.width, self.height) = x, y, size

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        (x0, x1), (y0, y1) = self._x, self._y
        wide, high = self.width - LEFT - RIGHT, self.height - TOP - BOTTOM
        return LEFT + (x - x0) / (x1 - x0) * wide, TOP + (y1 - y) / (y1 - y0) * high

    def axes(self, across: str, up: str) -> list[str]:
        """Grid lines with numbers, and what the axes are."""
        (x0, x1), (y0, y1) = self._x, self._y
        out = []
        for y in ticks(y0, y1):
            (_, py), right = self.at(x0, y), self.width - RIGHT
            out.append(f"<line class='grid' x1='{LEFT}' x2='{right}' y1='{py:.1f}' y2='{py:.1f}'/>")
            out.append(f"<text class='up' x='{LEFT - 6}' y='{py + 4:.1f}'>{y:g}</text>")
        for x in ticks(x0, x1):
            px, _ = self.at(x, y0)
            out.append(
                f"<text class='tick' x='{px:.1f}' y='{self.height - BOTTOM + 15}'>{x:g}</text>"
            )
        middle = (LEFT + self.width - RIGHT) / 2
        out.append(f"<text class='tick' x='{middle}' y='{self.height - 4}'>{escape(across)}</text>")
        turned = f"translate(11 {self.height / 2 - 8}) rotate(-90)"
        out.append(f"<text class='tick' transform='{turned}'>{escape(up)}</text>")
        return out


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between both."""
    rough = (high - low) / TICKS
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= rough * 0.999)
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return [round(float(k * step), 10) + 0.0 for k in np.arange(first, last + 1)]


def plot(
    lines: Sequence[Line],
    across: str,
    up: str,
    marks: Sequence[Mark] = (),
    size: tuple[int, int] = (WIDTH, HEIGHT),
    zero: bool = True,
    reach: float = 0.0,
) -> str:
    """A plot of lines; empty text where there is nothing to draw.

    Args:
        lines: what is drawn, the last on top.
        across: name of the horizontal axis, with its unit.
        up: of the vertical one.
        marks: vertical lines and dots.
        size: pixels.
        zero: whether the vertical axis begins at 0.
        reach: which that axis shows at least, so that noise does not fill it.
    """
    drawn = [line for line in lines if np.isfinite(line.y).any()]
    if not drawn:
        return ""
    xs = np.concatenate([*(line.x for line in drawn), [mark.x for mark in marks]])
    ys = np.concatenate([line.y[np.isfinite(line.y)] for line in drawn])
    low, high = 0.0 if zero else float(ys.min()), max(float(ys.max()), reach)
    room = 0.06 * max(high - low, 1e-9)
    frame = Frame(_wide(xs), (low if zero else low - room, high + room), size)
    out = [f"<svg viewBox='0 0 {size[0]} {size[1]}' role='img' aria-label='{escape(up)}'>"]
    out += frame.axes(across, up)
    for mark in marks:
        out.append(_mark(frame, mark))
    for line in drawn:
        points = " ".join(
            "{:.1f},{:.1f}".format(*frame.at(x, y))
            for x, y in zip(line.x, line.y, strict=True)
            if np.isfinite(y)
        )
        title = f"<title>{escape(line.title)}</title>" if line.title else ""
        out.append(f"<polyline class='line {line.kind}' points='{points}'>{title}</polyline>")
    return "".join(out) + "</svg>"


def _wide(values: Float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _mark(frame: Frame, mark: Mark) -> str:
    if mark.y is not None:
        x, y = frame.at(mark.x, mark.y)
        return f"<circle class='dot {mark.kind}' cx='{x:.1f}' cy='{y:.1f}' r='3.5'/>"
    x, _ = frame.at(mark.x, 0.0)
    down = frame.height - BOTTOM
    return f"<line class='{mark.kind}' x1='{x:.1f}' x2='{x:.1f}' y1='{TOP}' y2='{down}'/>"


def spans(
    rows: Sequence[tuple[str, float, float, float] | tuple[str, str]],
    across: str,
    plain: float,
    suggested: Sequence[float] | None,
) -> str:
    """Intervals below each other: a line with a dot for each row.

    Args:
        rows: name, value, lower and upper end; or a name, and why there is no value.
        across: name of the axis, with its unit.
        plain: what the model has; a dashed line.
        suggested: range to train with; a band.
    """
    ends = [plain, *(suggested or ())]
    ends += [end for row in rows if len(row) == 4 for end in row[1:]]
    low, high = min(ends), max(ends)
    room = max(0.08 * (high - low), 1e-3)
    height = TOP + 24 * len(rows) + BOTTOM
    frame = Frame((low - room, high + room), (0.0, float(len(rows))), (WIDTH, height))
    out = [f"<svg viewBox='0 0 {WIDTH} {height}' role='img' aria-label='{escape(across)}'>"]
    if suggested is not None:
        (x, _), (end, _) = frame.at(suggested[0], 0), frame.at(suggested[1], 0)
        out.append(f"<rect class='band' x='{x:.1f}' width='{end - x:.1f}' y='{TOP}' "
                   f"height='{24 * len(rows)}'/>")  # fmt: skip
    out += [text for text in frame.axes(across, "") if "class='tick'" in text]
    out.append(_mark(frame, Mark(plain, "plain")))
    for index, row in enumerate(rows):
        y = TOP + 24 * index + 12
        out.append(f"<text class='name' x='2' y='{y + 4}'>{escape(row[0])}</text>")
        if len(row) == 2:
            out.append(f"<text class='why' x='{LEFT + 6}' y='{y + 4}'>{escape(row[1])}</text>")
            continue
        (x, _), (a, _), (b, _) = (frame.at(value, 0) for value in row[1:])
        out.append(f"<line class='span' x1='{a:.1f}' x2='{b:.1f}' y1='{y}' y2='{y}'/>"
                   f"<circle class='dot' cx='{x:.1f}' cy='{y}' r='4'/>")  # fmt: skip
    return "".join(out) + "</svg>"
