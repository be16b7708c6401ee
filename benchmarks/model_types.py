"""Score and sample a tiny network of every causal type of `transformers`, and compare with the model's own numbers.

    python benchmarks/model_types.py --write docs/results/model-types.md

What is right is what a network gives for one row alone, without a cache and without padding. A type is `trees` (scored
as trees), `rows` (each response with its own prompt) or `equal rows` (rows of one length together); its samples come
from a `cache`, a `cache by length` or `no cache`. Else it is refused by its name. Anything else is a fault.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tiny_types import NotBuilt, build_tiny, causal_types

from penchant.data.rendering.rendered import Branch, Rendered
from penchant.engine.decode_probe import decoding_way
from penchant.engine.generate import draw
from penchant.engine.pick import pick, sample_uniforms
from penchant.engine.sampling import Sampling
from penchant.engine.score import Scorer, score
from penchant.errors import InputError

TOLERANCE = 1e-3  # nats per scored token: rounding of float32, and of layers that compute in bfloat16
DRAWN = 6  # tokens per sample
WAYS = ("trees", "rows", "equal rows", "cache", "cache by length", "no cache", "refused")  # from fast to slow


ALSO_TESTED = """## Tested beside the sweep

With tiny networks in float32, against passes of the network over single rows:

- Windows and thresholds of 1,030 tokens, which the first probes do not reach: Mistral, Gemma 2 and 3, `longrope`,
  Llama 3, YaRN, `dynamic`. Scored and sampled across them; networks made wrong only beyond them are found
  (`tests/engine/test_score_probe.py`).
- `longrope` with rows on both sides of its threshold: scores, gradients, the loss of step 0 (DPO, LD-DPO, LoRA,
  `train_top`), KL, tokens and values of PPO, rewards, samples, states for probes, `classifier:` rewards
  (`tests/engine/test_lengths.py`, `tests/train/inputs/test_reference_table.py`,
  `tests/weak/classifiers/test_reading.py`, `tests/rewards/test_classifier.py`). Encoders likewise, with `dynamic`.
- bfloat16: the same ways as in float32 for experts, wrong trees and wrong padding, at two scales of weights
  (`tests/benchmarks/test_model_types.py`).
- Saving: full, LoRA per target, on other adapters, adapters that peft made (rsLoRA, DoRA, patterns, whole modules,
  single tokens), shards, a larger vocabulary, bfloat16, over a folder that held another model
  (`tests/models/test_saving.py`).

