"""List the layouts of published preference data sets and of annotation tools."""

from __future__ import annotations

from penchant.data.layouts import arena, argilla, hallucinations, judged, label_studio, rated
from penchant.data.layouts.layout import Layout
from penchant.data.layouts.transcripts import is_open_transcript
from penchant.data.layouts.unpaired import LABEL_FIELDS
from penchant.data.sources.values import RowValues

PROMPT = (("prompt",),)


def _has_text_lists(row: RowValues) -> bool:
    """Return whether both sides are lists of texts."""
    return all(
        isinstance(side, list) and bool(side) and all(isinstance(text, str) for text in side)
        for side in (row.get("chosen"), row.get("rejected"))
    )


def _has_ranked_answers(row: RowValues) -> bool:
    answers = row.get("answers")
    return isinstance(answers, list) and bool(answers) and all(isinstance(answer, dict) for answer in answers)


PUBLISHED: tuple[Layout, ...] = (
    Layout(
        "argilla-records",
        (argilla.PROMPT_FIELDS,),
        argilla.read_record,
        argilla.has_answers,
        joined=True,
        variants={
            "argilla-records-2": "Records of Argilla 2: each question has its columns `QUESTION.responses` and so on.",
        },
        about=(
            "Records as Argilla exports them: a ranking gives comparisons per annotator, ratings give a score (the "
            "mean over the annotators). Only submitted answers count."
        ),
    ),
    Layout(
        "shp",
        (("history",), ("human_ref_A",), ("human_ref_B",), ("labels",)),
        judged.read_shp,
        context=False,  # here `history` is the post itself
        has_sides=True,
        about="Stanford's SHP: two comments on a post; `labels` is 1 where A is preferred. Their votes are the scores.",
    ),
    Layout(
        "webgpt",
        (("question",), ("answer_0",), ("answer_1",), ("score_0",), ("score_1",)),
        judged.read_webgpt,
        has_sides=True,
        about="WebGPT's comparisons: the answer with the higher score wins, equal ones tie. Quotes are not read.",
    ),
    Layout(
        "pku-saferlhf",
        (*PROMPT, ("response_0",), ("response_1",), ("better_response_id", "safer_response_id")),
        judged.read_saferlhf,
        has_sides=True,
        about=(
            "PKU-SafeRLHF: two responses, which is better and which is safer. Where these differ, `data.score=better` "
            "or `data.score=safer` says which counts."
        ),
    ),
    Layout(
        "helpsteer2-preference",
        (*PROMPT, ("response_1",), ("response_2",), ("preference_strength",)),
        judged.read_helpsteer2_preference,
        has_sides=True,
        about=(
            "HelpSteer2's preferences: a strength from -3 (the first is much better) to 3. It is the comparison's "
            "weight; 0 is a tie, and so is what is below `data.margin`."
        ),
    ),
    Layout(
        "helpsteer3",
        (("context",), ("response1",), ("response2",), ("overall_preference",)),
        judged.read_helpsteer3,
        context=False,  # here `context` is the conversation itself
        has_sides=True,
        about=(
            "HelpSteer3's preferences: the same scale. `data.score=individual` reads the annotators' votes instead of "
            "the overall one, each as a comparison by its place (`vote 1`)."
        ),
    ),
    Layout(
        "helpsteer",
        (*PROMPT, ("response",), ("helpfulness",), ("correctness",), ("coherence",)),
        rated.read_helpsteer,
        joined=True,
        about=(
            "HelpSteer and HelpSteer2: a rated response per row. Those of one prompt are compared by `helpfulness`, "
            "or by what `data.score` names."
        ),
    ),
    Layout(
        "nectar",
        (*PROMPT, ("answers",)),
        judged.read_nectar,
        _has_ranked_answers,
        about="Nectar: answers with ranks, 1 the best; equal ranks tie. The transcript becomes a conversation.",
    ),
    Layout(
        "rewardbench-2",
        (*PROMPT, ("chosen",), ("rejected",)),
        judged.read_rewardbench2,
        _has_text_lists,
        about=(
            "RewardBench 2: each right answer beats each wrong one. In the subset `Ties` the right answers are equally "
            "good."
        ),
    ),
    Layout(
        "rlhf-v",
        (("image", "images", "image_path"), ("text",)),
        hallucinations.read_rlhf_v,
        hallucinations.has_pair_as_text,
        about="RLHF-V: a picture, and a question with the answer before and after people corrected it: one comparison.",
    ),
    Layout(
        "ha-dpo",
        (("image_id",), ("question",), ("chosen",), ("reject",)),
        hallucinations.read_ha_dpo,
        about=(
            "HA-DPO's questions about pictures of Visual Genome: the right answer beats the hallucinated one. "
            "`media_folder` is the folder of the pictures."
        ),
    ),
    Layout(
        "ha-dpo-descriptions",
        (("image_id",), ("chosen",), ("rejected",)),
        hallucinations.read_ha_dpo_descriptions,
        hallucinations.has_answer_lists,
        about=(
            "HA-DPO's descriptions of pictures of Visual Genome: each corrected one beats each hallucinated one. The "
            "prompt is `Describe this image in detail.` for all of them."
        ),
    ),
    Layout(
        "mt-bench",
        (("conversation_a",), ("conversation_b",), ("winner",)),
        arena.read_battle,
        variants={
            "arena-33k": (
                "Chatbot Arena, 33,000 conversations: one comparison of the last answers by `judge`, where the turns "
                "before them agree; `tie (bothbad)` is a tie."
            ),
            "arena-140k": (
                "Chatbot Arena, 140,000 votes: the same; the contents are lists of parts, and `both_bad` is a tie."
            ),
        },
        has_sides=True,
        about=(
            "MT-bench's judgments: one comparison of the answers of that `turn` by `judge`. Rows whose conversations "
            "differ before it are refused; `data.bad_rows=skip` counts them."
        ),
    ),
    Layout(
        "arena-55k",
        (*PROMPT, ("response_a",), ("response_b",), ("winner_model_a",), ("winner_model_b",)),
        arena.read_battle_texts,
        has_sides=True,
        about=(
            "Chatbot Arena, 55,000 conversations as lists in text: the last answers are compared, where the turns "
            "before them agree."
        ),
    ),
    Layout(
        "response-pair",
        (("prompt", "instruction"), ("response_a",), ("response_b",), ("winner",)),
        arena.read_answers,
        has_sides=True,
        about=(
            "Two responses and the winner (`a`, `model_b`, `left`, `2`, a model's name, `tie`, ...): one comparison by "
            "`judge` or `annotator`."
        ),
        codes=("winner", arena.doubtful_numbers),
    ),
    Layout(
        "argilla",
        (("instruction", "prompt"), ("chosen_response",), ("rejected_response",)),
        judged.read_named_pair,
        about="Argilla's flat pairs: one comparison, with the average ratings as scores.",
    ),
    Layout(
        "hh-dahoas",
        (*PROMPT, ("response",), ("chosen",), ("rejected",)),
        judged.read_hh_pair,
        lambda row: is_open_transcript(row.get("prompt")),
        about="Anthropic HH as Dahoas published it: the transcript becomes a conversation; the answers are compared.",
    ),
    Layout(
        "distilabel",
        (("instruction", "prompt"), ("generations",), ("ratings", "rating")),
        rated.read_distilabel,
        about="distilabel's generations with ratings: scores, and a comparison for every pair.",
    ),
    Layout(
        "rated",
        (*PROMPT, ("completion", "response"), rated.RATING_FIELDS),
        rated.read_rated,
        lambda row: not rated.is_promptfoo(row) and all(row.get(name) is None for name in LABEL_FIELDS),
        joined=True,
        about=(
            "A rated response per row: those of one prompt are compared by `rating`, `score` or `reward`, or by the "
            "columns that `data.score` names. Where `annotator` or `rater` says who rated, each one's ratings are "
            "compared among themselves."
        ),
    ),
    Layout(
        "label-studio",
        (("data",), ("annotations",)),
        label_studio.read_task,
        label_studio.is_task,
        joined=True,
        variants={
            "label-studio-ratings": (
                "Label Studio's ratings (`Rating`, `Number`): the mean over the annotators is the score; the "
                "responses of one prompt are compared by it."
            )
        },
        about="Label Studio's export as JSON: each `Pairwise` is a comparison by its annotator.",
    ),
    Layout(
        "promptfoo",
        (*PROMPT, ("response",), ("score",)),
        rated.read_promptfoo,
        rated.is_promptfoo,
        joined=True,
        about=(
            "promptfoo's results as JSON or JSON Lines: the answers to one rendered prompt are compared by `score`, "
            "or by the named score that `data.score` names."
        ),
    ),
)
"""What stands in none of the formats of the training frameworks."""
