"""Hold chat templates to what they must do.

A template is a program that somebody else wrote. Its text is compared with the turns that it was given: every turn must
stand in the text as it is, and an answer must follow its prompt unchanged, but for white space and a think block.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from penchant.data.rendering import template_probe as probe
from penchant.data.rendering.answers import Answer, stands_in_json
from penchant.data.rendering.chat_template import ChatTemplate, parse_tools, tool_names
from penchant.data.rendering.template_probe import TurnKind
from penchant.data.sources.values import cut
from penchant.errors import InputError
from penchant.types import Message, PromptGroup, prompt_turns


def remedy(turns: Sequence[int]) -> str:
    """Return what to do about a template with a fault in some turns, or in all of them."""
    if turns:
        return "Use a template that writes each turn in its place (template=NAME), or take such turns out of the data"
    return "Use a template that does (template=NAME, or a .jinja file), or take such rows out of the data"


def refuse_lost_turns(template: ChatTemplate, messages: Sequence[Message], rendered: str) -> bool:
    """Refuse a text in which some turn does not stand as it is.

    Returns:
        Whether the thoughts of some turn do not stand in it. Thinking templates take those of earlier turns out.

    Raises:
        InputError: names the template and the turn.
    """
    position = 0
    stripped = False
    for number, message in enumerate(messages, start=1):
        if message.role == "tools":
            _refuse_lost_tools(template, message, rendered)
            continue
        content = message.only_text.strip()  # templates may set the white space around a turn
        start = rendered.find(content, position)
        # A turn may stand before its place: some templates write the system's into the last question.
        if start < 0 and content not in rendered:
            answer = Answer.of(message) if message.role == "assistant" else None
            if answer is not None and answer.thoughts and answer.text in rendered:
                stripped = True
                content, start = answer.text, rendered.find(answer.text, position)
            elif not (message.role == "tool" and stands_in_json(content, rendered)):
                raise InputError(
                    f"{template.name} leaves out or rewrites turn {number} (the {message.role}'s): {cut(content)!r} "
                    f"does not stand in what it writes. {remedy((number,))}"
                )
        elif message.reasoning and message.reasoning.strip() not in rendered:
            stripped = True
        position = max(position, start + len(content))
    return stripped


def _refuse_lost_tools(template: ChatTemplate, message: Message, rendered: str) -> None:
    for name in tool_names(parse_tools(message.only_text)):
        if not name or name not in rendered:
            function = f"the function {name!r}" if name else "a function without a name"
            raise InputError(
                f"{template.name} does not write {function} that the model may call (tools). Use a template for "
                "functions (template=chatml, or a .jinja file), or take tools out of the data"
            )


def explain_rewriting(template: ChatTemplate, answer: Answer) -> str:
    """Explain why a response cannot be found behind its prompt."""
    if answer.turn.tool_calls:
        calls = ", ".join(call.name for call in answer.turn.tool_calls)
        return (
            f"{template.name} does not write the calls of a response ({cut(calls)}: name and arguments) with its text. "
            "Use a template for functions (template=chatml, or a .jinja file), or take tool_calls out of the data"
        )
    return (
        f"{template.name} rewrites the response's text: {cut(answer.text)!r} does not stand at the end of what it "
        "writes. Use a template that leaves it as it is (template=NAME, or a .jinja file)"
    )


def strips_answers(template: ChatTemplate) -> bool:
    """Return whether the template takes white space off the ends of an answer."""
    messages = [Message("user", "zq"), Message("assistant", "\n qz \n")]
    try:
        return "\n qz \n" not in template.write(messages, answered=True)
    except InputError:
        return False


def boundary_warnings(moved_groups: int, stripped: int) -> list[str]:
    """Return sentences about groups that were not rendered as their prompt and their turns alone would be.

    Args:
        moved_groups: those whose responses are scored from their texts on.
        stripped: groups whose earlier thoughts are gone.
    """
    warnings = []
    if moved_groups:
        warnings.append(
            f"in {moved_groups} groups the chat template writes another header before a response than that which asks"
            " for it: the responses are scored from their texts on, and the header is not"
        )
    if stripped:
        warnings.append(f"in {stripped} groups the chat template takes the thoughts of earlier turns out")
    return warnings


def template_warnings(template: ChatTemplate, groups: Sequence[PromptGroup]) -> list[str]:
    """Return sentences about what a template does to texts, for the reader to know.

    They are about today's date, white space taken off answers, turns that are written twice or without a speaker, and
    a default system prompt for some of the rows.
    """
    name = template.name
    warnings = _conversation_warnings(template, groups)
    if template.writes_date:
        warnings.append(
            f"{name} writes today's date ({date.today():%d %b %Y}) into every prompt: another day gives other tokens. "
            "Fix it by template_args={today: 2026-01-31} to have the same ones"
        )
    # of samples the token ids count, and no template touches them
    padded = sum(
        response.text != response.text.strip()
        for group in groups
        for response in group.responses
        if response.token_ids is None
    )
    if padded and strips_answers(template):
        warnings.append(f"{name} takes the white space off the ends of {padded} responses")
    return warnings


def _conversation_warnings(template: ChatTemplate, groups: Sequence[PromptGroup]) -> list[str]:
    """Return what a template does with the kinds of conversations that a data set has."""
    name = template.name
    warnings = []
    prompts = [prompt_turns(group.prompt) for group in groups]
    # One probe per sequence of kinds: a file has few of them, and a template does not look at the words.
    sequences = dict.fromkeys(tuple(map(TurnKind.of, prompt)) for prompt in prompts)
    repeated = next((turn for kinds in sequences if (turn := probe.repeated_turn(template, kinds))), None)
    if repeated:
        warnings.append(f"{name} writes turn {repeated} more than once")
    if any(kind.role == "assistant" for kinds in sequences for kind in kinds) and probe.speakers_look_alike(template):
        warnings.append(f"{name} writes the turns of the user and the assistant alike: nothing tells who speaks")
    without_system = sum(all(turn.role != "system" for turn in prompt[:2]) for prompt in prompts)
    if 0 < without_system < len(prompts) and (text := probe.default_system_text(template)):
        warnings.append(
            f"{name} writes a system prompt of its own into the {without_system} prompts without one: {cut(text)!r}"
        )
    return warnings
