"""Hold chat templates to what they must do.

A template is a program that somebody else wrote. Its text is compared with the turns that it was given: every turn must
stand in the text as it is, and an answer must follow its prompt unchanged, but for white space and an empty think
block.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from penchant.data.rendering import template_probe as probe
from penchant.data.rendering.apply_template import apply_template, template_name
from penchant.data.sources.values import cut
from penchant.errors import InputError
from penchant.types import Message, PromptGroup, prompt_turns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# What templates write between the header of an answer and an answer without reasoning.
LEAD = re.compile(r"\s*(?:<think>\s*)?(?:</think>\s*)?")
THINK_TAG = re.compile(r"\s*(</?think>)\s*")
NO_BOUNDARY = (
    "writes the prompt differently once it is answered, so there is no boundary; use template=plain, or a template "
    "whose turns do not depend on later ones"
)


def refuse_lost_turns(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], rendered: str) -> None:
    """Refuse a text in which some turn does not stand as it is.

    Raises:
        InputError: names the template and the turn.
    """
    position = 0
    for number, message in enumerate(messages, start=1):
        content = message.content.strip()  # templates may set the white space around a turn
        start = rendered.find(content, position)
        # A turn may stand before its place: some templates write the system's into the last question.
        if start < 0 and content not in rendered:
            raise InputError(
                f"{template_name(tokenizer)} leaves out or rewrites turn {number} (the {message.role}'s): "
                f"{cut(content)!r} does not stand in what it writes. Use a template that shows it, template=plain, or "
                "take the turn out of the data"
            )
        position = max(position, start + len(content))


def answer_end(tail: str, text: str) -> int | None:
    """Find where an answer ends in what the template writes behind its prompt; None where it is not there unchanged."""
    # Templates that join turns with a space give one to an answer that has none.
    for variant in (text, text if text[:1].isspace() else f" {text}"):
        if tail.startswith(variant):
            return len(variant)
    lead = LEAD.match(tail)
    start = lead.end() if lead else 0
    if text.strip() and tail.startswith(text.strip(), start):
        return start + len(text.strip())
    return _thoughtful_end(tail, text)


def _thoughtful_end(tail: str, text: str) -> int | None:
    """Find the end of an answer with a think block, around whose marks templates set white space of their own."""
    # From the answer behind the thoughts, since around the marks the texts differ in white space alone.
    answer = text.rpartition("</think>")[2].strip()
    mark = tail.rfind("</think>")
    if "</think>" not in text or mark < 0 or not answer:
        return None
    start = tail.find(answer, mark)
    end = start + len(answer)
    is_unchanged = THINK_TAG.sub(r"\1", tail[:end]).strip() == THINK_TAG.sub(r"\1", text).strip()
    return end if start >= 0 and is_unchanged else None


def explain_rewriting(tokenizer: PreTrainedTokenizerBase, prompt: str, answered: str, tail: str, text: str) -> str:
    """Explain why an answer cannot be found behind its prompt.

    Args:
        prompt: the prompt as the template writes it, with the header of the answer. answered: without it.
    """
    name = template_name(tokenizer)
    # A frequent fault by itself: in training the header of an answer would stand, in sampling it would not.
    if prompt == answered and text.strip() in tail:
        header = tail[: tail.find(text.strip())]
        return (
            f"{name} ignores add_generation_prompt: it writes {cut(header)!r} only together with an answer, so a model "
            "that is asked would not be told to answer. Use a template that writes it, or template=plain"
        )
    return f"{name} rewrites the response's text; use template=plain"


def strips_answers(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether the template takes white space off the ends of an answer."""
    messages = [Message("user", "zq"), Message("assistant", "\n qz \n")]
    try:
        return "\n qz \n" not in apply_template(tokenizer, messages, answered=True)
    except InputError:
        return False


def template_warnings(tokenizer: PreTrainedTokenizerBase, groups: Sequence[PromptGroup]) -> list[str]:
    """Return sentences about what a template does to texts, for the reader to know.

    They are about today's date, white space taken off answers, turns that are written twice or without a speaker, and
    a default system prompt for some of the rows.
    """
    name = template_name(tokenizer)
    warnings = _conversation_warnings(tokenizer, name, groups)
    # the function of `transformers` that templates ask for the time; there is no other
    if "strftime_now" in str(tokenizer.chat_template):
        warnings.append(
            f"{name} writes today's date ({date.today():%d %b %Y}) into every prompt: another day gives other tokens. "
            "Write a fixed date into the template (chat_template.jinja) to have the same ones"
        )
    # of samples the token ids count, and no template touches them
    padded = sum(
        response.text != response.text.strip()
        for group in groups
        for response in group.responses
        if response.token_ids is None
    )
    if padded and strips_answers(tokenizer):
        warnings.append(f"{name} takes the white space off the ends of {padded} responses")
    return warnings


def _conversation_warnings(tokenizer: PreTrainedTokenizerBase, name: str, groups: Sequence[PromptGroup]) -> list[str]:
    """Return what a template does with the kinds of conversations that a data set has."""
    warnings = []
    prompts = [prompt_turns(group.prompt) for group in groups]
    # One probe per sequence of roles: a file has few of them, and a template does not look at the words.
    kinds = dict.fromkeys(tuple(turn.role for turn in prompt) for prompt in prompts)
    repeated = next((turn for roles in kinds if (turn := probe.repeated_turn(tokenizer, roles))), None)
    if repeated:
        warnings.append(f"{name} writes turn {repeated} more than once")
    if any("assistant" in roles for roles in kinds) and probe.speakers_look_alike(tokenizer):
        warnings.append(f"{name} writes the turns of the user and the assistant alike: nothing tells who speaks")
    without_system = sum(prompt[0].role != "system" for prompt in prompts)
    if 0 < without_system < len(prompts) and (text := probe.default_system_text(tokenizer)):
        warnings.append(
            f"{name} writes a system prompt of its own into the {without_system} prompts without one: {cut(text)!r}"
        )
    return warnings