Not tried: a GPU, float16, real models of these sizes.
"""


@dataclass(frozen=True)
class Verdict:
    """What became of one type.

    Attributes:
        scoring, sampling: the way that was taken, "refused", "off" (numbers are wrong) or "traceback".
        reason: why a slower way was taken or the type was refused.
        half: in bfloat16 the ways are the "same", or those that are named here; "faster" is a fault, since what is
            wrong in float32 is wrong there too.
    """

    model_type: str
    scoring: str
    sampling: str
    reason: str = ""
    half: str = "same"

    @property
    def fault(self) -> bool:
        """Whether something was silently wrong or ended in a traceback."""
        return bool({self.scoring, self.sampling, self.half} & {"off", "traceback", "faster"})


def judge_type(model_type: str) -> Verdict:
    """Return what becomes of a type; "not built" where no tiny network of it can be made."""
    try:
        network = build_tiny(model_type)
    except NotBuilt as error:
        return Verdict(model_type, "not built", "not built", str(error))
    scoring, why = judge_scoring(network)
    sampling, why_not = judge_sampling(network)
    reason = "; ".join(dict.fromkeys(filter(None, (why, why_not))))
    return Verdict(model_type, scoring, sampling, reason, judge_half(network, scoring, sampling))


def judge_half(network: Any, scoring: str, sampling: str) -> str:
    """Return what becomes of the network in bfloat16, by the ways that it takes in float32.

    Numbers of half precision are not compared with anything here: the ways are right where they are those of float32,
    or slower ones.
    """
    network = network.to(torch.bfloat16)
    try:
        score_way, _ = scoring_way(Scorer(network))
    except InputError:
        score_way = "refused"
    except Exception as error:
        return f"traceback ({type(error).__name__})" if scoring != "refused" else "same"
    sample_way = decoding_way(network).way.replace("none", "refused")
    for way, full in ((score_way, scoring), (sample_way, sampling)):
        if full in WAYS and WAYS.index(way) < WAYS.index(full):
            return "faster"
    return "same" if (score_way, sample_way) == (scoring, sampling) else f"{score_way} / {sample_way}"


def scoring_way(scorer: Scorer) -> tuple[str, str]:
    """Return the name of how responses go through a model, and why not as trees."""
    way = "trees" if not scorer.plain else "rows" if scorer.packing.lengths.exact_above is None else "equal rows"
    return way, scorer.plain_reason


def judge_scoring(network: Any) -> tuple[str, str]:
    """Score groups of unequal rows in one batch, and compare with single rows."""
    rows = _rows(network)
    try:
        with torch.no_grad():
            expected = [_own_scores(network, row) for row in rows]
    except Exception as error:
        expected, failure = [], error
    try:
        scorer = Scorer(network)
        got = score(scorer, rows)
    except InputError as error:
        return "refused", str(error)
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}"
    if not expected:
        return "traceback", f"{type(failure).__name__}: {failure}"
    worst = max(
        float(((a - b).abs() / torch.tensor([branch.scored for branch in row.branches])).max())
        for a, b, row in zip(got, expected, rows, strict=True)
    )
    if not worst <= TOLERANCE:
        return "off", f"scores off by {worst:.3g} nats per token"
    return scoring_way(scorer)


def judge_sampling(network: Any) -> tuple[str, str]:
    """Draw greedily and at random for prompts of unequal lengths, and compare with passes over single rows."""
    prompts = [row.prompt_ids for row in _rows(network)]
    for sampling in (Sampling(temperature=0, max_new_tokens=DRAWN), Sampling(n=2, max_new_tokens=DRAWN, seed=3)):
        try:
            drawn = draw(network, prompts, sampling, end_ids=frozenset({2}))
        except InputError as error:
            return "refused", str(error)
        except Exception as error:
            return "traceback", f"{type(error).__name__}: {error}"
        with torch.no_grad():
            expected = [[_own_sample(network, p, sampling, i) for i in range(sampling.n)] for p in prompts]
        if [[ids for ids, _ in row] for row in drawn] != expected:
            return "off", f"{sampling} draws other tokens"
    verdict = decoding_way(network)
    return verdict.way, verdict.reason


def _rows(network: Any) -> list[Rendered]:
    """Groups of unequal rows: shorter and longer than the windows of tiny configurations."""
    generator = torch.Generator().manual_seed(1)
    vocabulary = network.config.get_text_config().vocab_size

    def ids(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, vocabulary, (count,), generator=generator).tolist())

    return [
        Rendered(ids(prompt), tuple(Branch(part, ((0, len(part)),)) for part in map(ids, branches)))
        for prompt, branches in ((5, (3, 20, 7)), (30, (9, 1)), (2, (4, 4)), (13, (2, 40)))
    ]


def _own_scores(network: Any, row: Rendered) -> torch.Tensor:
    totals = []
    for branch in row.branches:
        ids = torch.tensor([[*row.prompt_ids, *branch.ids]])
        logps = network(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1)
        first = len(row.prompt_ids)
        totals.append(logps[first - 1 : -1].gather(1, ids[0, first:, None]).sum())
    return torch.stack(totals)


def _own_sample(network: Any, prompt: tuple[int, ...], sampling: Sampling, index: int) -> tuple[int, ...]:
    """Draw one sample by whole passes over its row alone."""
    uniforms = sample_uniforms(sampling.seed, prompt, index, sampling.max_new_tokens)
    drawn: list[int] = []
    while len(drawn) < sampling.max_new_tokens and (not drawn or drawn[-1] != 2):
        logits = network(input_ids=torch.tensor([[*prompt, *drawn]]), use_cache=False).logits[:, -1]
        drawn.append(int(pick(logits, torch.tensor([uniforms[len(drawn)]]), sampling)))
    return tuple(drawn)


def format_verdict(verdict: Verdict) -> str:
    """Return a verdict as one line."""
    fault = "FAULT " if verdict.fault else ""
    half = "" if verdict.half == "same" else f" (bfloat16: {verdict.half})"
    return f"{fault}{verdict.model_type}: {verdict.scoring} / {verdict.sampling}{half} {verdict.reason[:200]}"


def main() -> None:
    """Judge every type, or those named, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("types", nargs="*", help="model types; all if none is named")
    parser.add_argument("--write", type=Path, help="the page to write")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    logging.getLogger("penchant.engine").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    verdicts = []
    for model_type in options.types or causal_types():
        started = time.monotonic()
        verdicts.append(judge_type(model_type))
        seconds = time.monotonic() - started
        print(f"{format_verdict(verdicts[-1])} ({seconds:.1f} s)", flush=True)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(format_page(verdicts), encoding="utf-8")
    if faults := [verdict.model_type for verdict in verdicts if verdict.fault]:
        raise SystemExit(f"silently off, or a traceback: {', '.join(faults)}")


