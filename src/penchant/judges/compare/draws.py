"""Draw responses of a run at several temperatures from its checkpoint, and keep them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penchant.data.load import load_prompts
from penchant.data.write import write_groups
from penchant.engine.sampling import Sampling
from penchant.errors import InputError, RunError
from penchant.judges.compare.settings import JudgeConfig
from penchant.judges.compare.sources import Responses, last_samples, preview, responses, run_at
from penchant.judges.contract import digest
from penchant.models.load import load_policy
from penchant.models.saved_template import SAVED_TEMPLATE
from penchant.models.settings import ModelConfig
from penchant.rewards.content import model_content
from penchant.runs.progress import progress_bar
from penchant.runs.read import Run
from penchant.types import Prompt, prompt_text

# How the text of a prompt begins that had several turns.
CONVERSATION = re.compile(r"(system|user|assistant): ")


def draw_responses(config: JudgeConfig, source: str) -> dict[float, Responses]:
    """Return a run's responses at each temperature, drawn from its checkpoint or by an earlier call.

    The prompts are those of the run's samples unless the configuration names others; so are length, top-k and top-p.
    At temperature 0 there is one per prompt, as the likeliest tokens are the same each time.

    Raises:
        InputError: no run directory, one without a checkpoint, samples or settings, or a prompt without room.
        RunError: the disk is full.
    """
    if not Path(source).expanduser().is_dir():
        raise InputError(f"{source} is no run directory, and temperatures need its checkpoint: name a run that trained")
    run = run_at(source)
    checkpoint = run.path / "checkpoint"
    if not (checkpoint / "config.json").is_file() and not (checkpoint / "adapter_config.json").is_file():
        raise InputError(f"{source} has no checkpoint to draw from: let the run end, or judge it without temperatures")
    prompts = _prompts(config, run)[: config.limit]
    samplings = {temperature: _sampling(config, run, temperature) for temperature in config.temperatures}
    # All that decides what is drawn is part of the file's name, so that an earlier call's file is that of the same
    # draws. `repr` of the sampling has the seed and the length in it.
    content = digest(
        str(run.path.resolve()),
        model_content(str(checkpoint)),
        *map(prompt_text, prompts),
        str(run.setting("data", "template")),
    )
    folder = Path(config.out).expanduser() / "drawn"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write into {config.out}: {error.strerror}") from error
    files = {
        temperature: folder / f"{temperature:g}-{digest(content, repr(sampling))[:12]}.jsonl"
        for temperature, sampling in samplings.items()
    }
    if missing := [temperature for temperature, file in files.items() if not file.is_file()]:
        _draw(run, config, prompts, {files[temperature]: samplings[temperature] for temperature in missing})
    return {temperature: responses(str(file), thoughts=config.thoughts) for temperature, file in files.items()}


def _prompts(config: JudgeConfig, run: Run) -> list[Prompt]:
    if config.prompts is not None:
        return [group.prompt for group in load_prompts(config.prompts)]
    texts = [row.prompt for row in last_samples(run)]
    if not texts:
        raise InputError(f"{run.path} has no samples to take the prompts of: name a file with `prompts`")
    # samples keep them joined to one text, which would be drawn for as one long turn of a user
    if turns := [text for text in texts if CONVERSATION.match(text)]:
        raise InputError(
            f"{run.path}: prompts are conversations, whose turns its samples do not keep apart ({preview(turns[0])}): "
            "name the file that has them with `prompts`"
        )
    return list(texts)


def _sampling(config: JudgeConfig, run: Run, temperature: float) -> Sampling:
    recorded = run.setting("evaluate", "samples")
    settings: Mapping[str, Any] = recorded if isinstance(recorded, Mapping) else {}
    limit = config.max_new_tokens or settings.get("max_new_tokens")
    # `trained` is a length that the run found out: its samples have it, unless all of them ended before
    if not isinstance(limit, int):
        limit = max((draw.tokens or 0 for row in last_samples(run) for draw in row.policy), default=0)
    if not limit:
        raise InputError(f"{run.path} does not say how long its samples were: set `max_new_tokens`")
    n = config.n if temperature > 0 else 1  # at 0 all draws would be the same text
    return Sampling(n, temperature, limit, settings.get("top_k", 0), settings.get("top_p", 1.0), config.seed)


def _draw(run: Run, config: JudgeConfig, prompts: Sequence[Prompt], samplings: Mapping[Path, Sampling]) -> None:
    """Draw the samples of each file; a file appears only when it is whole."""
    recorded = run.setting("model")
    # as the run drew its own samples: another precision or sampler gives other texts from the same seed
    kept_settings = {
        key: recorded[key] for key in ("dtype", "sampler") if isinstance(recorded, Mapping) and key in recorded
    }
    model = ModelConfig(
        name=str(run.path / "checkpoint"),
        device=config.device,
        # never the run's own word: it may be downloaded, and the code that comes with it would run here
        trust_remote_code=config.trust_remote_code,
        **kept_settings,
    )
    # beside the checkpoint lies the template that it was trained with; earlier versions wrote down its name alone
    saved = (run.path / "checkpoint" / SAVED_TEMPLATE).is_file()
    policy = load_policy(model, template="auto" if saved else run.setting("data", "template") or "auto")
    for file, sampling in samplings.items():
        # before the first draw: a prompt that fails would take the samples of all others with it
        if long := [prompt for prompt in prompts if not policy.has_room(prompt, sampling.max_new_tokens)]:
            raise InputError(
                f"{len(long)} prompts leave no room for {sampling.max_new_tokens} tokens in the context of "
                f"{policy.context} of {run.path}, the first: {preview(prompt_text(long[0]))}. Lower `max_new_tokens`"
            )
        with progress_bar("sampling", len(prompts) * sampling.n, "samples") as advance:
            write_groups(policy.sample(prompts, sampling, progress=advance), file)
