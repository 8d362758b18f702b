"""Graphs drawn for people: as text, Mermaid, dot and SVG. Pure: a picture in, text out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .dot import dot
from .mermaid import mermaid
from .picture import Mark, Picture
from .svg import svg
from .text import text

#: What a picture can be drawn as.
FORMATS: Mapping[str, Callable[[Picture], str]] = {"text": text, "mermaid": mermaid, "dot": dot, "svg": svg}

__all__ = ["FORMATS", "Mark", "Picture"]
