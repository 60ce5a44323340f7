"""Pieces of self-contained HTML pages without scripts, and how figures read on them.

Whatever is no `Html` yet is text, and is escaped where it becomes part of a page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

UNKNOWN = "unknown"
SHORT = 10  # letters of a cell that is not broken into lines


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def of(text: str) -> Html:
    """Text as HTML."""
    return text if isinstance(text, Html) else Html(escape(text))


def document(title: str, body: Iterable[Html], styles: Iterable[str] = ()) -> str:
    """A page without any outside reference.

    Args:
        title: of the window.
        body: sections.
        styles: CSS that its pieces need beyond `sheet.css`.
    """
    sheet = files("swarmhold.hardware.report").joinpath("sheet.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{of(title)}</title>\n<style>\n{''.join((sheet, *styles))}</style></head>"
        f"<body><main>\n{chr(10).join(body)}\n</main></body></html>\n"
    )


def chapter(title: str, lead: str, *body: Html, sign: str = "") -> Html:
    """A section under a large heading.

    Args:
        title: heading.
        lead: quiet line below it.
        body: the rest.
        sign: framed, beside the heading.
    """
    beside = f"<span class='world'>{of(sign)}</span>" if sign else ""
    head = f"<header><h2>{of(title)}</h2>{beside}<p>{of(lead)}</p></header>"
    return Html(f"<section>{head}{''.join(body)}</section>")


def section(title: str, *body: Html) -> Html:
    """A section under a small heading."""
    return Html(f"<section><h3>{of(title)}</h3>{''.join(body)}</section>")


def quiet(text: str) -> Html:
    """A paragraph that explains."""
    return Html(f"<p class='quiet'>{of(text)}</p>")


def tiles(rows: Iterable[tuple[str, str, str]]) -> Html:
    """Figures one looks at first: value, what it is, and a note."""
    made = (
        f"<div class='tile'><b>{of(value)}</b><span>{of(name)}</span><i>{of(note)}</i></div>"
        for value, name, note in rows
    )
    return Html(f"<div class='tiles'>{''.join(made)}</div>")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    """A table that scrolls sideways by itself where the window is too narrow.

    Args:
        head: of the columns; empty: no head.
        rows: cells.
    """
    lines = [f"<tr>{''.join(f'<th>{of(name)}</th>' for name in head)}</tr>"] if head else []
    lines += [f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows]
    return Html(f"<div class='scroll'><table>{''.join(lines)}</table></div>")


def _cell(text: str) -> str:
    kind = " class='short'" if len(text) < SHORT else ""
    return f"<td{kind}>{of(text)}</td>"


def legend(*keys: tuple[str, str]) -> Html:
    """What colours and dashes mean: class of the sample, and text."""
    made = (f"<span><i class='{kind}'></i>{of(text)}</span>" for kind, text in keys)
    return Html(f"<div class='legend'>{''.join(made)}</div>")


def figure(caption: str, drawn: str) -> Html:
    """A picture below its caption; nothing where nothing is drawn.

    Args:
        caption: text.
        drawn: HTML or SVG.
    """
    if not drawn:
        return Html()
    return Html(f"<figure><figcaption>{of(caption)}</figcaption>{drawn}</figure>")


def plots(*figures: Html, pair: bool = False) -> Html:
    """Figures beside each other, as many as find room, or two."""
    return Html(f"<div class='plots{' pair' if pair else ''}'>{''.join(figures)}</div>")


def percent(share: float | None, digits: int = 0) -> str:
    """A share of 1 in percent."""
    return UNKNOWN if share is None else f"{100 * share:.{digits}f} %"


def number(value: float | None, digits: int = 2) -> str:
    """A figure without unit."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def seconds(value: float | None, never: str = "never") -> str:
    """A time, or the word for none."""
    return never if value is None else f"{value:.2f} s"


def centimetres(metres: float | None) -> str:
    """A length in cm."""
    return UNKNOWN if metres is None or math.isnan(metres) else f"{100 * metres:.1f} cm"


def between(edges: Iterable[float | None], unit: str = "", digits: int = 2) -> str:
    """An interval; nothing where neither edge is known."""
    low, high = edges
    if low is None and high is None:
        return ""
    ends = ("?" if edge is None else f"{edge:.{digits}f}" for edge in (low, high))
    return f"{' to '.join(ends)} {unit}".strip()
