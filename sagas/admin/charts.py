"""Bars over hours, as numbers for a template: it makes the SVG, so that all text is escaped there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext

from .cells import number

#: Of one bar with the gap beside it, and of the whole.
_STEP, _HEIGHT = 12, 64
_GAP = 2
#: The same of a sparkline.
_SPARK_STEP, _SPARK_HEIGHT, _SPARK_GAP = 4, 20, 1


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour."""

    x: str
    y: str
    height: str
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One kind of thing over the hours."""

    key: str
    title: str
    #: In words, for who does not see the bars.
    text: str
    total: str
    url: str
    bars: list[Bar]
    width: int
    height: int
    most: str
    first: str
    last: str
    bar_width: int = _STEP - _GAP


def hour_words(hour: datetime) -> str:
    """An hour in the viewer's zone."""
    return date_format(timezone.localtime(hour), "TIME_FORMAT")


def chart(key: str, title: str, hours: Mapping[datetime, int], url: str) -> Chart:
    """Bars for these hours."""
    most = max(hours.values(), default=0)
    times = list(hours)
    bars = [_bar(place, hour, count, most) for place, (hour, count) in enumerate(hours.items())]
    return Chart(
        key=key,
        title=title,
        text=_text(hours, most),
        total=number(sum(hours.values())),
        url=url,
        bars=bars,
        width=_STEP * len(bars),
        height=_HEIGHT,
        most=number(most),
        first=hour_words(times[0]) if times else "",
        last=hour_words(times[-1]) if times else "",
    )


def _bar(place: int, hour: datetime, count: int, most: int) -> Bar:
    # Something is never nothing: one pixel at least.
    height = max(1, round(count / most * _HEIGHT)) if count else 0
    title = f"{hour_words(hour)}: {number(count)}"
    return Bar(str(place * _STEP + _GAP // 2), str(_HEIGHT - height), str(height), title)


@dataclass(frozen=True, slots=True)
class Spark:
    """A line of bars, small enough for a table's cell. Hours without anything have none."""

    #: In words, for who does not see the bars.
    text: str
    total: str
    bars: list[Bar]
    width: int
    height: int = _SPARK_HEIGHT
    bar_width: int = _SPARK_STEP - _SPARK_GAP


def spark(hours: Mapping[datetime, int]) -> Spark:
    """Bars for these hours."""
    most = max(hours.values(), default=0)
    bars = []
    for place, (hour, count) in enumerate(hours.items()):
        if count:
            height = max(2, round(count / most * _SPARK_HEIGHT))
            title = f"{hour_words(hour)}: {number(count)}"
            bars.append(Bar(str(place * _SPARK_STEP), str(_SPARK_HEIGHT - height), str(height), title))
    return Spark(_text(hours, most), number(sum(hours.values())), bars, _SPARK_STEP * len(hours))


def _text(hours: Mapping[datetime, int], most: int) -> str:
    if not most:
        return gettext("None in the last %(hours)d hours.") % {"hours": len(hours)}
    when = next(hour for hour, count in hours.items() if count == most)
    return gettext("%(total)s in the last %(hours)d hours; most in the hour from %(when)s: %(most)s.") % {
        "total": number(sum(hours.values())),
        "hours": len(hours),
        "when": hour_words(when),
        "most": number(most),
    }