def format_page(verdicts: Sequence[Verdict]) -> str:
    """Return the page in `docs/results`."""
    built = [verdict for verdict in verdicts if verdict.scoring != "not built"]
    scoring, sampling = (Counter(getattr(verdict, name) for verdict in built) for name in ("scoring", "sampling"))
    other = [f"`{verdict.model_type}` ({verdict.half})" for verdict in built if verdict.half != "same"]
    lines = [
        "# Model types",
        "",
        f"`transformers` {transformers.__version__} calls {len(verdicts)} model types causal. Of {len(built)} a tiny "
        "network with random weights was built, scored and sampled by Penchant. Each result was compared with passes "
        "of the network itself over single rows, without a cache and without padding.",
        "",
        f"- Silently wrong, or ended by a traceback: **{sum(verdict.fault for verdict in built)}**.",
        f"- Scored as trees: {scoring['trees']}. As single rows in one batch (`rows`): {scoring['rows']}. Only rows of "
        f"one length together (`equal rows`): {scoring['equal rows']}. Refused by name: {scoring['refused']}.",
        f"- Sampled with a cache: {sampling['cache']}. With a cache, prompts of one length together: "
        f"{sampling['cache by length']}. By a whole pass per token (`no cache`): {sampling['no cache']}. Refused by "
        f"name: {sampling['refused']}.",
        f"- In bfloat16 {len(built) - len(other)} types are scored and sampled in the same ways"
        f"{'; others: ' + ', '.join(other) if other else ''}. None goes a faster way than in float32.",
        "",
        f"Scores count as equal up to {TOLERANCE} nats per scored token; samples (greedy, and drawn with a seed) have "
        "to be the same tokens. Rows have 6 to 53 tokens, on both sides of the networks' windows (8 tokens) and of "
        "their sparse attention (16 keys).",
        "",
        "A type says what a tiny configuration of it does; a probe decides anew for every configuration that is used "
        "(`docs/decisions/0019-decoding.md`).",
        "",
        "Command: `python benchmarks/model_types.py --write docs/results/model-types.md`, with "
        f"torch {torch.__version__}, float32, seed 0.",
        "",
        "| type | scored | sampled | why not faster, or refused |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{v.model_type}` | {v.scoring} | {v.sampling} | {' '.join(v.reason.split())[:300].replace('|', '/')} |"
        for v in built
    ]
    lines += ["", *ALSO_TESTED.splitlines(), "", "## Not built", "", "| type | reason |", "|---|---|"]
    lines += [
        f"| `{v.model_type}` | {' '.join(v.reason.split())[:200].replace('|', '/')} |"
        for v in verdicts
        if v.scoring == "not built"
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
