"""The command line's `sample`: draw responses to prompts, and score and compare them where a reward is named."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from penchant.cli.early_imports import import_early
from penchant.errors import InputError, PenchantError, RunError
from penchant.types import PromptGroup


def add_sample(commands: Any) -> None:
    """Add `sample` to the commands."""
    parser = commands.add_parser("sample", help="draw responses to prompts, so that someone can rank them")
    parser.add_argument("model", help="a built-in name, folder, GGUF file or hub id")
    parser.add_argument("prompts", help="prompts: text, one a line, or any data file")
    parser.add_argument("-o", "--out", required=True, help="the file to write: .jsonl or .jsonl.gz")
    parser.add_argument("-n", type=int, default=4, help="responses a prompt (default: 4)")
    parser.add_argument("--temperature", type=float, default=1.0, help="0 takes the likeliest token (default: 1)")
    parser.add_argument("--max-new-tokens", type=int, default=64, help="where a response is cut (default: 64)")
    parser.add_argument("--top-k", type=int, default=0, help="0 for all tokens (default)")
    parser.add_argument("--top-p", type=float, default=1.0, help="1 for all tokens (default)")
    parser.add_argument("--seed", type=int, default=0, help="fixes the draws (default: 0)")
    parser.add_argument("--template", choices=("auto", "chat", "plain"), default="auto")
    parser.add_argument("--reward", help="score the responses and compare them: vader, module:function, http://address")
    parser.add_argument(
        "--pairs",
        choices=("all", "best-worst"),
        help="what to compare by --reward: every two responses (default), or the best with the worst",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16", "float16"), default="auto")
    parser.add_argument("--trust-remote-code", action="store_true", help="run Python code that comes with the model")
    parser.set_defaults(run=_sample)


def _sample(options: argparse.Namespace) -> int:
    import_early("penchant.models.load", "transformers.modeling_utils")
    from penchant.data import load_prompts, write_groups
    from penchant.data.write import check_name
    from penchant.engine.sampling import Sampling
    from penchant.models.load import load_policy
    from penchant.rewards import best_worst_pairs, compare_by_score, load_reward, score_groups
    from penchant.runs.progress import progress_bar

    out = Path(options.out)
    check_name(out)  # before the work, not after it
    if options.pairs and not options.reward:
        raise InputError("--pairs says which scored responses to compare: name what scores them, with --reward")
    asked = load_prompts(options.prompts)
    reward = load_reward(options.reward) if options.reward else None
    sampling = Sampling(
        options.n, options.temperature, options.max_new_tokens, options.top_k, options.top_p, options.seed
    )
    policy = load_policy(
        options.model,
        template=options.template,
        device=options.device,
        dtype=options.dtype,
        trust_remote_code=options.trust_remote_code,
    )
    long = [
        group.source
        for group in asked
        if not policy.has_room(group.prompt, options.max_new_tokens, source=group.source)
    ]
    if long:
        more = f" (+{len(long) - 20} more)" if len(long) > 20 else ""
        raise InputError(
            f"{len(long)} prompts leave no room for {options.max_new_tokens} tokens in the model's context of "
            f"{policy.context}: {', '.join(long[:20])}{more}. Shorten them, or lower --max-new-tokens"
        )
    prompts = [group.prompt for group in asked]
    with progress_bar("sampling", len(prompts) * options.n, "samples") as advance:
        groups: list[PromptGroup] = policy.sample(prompts, sampling, progress=advance)
    if reward is not None:
        try:
            groups = score_groups(groups, reward)
        except PenchantError as error:  # drawing took long: what was drawn is kept
            unscored = out.with_name(f"unscored-{out.name}")
            write_groups(groups, unscored)
            raise RunError(f"{error}. The samples are in {unscored}, without scores") from error
        groups = best_worst_pairs(groups) if options.pairs == "best-worst" else compare_by_score(groups)
    write_groups(groups, out)
    print(f"{len(groups)} prompts with {options.n} responses each written to {out}")
    return 0
