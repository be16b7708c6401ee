"""Ten labelling functions for comments below music videos: spam, ham, or no vote.

They were written from what such comments are known to be, before any label of the test video was looked at. Run them
with `penchant weak sources data=comments.csv functions=examples/youtube_spam.py text=CONTENT classes=[ham,spam]`.
"""

from __future__ import annotations

import re

import penchant as pt

LINK = re.compile(r"https?:|www\.|\.com\b|\.ly/|watch\?v=|\.net\b|\.org\b")
CHANNEL = re.compile(r"\b(my|our)\s+(\w+\s+)?(channel|video|videos|vid|song|music|cover|page|website|site|remix)\b")
MONEY = re.compile(r"\$|\b(money|cash|earn|paypal|giveaway|free|win|prize|gift\s*card)\b")
PRAISE = re.compile(r"\b(love|best|awesome|amazing|great|beautiful|favou?rite|epic|perfect|good)\b")
SONG = re.compile(
    r"\b(song|music|video|lyrics|beat|voice|dance|singer|rap|album|katy|eminem|psy|lmfao|shakira|views)\b"
)


def lower(text: str) -> str:
    """Return the comment in small letters, once for all functions that read it so."""
    return text.lower()


@pt.labelling_function(preprocess=lower)
def has_a_link(text: str) -> str | None:
    """Vote spam for an address."""
    return "spam" if LINK.search(text) else None


@pt.labelling_function(preprocess=lower)
def asks_to_subscribe(text: str) -> str | None:
    """Vote spam for `subscribe` and `sub to`."""
    return "spam" if re.search(r"\bsubscri|\bsub\s+(to|me|back)\b", text) else None


@pt.labelling_function(preprocess=lower)
def says_check_out(text: str) -> str | None:
    """Vote spam for `check out` and its like."""
    return (
        "spam" if re.search(r"check\s*(it|this|my|us|me)?\s*out|please\s+(watch|visit|check|like|help)", text) else None
    )


@pt.labelling_function(preprocess=lower)
def names_a_channel_of_its_own(text: str) -> str | None:
    """Vote spam for `my channel`, `our new video`."""
    return "spam" if CHANNEL.search(text) else None


@pt.labelling_function(preprocess=lower)
def speaks_of_money(text: str) -> str | None:
    """Vote spam for money and prizes."""
    return "spam" if MONEY.search(text) else None


@pt.labelling_function
def shouts(text: str) -> str | None:
    """Vote spam for a long comment in capital letters."""
    letters = [letter for letter in text if letter.isalpha()]
    return "spam" if len(letters) > 40 and sum(map(str.isupper, letters)) > 0.7 * len(letters) else None


@pt.labelling_function
def is_long(text: str) -> str | None:
    """Vote spam for more than 40 words: few people write so much about a song."""
    return "spam" if len(text.split()) > 40 else None


@pt.labelling_function
def is_short(text: str) -> str | None:
    """Vote ham for at most 5 words without a link."""
    return "ham" if len(text.split()) <= 5 and not LINK.search(text.lower()) else None


@pt.labelling_function(preprocess=lower)
def praises(text: str) -> str | None:
    """Vote ham for praise in at most 20 words."""
    return "ham" if len(text.split()) <= 20 and PRAISE.search(text) else None


@pt.labelling_function(preprocess=lower)
def is_about_the_song(text: str) -> str | None:
    """Vote ham where song or singer are named, and nothing of the writer's own."""
    return "ham" if SONG.search(text) and not CHANNEL.search(text) and not LINK.search(text) else None
