"""List the layouts that other training frameworks document. `registry.py` puts them among the others."""

from __future__ import annotations

from penchant.data.layouts import frameworks
from penchant.data.layouts.layout import Layout
from penchant.data.layouts.recognition import has_no_columns, is_list, waits_for_answer
from penchant.data.layouts.trees import is_tree, read_tree
from penchant.data.layouts.unpaired import LABEL_FIELDS as LABEL
from penchant.data.layouts.unpaired import labelled

PAIR = (("chosen",), ("rejected",))
ASKING = (frameworks.ASKING_FIELDS,)

FRAMEWORK_PREFERENCES = (
    Layout(
        "openai-preference",
        (("input",), ("preferred_output",), ("non_preferred_output",)),
        frameworks.read_openai_preference,
        context=False,  # `input` is the request itself
        about="OpenAI's preference fine-tuning: `input` with `messages` and `tools`, and both answers: one comparison.",
    ),
    Layout(
        "swift-messages",
        (("messages",), ("rejected_messages",)),
        frameworks.read_swift_messages,
        about="ms-swift's pairs of whole conversations, which share all turns but the last: one comparison.",
    ),
    Layout(
        "nemo-rl",
        (("context",), ("completions",)),
        frameworks.read_nemo,
        lambda row: has_no_columns(row, "prompt", "instruction"),
        context=False,  # here `context` is the prompt
        about="NeMo-RL: completions with a `rank` each, 0 the best: a comparison for every pair.",
    ),
    Layout(
        "oasst",
        (("prompt",), ("message_tree_id",)),
        read_tree,
        is_tree,
        about=(
            "OpenAssistant's trees, one per row or as a table of messages: every answered turn is a prompt, and its "
            "answers are compared by `rank`, 0 the best. `labels` and `emojis` are not read."
        ),
    ),
)
"""With names that no other layout has, so that they stand above the general ones."""

QUESTION_PAIR = Layout(
    "question-pair",
    (*ASKING, *PAIR),
    frameworks.read_question_pair,
    lambda row: has_no_columns(row, "prompt", "instruction", "messages", "conversations"),
    variants={"axolotl-icr": "axolotl's `icr`: the question is called `input`."},
    about="A question with two answers, as Orca's pairs and axolotl's kinds have it: a user's turn, one comparison.",
)

FRAMEWORK_UNPAIRED = (
    Layout(
        "unpaired-instruction",
        (("instruction", *frameworks.ASKING_FIELDS), frameworks.LABELLED_FIELDS, LABEL),
        labelled(frameworks.read_labelled_instruction),
        lambda row: has_no_columns(row, "prompt", "messages", "conversations"),
        counts_add=True,
        variants={"axolotl-kto-intel": "axolotl's `intel` for KTO, with a `question`."},
        about="An instruction or a question with an answer that is labelled good or bad, for `kto`.",
    ),
    Layout(
        "unpaired-conversation",
        (("completion",), LABEL),
        labelled(frameworks.read_labelled_conversation),
        lambda row: is_list(row, "completion") and has_no_columns(row, "prompt"),
        counts_add=True,
        about="axolotl's conversations under `completion`, whose last answer is labelled, for `kto`.",
    ),
)

FRAMEWORK_DEMONSTRATIONS = (
    Layout(
        "swift-rounds",
        (("conversation",),),
        frameworks.read_rounds,
        lambda row: is_list(row, "conversation"),
        counts_add=True,
        about="ms-swift's rounds of `human` and `assistant`; the last answer is learned.",
    ),
    Layout(
        "message-pair",
        (("message_1",), ("message_2",)),
        frameworks.read_message_pair,
        counts_add=True,
        about="Camel: what a user says, and the answer.",
    ),
    Layout(
        "article-question",
        (("article",), ("question",), ("answer",)),
        frameworks.read_article_question,
        counts_add=True,
        about="A question about an article, as axolotl's `context_qa` has it: a user's turn of both.",
    ),
    Layout(
        "input-output",
        (("input",), ("output",)),
        frameworks.read_input_output,
        lambda row: has_no_columns(row, "prompt", "instruction", "question", "query"),
        counts_add=True,
        complete=True,
        about="OpenRLHF's `input` and `output`, as text or as messages.",
    ),
    Layout(
        "segments",
        (("segments",),),
        frameworks.read_segments,
        counts_add=True,
        context=False,
        about=(
            "axolotl's `input_output`: segments of one text, the first without a label, the last with it. It is no "
            "conversation: set `data.template=plain`."
        ),
    ),
)

FRAMEWORK_PROMPTS = (
    Layout(
        "open-conversation",
        (("messages", "conversations"),),
        frameworks.read_open_conversation,
        waits_for_answer,
        about="Conversations that wait for their answer, to sample from.",
    ),
)

QUESTION_PROMPTS = Layout(
    "question-prompts",
    (("instruction", *frameworks.ASKING_FIELDS),),
    frameworks.read_asking,
    complete=True,
    about="Instructions or questions alone, as a user's turn, to sample from.",
)
