"""Take a model's thoughts out of its answer: what it weighs before it answers is no verdict and no score."""

from __future__ import annotations

import re

_NAMES = "think|thinking|thought|thoughts|reasoning|reflection|analysis|scratchpad|seed:think"
# Tags of thoughts: of DeepSeek and Qwen, Mistral, Kimi, Cohere and OpenThinker; in HTML's own letters too.
_TAG = re.compile(
    rf"(?:<|&lt;)\s*(?P<close>/?)\s*(?:{_NAMES})(?:\s[^<>]{{0,200}})?\s*(?:>|&gt;)"
    r"|\[\s*(?P<bracket>/?)\s*(?:think|thinking|thought)\s*\]|◁(?P<triangle>/?)think▷"
    r"|<\|(?P<close_pipe>/|end_of_|end_)?(?:begin_of_|start_of_|begin_|start_)?(?:think|thinking|thought)\|>",
    re.IGNORECASE,
)
# Channels of OpenAI's open models: `analysis` and `commentary` are thoughts, `final` is the answer.
_HARMONY = re.compile(r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>")
_HARMONY_END = re.compile(r"<\|(?:end|return|start)\|>(?:assistant)?")


def strip_thoughts(answer: str) -> str | None:
    """Return the answer without its thoughts, or None where it ends inside them.

    Thoughts stand between tags such as `<think>` and `</think>`, or in the channels `analysis` and `commentary` of
    models that write channels. A closing tag without an opening one ends thoughts that began in the prompt's template,
    as with DeepSeek-R1 behind a server that keeps the opening tag to itself.
    """
    text = _final_channel(answer)
    if text is None:
        return None
    remaining, start, depth = [], 0, 0
    for tag in _TAG.finditer(text):
        closes = bool(tag["close"] or tag["bracket"] or tag["triangle"] or tag["close_pipe"])
        if not closes:
            if not depth:
                remaining.append(text[start : tag.start()])
            depth += 1
        elif depth > 1:  # thoughts inside of thoughts, as where a model quotes the tag
            depth -= 1
        else:
            if not depth:  # the thoughts began before the answer
                remaining.clear()
            depth = 0
            start = tag.end()
    return None if depth else "\n".join([*remaining, text[start:]])


def _final_channel(answer: str) -> str | None:
    """Return the text of the last channel if it is no channel of thoughts; an answer without channels as it is."""
    channels = list(_HARMONY.finditer(answer))
    if not channels:
        return answer
    if channels[-1][1].lower() != "final":
        return None
    return _HARMONY_END.sub("", answer[channels[-1].end() :])
