"""`penchant sample`: draw responses to prompts, and score and compare them where a reward is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from penchant.cli.arguments import Arguments, Command, retired_flags
from penchant.cli.early_imports import import_early
from penchant.cli.outputs import check_file
from penchant.cli.partial_lines import add_resume_flag
from penchant.config import Config
from penchant.config.limits import Draws, Seed, Text, Tokens
from penchant.data.rendering.template_source import TemplateName
from penchant.errors import InputError, PenchantError, RunError
from penchant.models.loading_settings import AttentionName, DeviceName, Placement, RemoteCode, WeightDtype, model_config
from penchant.types import Prompt, PromptGroup

if TYPE_CHECKING:
    from penchant.models.policy import Policy
    from penchant.rewards.load import Reward
    from penchant.runs.partial_file import Origin, PartialFile

SAMPLES_AT_ONCE = 512  # short ones, that are drawn together and kept together: four full passes
LONG_AT_ONCE, LONG = 128, 128  # samples of more tokens than this are kept after each pass, which takes minutes


class Sample(Config):
    """Draw responses to prompts, so that someone can rank them; with a reward, score and compare them."""

    method: ClassVar[str] = "sample"

    model: Text
    """A built-in name (`smollm2-135m`), a folder, a run directory, a GGUF file, or a hub id."""
    prompts: Text
    """Prompts: text, one per line, or any data file; with pictures where the model reads them."""
    system: Text | None = None
    """A system turn for prompts that have none, as `data.system` of training."""
    out: Text
    """The file to write: .jsonl or .jsonl.gz."""
    n: Draws = 4
    """Responses per prompt."""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """Divides the logits; 0 takes the likeliest token."""
    max_new_tokens: Tokens = 64
    """Length at which a response is cut."""
    top_k: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    """Draw from the so many likeliest tokens; 0 for all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Draw from the likeliest tokens that have this probability together; 1 for all."""
    seed: Seed = 0
    """Fixes the draws."""
    template: TemplateName = "auto"
    """`chat` renders with the tokenizer's chat template, `plain` joins texts as they are, `auto` takes what the model
    was trained with here, else its chat template. Or `chatml` and others that come with this package, or a `.jinja`
    file."""
    template_args: dict[str, JsonValue] = Field(default_factory=dict)
    """What the template is told beside the conversation, such as `{enable_thinking: false}`; what the model was trained
    with here is the default."""
    reward: str | None = None
    """Score the responses and compare them: `vader`, module:function, or http://address. Without it they are only
    drawn."""
    pairs: Literal["all", "best-worst"] | None = None
    """What to compare by the reward: every two responses (the default), or the best with the worst."""
    device: DeviceName = "auto"
    dtype: WeightDtype = "auto"
    attention: AttentionName = "auto"
    device_map: Placement = None
    trust_remote_code: RemoteCode = False

    @model_validator(mode="after")
    def _has_what_scores(self) -> Self:
        if self.pairs and not self.reward:
            raise ValueError(
                "`pairs` says which scored responses to compare: name what scores them, such as reward=vader"
            )
        return self


def _sample(arguments: Arguments) -> int:
    config, resume = arguments.load(Sample), arguments.flags.resume
    # after the settings: a slip in them is answered without torch
    import_early("penchant.models.load", "transformers.modeling_utils")
    from penchant.data.layouts.own import read_penchant
    from penchant.data.load import load_prompts
    from penchant.data.write import refuse_overwriting, write_groups
    from penchant.models.load import load_policy, reads_pictures
    from penchant.rewards import load_reward
    from penchant.rewards.columns import carry_columns, check_columns, reads_columns
    from penchant.runs.partial_file import check_startable, explain_stop, open_partial
    from penchant.train.inputs.run_models import find_run

    out = Path(config.out)
    refuse_overwriting(out, config.prompts)  # also with --overwrite: what is read would be lost
    if not resume:
        check_file(out, arguments.flags)
    if not check_startable(out, resume=resume):  # before the work, not after it
        return 0
    find_run(config.model)  # warns of a run that did not come to its end
    # before the model: a mistyped reward is found in a second, weights take a minute
    reward = load_reward(config.reward) if config.reward else None
    media = reads_pictures(config.model, trust_remote_code=config.trust_remote_code)
    # what is known of a picture stands in columns, by which its descriptions are judged later
    columns = reads_columns(reward) or media
    prompt_groups = load_prompts(config.prompts, system=config.system, keep_columns=columns, media=media)
    if media:
        prompt_groups = [_without_paths(group) for group in prompt_groups]
    check_columns(reward, prompt_groups)
    settings = model_config(config.model, config)
    policy = load_policy(settings, template=config.template, template_args=config.template_args)
    # all prompts at once, not where sampling comes to them after an hour
    _check_room(policy, prompt_groups, config.max_new_tokens)
    prompts = [group.prompt for group in prompt_groups]
    origin, chunk = _origin(config, policy, prompts), _chunk(config.n, config.max_new_tokens)
    with open_partial(out, origin, resume=resume, chunk=chunk, total=len(prompts)) as partial:
        with explain_stop(partial, "prompts"):
            _draw_missing(policy, prompt_groups, config, partial)
        if reward is None:
            partial.finish()
        else:
            # scored after all sampling: the reward is asked once, for everything
            samples = [read_penchant(json.loads(line)) for line in partial.lines]
            # with the prompts as they were read: a line has paths in the place of pictures
            samples = [group.replace(prompt=prompt) for group, prompt in zip(samples, prompts, strict=True)]
            groups = carry_columns(samples, prompt_groups)
            with explain_stop(partial, "prompts"):
                write_groups(_scored(groups, reward, config.pairs, partial), out)
            partial.remove()
    print(f"{len(prompts)} prompts with {config.n} responses each written to {out}")
    return 0


def _chunk(n: int, max_new_tokens: int) -> int:
    """Return how many prompts are drawn and kept together: enough for full passes, whatever is asked of each."""
    return max(1, (SAMPLES_AT_ONCE if max_new_tokens <= LONG else LONG_AT_ONCE) // n)


def _without_paths(group: PromptGroup) -> PromptGroup:
    """Return a group without the columns of its files, whose paths start from another folder than those of `out`."""
    from penchant.data.layouts.media import NAMES

    return group.replace(columns={name: cell for name, cell in group.columns.items() if name not in NAMES})


def _draw_missing(policy: Policy, rows: Sequence[PromptGroup], config: Sample, partial: PartialFile) -> None:
    """Draw for the prompts that are not there yet, a chunk at a time."""
    from penchant.data.media_rows import fields_beside
    from penchant.data.write import group_line
    from penchant.engine.sampling import Sampling
    from penchant.rewards.columns import carry_columns
    from penchant.runs.progress import progress_bar

    sampling = Sampling(config.n, config.temperature, config.max_new_tokens, config.top_k, config.top_p, config.seed)
    file_fields = fields_beside(Path(config.out))  # pictures by paths that start beside the file
    done, chunk = len(partial.lines), _chunk(config.n, config.max_new_tokens)
    with progress_bar("sampling", len(rows) * config.n, "samples", done=done * config.n) as advance:
        for start in range(done, len(rows), chunk):
            # a chunk by itself, always the same one: what lies in a batch may decide a last digit, and so a draw
            asked_rows = rows[start : start + chunk]
            groups = policy.sample([row.prompt for row in asked_rows], sampling, progress=advance)
            if policy.renderer.media is not None:
                groups = carry_columns(groups, asked_rows)
            lines = [group_line(group, f"{config.out}: a group", file_fields) for group in groups]
            partial.append([line.rstrip(b"\n") for line in lines])


def _origin(config: Sample, policy: Policy, prompts: Sequence[Prompt]) -> Origin:
    """Return what the samples depend on; the reward comes after them."""
    from penchant.data.rendering.tokenizer_digest import digest_tokenizer
    from penchant.runs import input_digests
    from penchant.runs.partial_file import Origin

    start = input_digests.ModelIdentity.from_learner(policy)
    inputs = {
        "the model": start.digest,
        "the end tokens": start.end_ids,
        "the tokenizer": digest_tokenizer(policy.renderer),
        "the prompts": input_digests.digest_prompts(prompts, policy.renderer),
    }
    names = ("n", "temperature", "max_new_tokens", "top_k", "top_p", "seed")
    return Origin("sample", {name: getattr(config, name) for name in names}, inputs)


def _check_room(policy: Policy, groups: Sequence[PromptGroup], max_new_tokens: int) -> None:
    """Refuse prompts that leave no room for a response in the model's context.

    Raises:
        InputError: names them.
    """
    long = [group.source for group in groups if not policy.has_room(group.prompt, max_new_tokens, source=group.source)]
    if long:
        remainder = f" (+{len(long) - 20} more)" if len(long) > 20 else ""
        raise InputError(
            f"{len(long)} prompts leave no room for {max_new_tokens} tokens in the model's context of "
            f"{policy.context}: {', '.join(long[:20])}{remainder}. Shorten them, or lower max_new_tokens"
        )


def _scored(groups: list[PromptGroup], reward: Reward, pairs: str | None, partial: PartialFile) -> list[PromptGroup]:
    """Return the groups with scores and the comparisons that these make.

    Raises:
        RunError: the reward failed; what was drawn is in a file without scores, and no more in the partial one.
    """
    from penchant.data.write import write_groups
    from penchant.rewards import best_worst_pairs, compare_by_score, score_groups

    try:
        groups = score_groups(groups, reward)
    except PenchantError as error:  # drawing took long: what was drawn is kept
        unscored = partial.out.with_name(f"unscored-{partial.out.name}")
        write_groups(groups, unscored)
        partial.remove()
        raise RunError(f"{error}. The samples are in {unscored}, without scores") from error
    return best_worst_pairs(groups) if pairs == "best-worst" else compare_by_score(groups)


SAMPLE = Command(
    "sample",
    Sample,
    _sample,
    positionals={"model": "MODEL", "prompts": "PROMPTS"},
    example="penchant-0.5m prompts.txt n=4 reward=vader out=prefs.jsonl",
    add_flags=add_resume_flag,
    retired=retired_flags(
        *("temperature", "max_new_tokens", "top_k", "top_p", "seed", "template", "reward", "pairs", "device", "dtype")
    )
    | {"-n": "n", "--trust-remote-code": "trust_remote_code=true"},
)
