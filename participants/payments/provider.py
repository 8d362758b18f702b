"""The edge of the world: a card provider that decides by the card, the same way every time.

It keeps no books, ours stand for its own. It never waits: an answer that is late is an exception at once.
"""

from dataclasses import dataclass


class CardDeclinedError(Exception):
    """The provider will surely not charge this card."""


@dataclass(frozen=True)
class Card:
    """How a card behaves."""

    #: Why the provider will not charge it; empty: it will.
    declined: str = ""
    #: The answer to the first request, the one that charges, does not arrive.
    first_answer_lost: bool = False
    #: No answer ever arrives, though the card is charged.
    every_answer_lost: bool = False


CARDS = {
    "tok_4242": Card(),
    "tok_5555": Card(),
    "tok_0002": Card(declined="the bank said no"),
    "tok_9995": Card(declined="insufficient funds"),
    "tok_0069": Card(declined="the card has expired"),
    "tok_0119": Card(first_answer_lost=True),
    "tok_0341": Card(every_answer_lost=True),
}


def authorise(card: str) -> None:
    """Agree to the charge, or raise `CardDeclinedError`."""
    found = CARDS.get(card, Card(declined="no such card"))
    if found.declined:
        raise CardDeclinedError(found.declined)


def answer(card: str, *, first: bool) -> None:
    """Tell that the charge is made, or raise `TimeoutError`: it is made, and nobody hears of it."""
    found = CARDS.get(card, Card())
    if found.every_answer_lost or (first and found.first_answer_lost):
        raise TimeoutError("the card provider did not answer in time")
