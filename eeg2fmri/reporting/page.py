"""A page of sections: one HTML file that needs no network, with all text escaped."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.filters import do_forceescape, do_mark_safe


@dataclass(frozen=True)
class Text:
    """A paragraph; words between backticks are code."""

    kind: ClassVar = "text"
    text: str


@dataclass(frozen=True)
class Points:
    """Sentences, one per point."""

    kind: ClassVar = "points"
    points: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table; the first column names the rows.

    bold: the row that stands out, by its number.  words: the cells are words rather than numbers.
    """

    kind: ClassVar = "table"
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    bold: int | None = None
    words: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure as it was logged.  png: content of the file."""

    kind: ClassVar = "picture"
    png: bytes
    caption: str

    @property
    def address(self) -> str:
        """The figure as an address that holds it."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True)
class Frame:
    """Another page within this one, with scripts.  html: the whole of it.  height: pixels."""

    kind: ClassVar = "frame"
    html: str
    height: int
    caption: str


@dataclass(frozen=True)
class Folded:
    """Plain text under a heading, folded."""

    kind: ClassVar = "folded"
    heading: str
    text: str


@dataclass(frozen=True)
class Quote:
    """A text to copy.  references: of what it cites, each with an address that may be empty."""

    kind: ClassVar = "quote"
    text: str
    references: Sequence[tuple[str, str]]


Block = Text | Points | Table | Picture | Frame | Folded | Quote


@dataclass(frozen=True)
class Section:
    """A part of a page.  key: its name in an address.  question: of a reader, which the part answers."""

    key: str
    heading: str
    question: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Number:
    """One of the numbers on top.  note: a few words below it."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Page:
    """A report.

    title, subtitle: of the page.  verdict: one sentence.  tone: the mark beside it.  numbers: on top.
    remarks: further sentences below the numbers.  sections: in order.
    """

    title: str
    subtitle: str
    verdict: str
    tone: Literal["good", "bad", "plain"]
    numbers: Sequence[Number]
    remarks: Sequence[str]
    sections: Sequence[Section]


def render(page: Page) -> str:
    """Write a page as HTML, whole and without anything to load."""
    return _environment().get_template("report.html").render(page=page)


@cache
def _environment() -> Environment:
    loader = PackageLoader("eeg2fmri.reporting")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["code"] = _code
    return environment


def _code(text: str) -> str:
    """Mark what is between backticks as code; escape all of the text."""
    return do_mark_safe(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(do_forceescape(text))))
