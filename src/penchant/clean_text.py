"""Foreign text made safe to show: characters that hide, reorder or break the text around them become visible."""

from __future__ import annotations

import re

_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_COMBINING = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
# Characters that would hide, reorder or break the text around them, or that are seen by models alone. What writing
# needs stays: a joiner (U+200C, U+200D) in Persian and in emoji, a selector behind a letter, the tags of a flag, four
# marks on a letter.
_UNSEEN = re.compile(
    "(?P<flag>\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f)"
    "|[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U00016fe4\U0001bca0-\U0001bca3\U0001d159"
    "\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
    "|(?:^|(?<=[\x00-\x7f\u200c\u200d]))[\u200c\u200d]"
    f"|(?:^|(?<=[\\s{_SELECTORS}]))[{_SELECTORS}]"
    f"|(?<=[{_COMBINING}]{{4}})[{_COMBINING}]"
)


def clean(text: str) -> str:
    """Return text that any file and any page can hold, with unseen characters shown instead of dropped.

    NUL becomes its picture, a right-to-left override or a lone surrogate its code, such as ⟨U+202E⟩: a report
    shows what is in the data, and no text can reorder the page around it.
    """
    return _UNSEEN.sub(_picture, text.replace("\r\n", "\n"))


def _picture(match: re.Match[str]) -> str:
    if match["flag"]:
        return match.group()
    code = ord(match.group())
    return chr(0x2400 + code) if code < 0x20 else f"⟨U+{code:04X}⟩"
