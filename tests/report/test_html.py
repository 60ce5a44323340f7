"""Pieces of pages: text never becomes markup, and what is not known is said to be so."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from swarmhold.hardware.report.html import (
    Html,
    between,
    centimetres,
    chapter,
    document,
    figure,
    legend,
    number,
    percent,
    quiet,
    seconds,
    section,
    table,
    tiles,
)

PIECES = {
    "html", "head", "meta", "title", "style", "body", "main", "section", "header", "h2", "h3", "p",
    "span", "div", "b", "i", "table", "tr", "th", "td", "figure", "figcaption", "em",
}  # fmt: skip


class Read(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1))
def test_text_stays_text_wherever_it_stands(text: str) -> None:
    hostile = f"<script>{text}</script>"
    page = document(
        hostile,
        [
            chapter(hostile, hostile, tiles([(hostile,) * 3]), sign=hostile),
            section(hostile, quiet(hostile), legend(("", hostile))),
            table((hostile,), [(hostile, Html("<em>1</em>"))]),
            figure(hostile, Html("<em>drawn</em>")),
        ],
    )
    found = Read(page)
    assert set(found.tags) <= PIECES and found.tags.count("em") == 2
    assert "".join(found.text).count(hostile) == 13


def test_nothing_is_drawn_where_there_is_nothing() -> None:
    assert figure("empty", "") == ""
    assert "<th>" not in table((), [("a", "b")])


def test_figures_and_what_is_not_known() -> None:
    assert [percent(0.1234), percent(0.1234, 1), percent(None)] == ["12 %", "12.3 %", "unknown"]
    assert [seconds(0.354), seconds(None)] == ["0.35 s", "never"]
    assert [centimetres(0.0123), centimetres(float("nan"))] == ["1.2 cm", "unknown"]
    assert [number(1.0), number(None)] == ["1.00", "unknown"]
    assert between((0.1, None), "s") == "0.10 to ? s"
    assert between((None, None), "s") == "" and between((1.0, 2.0)) == "1.00 to 2.00"
