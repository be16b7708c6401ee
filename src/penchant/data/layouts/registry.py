"""List the known layouts: a name, the fields that a row must have, and the reader that makes a `PromptGroup` of it.

A layout is recognised by a row's fields, never by the file's ending. To add one, write its reader, put an entry into a
table and a few rows into `examples/NAME.jsonl`; the first entry that fits wins, so the more particular stands above the
more general.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penchant.data.layouts import demonstrations, own, pairs
from penchant.data.layouts import multiple as several
from penchant.data.layouts.demonstrations import read_alpaca, read_completion, read_messages
from penchant.data.layouts.framework_layouts import (
    FRAMEWORK_DEMONSTRATIONS,
    FRAMEWORK_PREFERENCES,
    FRAMEWORK_PROMPTS,
    FRAMEWORK_UNPAIRED,
    QUESTION_PAIR,
    QUESTION_PROMPTS,
)
from penchant.data.layouts.frameworks import refuse_stepwise
from penchant.data.layouts.layout import Layout
from penchant.data.layouts.published import PUBLISHED
from penchant.data.layouts.recognition import (
    doubt_implicit,
    doubt_ranked,
    has_lists,
    has_no_columns,
    has_ranked_list,
    has_transcript,
    has_turns,
    is_bare,
    is_sharegpt,
)
from penchant.data.layouts.unpaired import LABEL_FIELDS as LABEL
from penchant.data.layouts.unpaired import labelled
from penchant.data.sources.values import RowValues
from penchant.errors import InputError, did_you_mean

PAIR = (("chosen",), ("rejected",))
INSTRUCTION = (("instruction", "prompt"),)
OWN_LAYOUT = Layout(
    "penchant",
    (("prompt",), ("responses",)),
    own.read_penchant,
    counts_add=True,
    has_sides=True,
    about="Penchant's own JSON Lines. They say all that a prompt with its responses can hold.",
)

UNPAIRED = (
    # `label`, as in TRL
    Layout(
        "unpaired",
        (("prompt",), demonstrations.COMPLETION_FIELDS, LABEL),
        labelled(read_completion),
        counts_add=True,
        about="TRL's single responses, each labelled good (true) or bad (false), for `kto`.",
    ),
    Layout(
        "unpaired-messages",
        (("messages", "conversations"), LABEL),
        labelled(demonstrations.read_answered),
        counts_add=True,
        variants={
            "swift-kto": "ms-swift's labels.",
            "llamafactory-kto": "LLaMA-Factory's labels (`kto_tag`) of ShareGPT's conversations.",
        },
        about="Conversations whose last answer is labelled good or bad, for `kto`.",
    ),
    # `kto_tag`, as in LLaMA-Factory
    Layout(
        "unpaired-alpaca",
        (("instruction",), ("output",), LABEL),
        labelled(read_alpaca),
        counts_add=True,
        about="LLaMA-Factory's labelled answers (`kto_tag`), for `kto`.",
    ),
    *FRAMEWORK_UNPAIRED,
)
"""Responses one at a time, each labelled good or bad."""

# The first that fits is taken, so a layout with more required fields, or with names that only it has, stands above one
# whose fields are among those.
PREFERENCES: tuple[Layout, ...] = (
    *PUBLISHED,
    Layout(
        "finegrained-rlhf",
        (("question",), ("passages",), ("prediction 1",), ("prediction 2",), ("preference",)),
        several.read_finegrained,
        has_sides=True,
        about="Fine-grained RLHF: four responses, and a verdict on each of their six pairs.",
    ),
    Layout(
        "pandalm",
        (("instruction",), ("response1",), ("response2",), ("annotator1",)),
        several.read_pandalm,
        has_sides=True,
        about="PandaLM: two responses, and one comparison per annotator.",
    ),
    Layout(
        "alpaca-eval",
        (("instruction",), ("output_1",), ("output_2",), ("preference",)),
        several.read_alpaca_eval,
        codes=("preference", several.ambiguous_preferences),
        has_sides=True,
        about="AlpacaEval's annotations: one comparison by `annotator`; the likelier output wins.",
    ),
    Layout(
        "instructgpt-summaries",
        (("context",), ("ref_text",), ("sample",), ("model_type",)),
        pairs.read_instructgpt_summaries,
        context=False,  # here `context` is the post itself
        assumed=True,
        about=(
            "OpenAI's samples of InstructGPT. Nobody compared them; with "
            "`data.layout=instructgpt-summaries` the person's summary is preferred."
        ),
    ),
    Layout(
        "openai-summaries",
        (("info",), ("summaries",), ("choice",)),
        several.read_openai_summaries,
        has_sides=True,
        about="OpenAI's summarisation comparisons: one comparison by `worker`.",
    ),
    *FRAMEWORK_PREFERENCES,
    Layout(
        "swift",
        (("messages",), ("rejected_response",)),
        pairs.read_swift,
        about="ms-swift: a conversation with the preferred answer, and the rejected one: one comparison.",
    ),
    Layout(
        "ultrafeedback",
        (*INSTRUCTION, ("completions",)),
        several.read_ultrafeedback,
        doubt=refuse_stepwise,
        about=(
            "UltraFeedback as published, with ratings of each completion: scores, and a comparison for every pair. "
            "`overall_score` counts, or what `data.score` names (an aspect such as `honesty`, or weights)."
        ),
    ),
    OWN_LAYOUT,
    Layout(
        "ranked",
        (*INSTRUCTION, several.RANKED_FIELDS),
        several.read_ranked,
        has_ranked_list,
        doubt=doubt_ranked,
        about=(
            "Answers from best to worst, or in any order with `ranks`: a comparison for every pair. A "
            "list that nothing says to be ordered needs `data.layout=ranked`."
        ),
    ),
    Layout(
        "llamafactory-sharegpt",
        (("conversations", "messages"), *PAIR),
        pairs.read_llamafactory_sharegpt,
        is_sharegpt,
        variants={
            "axolotl-chat-template": "axolotl's `chat_template.default`: `messages`, and one turn per side.",
            "llamafactory-media": "LLaMA-Factory's pairs about pictures: marks `<image>`, with the files in `images`.",
        },
        about="LLaMA-Factory's rankings of a conversation: one comparison.",
    ),
    Layout(
        "trl",
        (("prompt",), *PAIR),
        pairs.read_trl,
        lambda row: not has_turns(row),
        variants={
            "rewardbench": "RewardBench: right and wrong answers, with the models that wrote them.",
            "axolotl-prompt-pairs": "axolotl's `prompt_pairs` and `user_defined`, with or without `system`.",
        },
        about="TRL's pairs with an explicit prompt, as text: one comparison.",
    ),
    Layout(
        "trl-conversational",
        (("prompt",), *PAIR),
        pairs.read_trl_conversational,
        has_turns,
        variants={
            "ultrafeedback-binarized": "UltraFeedback, binarized: one comparison, with the overall scores.",
            "ultrafeedback-cleaned": "UltraFeedback, cleaned by Argilla: one comparison, with the mean ratings.",
            "axolotl-ultra": "axolotl's `ultra`: the lists repeat the prompt.",
            "openrlhf-chat": "OpenRLHF with a prompt key, and NeMo-RL's binary form.",
            "trl-vision": "TRL's pairs about pictures: parts of turns, with the files in `images`.",
        },
        about="TRL's pairs of messages; the lists may repeat the prompt: one comparison.",
    ),
    Layout(
        "llamafactory",
        (("instruction",), *PAIR),
        pairs.read_llamafactory,
        lambda row: not has_lists(row),
        about="LLaMA-Factory's rankings of an instruction, with or without `input`: one comparison.",
    ),
    QUESTION_PAIR,
    Layout(
        "hh",
        PAIR,
        pairs.read_hh,
        has_transcript,
        about="Anthropic HH: two transcripts with a shared history; their last answers are compared.",
    ),
    Layout(
        "trl-implicit-conversational",
        PAIR,
        pairs.read_trl_implicit_conversational,
        has_lists,
        variants={
            "axolotl-argilla-chat": "axolotl's `argilla_chat`, and OpenRLHF without a prompt key.",
        },
        about="TRL's pairs of messages without a prompt: their common turns are the prompt.",
    ),
    # A system prompt or an input would stand before text that already holds its prompt.
    Layout(
        "trl-implicit",
        PAIR,
        pairs.read_trl_implicit,
        is_bare,
        context=False,
        doubt=doubt_implicit,
        about=(
            "TRL's pairs of texts without a prompt: their common beginning is the prompt, if it ends with "
            "a sentence, a line or a template's mark."
        ),
    ),
    *UNPAIRED,
)

DEMONSTRATIONS: tuple[Layout, ...] = (
    OWN_LAYOUT,
    Layout(
        "completion",
        (("prompt",), demonstrations.COMPLETION_FIELDS),
        read_completion,
        counts_add=True,
        about="TRL's prompt and completion, as text or as messages.",
    ),
    Layout(
        "messages",
        (("messages", "conversations"),),
        read_messages,
        counts_add=True,
        variants={
            "openai-chat": "OpenAI's chat fine-tuning: `tools`, `tool_calls`, `weight` 0 for what is not learned.",
            "llamafactory-tools": "LLaMA-Factory's ShareGPT form: calls and results as turns, `tools` as text.",
            "swift-agent": "ms-swift's agents: a turn per call, `tools` as text.",
            "axolotl-chat": "axolotl's `chat_template` with `train` at each turn.",
            "reasoning-chat": "Answers with thoughts apart, as Qwen3 and DeepSeek-R1 give them.",
        },
        about="A conversation that ends with the answer to learn.",
    ),
    Layout(
        "alpaca",
        (("instruction",), ("output",)),
        read_alpaca,
        lambda row: not has_ranked_list(row),
        counts_add=True,
        about="Stanford Alpaca: an instruction, its input, and the answer.",
    ),
    *FRAMEWORK_DEMONSTRATIONS,
    Layout(
        "question-answer",
        (demonstrations.QUESTION_FIELDS, demonstrations.ANSWER_FIELDS),
        demonstrations.read_question,
        lambda row: has_no_columns(row, "prompt", "instruction"),
        counts_add=True,
        complete=True,
        about="A question with its answer, as GSM8K and OpenOrca have them.",
    ),
    Layout(
        "instruction-response",
        (("instruction",), ("response",)),
        demonstrations.read_instruction,
        lambda row: has_no_columns(row, "prompt", "output"),
        counts_add=True,
        complete=True,
        about="An instruction with its response, as Dolly has them; `context` joins the prompt.",
    ),
    Layout(
        "article",
        (("article",), demonstrations.SUMMARY_FIELDS),
        demonstrations.read_article,
        counts_add=True,
        about="CNN/DailyMail: an article and its summary.",
    ),
    Layout(
        "text",
        (("text",),),
        demonstrations.read_text,
        context=False,
        about="Plain text, a response to the empty prompt.",
    ),
)

# What teaches the wrong thing as demonstrations: losing and bad responses.
NO_DEMONSTRATIONS: tuple[Layout, ...] = tuple(layout for layout in PREFERENCES if layout is not OWN_LAYOUT)


PROMPTS: tuple[Layout, ...] = (
    # a completion's label, right or wrong, is no matter, nor is the order of answers
    *(
        replace(layout, doubt=None) if layout.doubt is doubt_ranked else layout
        for layout in PREFERENCES
        if layout not in UNPAIRED
    ),
    *FRAMEWORK_PROMPTS,
    *(layout for layout in DEMONSTRATIONS if layout is not OWN_LAYOUT and layout.name not in ("text", "segments")),
    Layout(
        "prompts",
        (("prompt",),),
        demonstrations.read_bare_prompt,
        variants={"verl": "verl's prompts; what its reward reads is not read here."},
        about="Prompts alone, to sample from.",
    ),
    QUESTION_PROMPTS,
)


def detect(row: RowValues, layouts: Sequence[Layout]) -> Layout | None:
    """Return the first layout that a row looks like."""
    return next((layout for layout in layouts if layout.matches(row)), None)


def layout_named(name: str, layouts: Sequence[Layout]) -> Layout:
    """Return the layout that the reader asked for.

    Raises:
        InputError: there is none of that name.
    """
    names = [layout.name for layout in layouts]
    if name not in names:
        suggestion = did_you_mean(name, names, form=repr) or "."
        raise InputError(f"unknown layout {name!r}{suggestion} Known: {', '.join(names)}")
    return layouts[names.index(name)]
