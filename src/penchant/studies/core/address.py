"""What a stage of a study is made of, as a digest: equal inputs give an equal address, and nothing else does.

Content counts, never a name or a place: the bytes of prompt files, of a local model and of a reward's code, the
settings, the addresses of the stages before, and Penchant's own source as far as the stage reaches it (see
`penchant.studies.core.source`). Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from penchant.judges.settings import implementation_module
from penchant.rewards.content import data_content, model_content, reward_content
from penchant.rewards.names import reward_kind, split_thoughts_mark
from penchant.studies.core.kinds import maker_of
from penchant.studies.core.source import ENTRIES, digest_source
from penchant.tasks.load import task_row

__all__ = ["address", "data_content", "model_content", "reward_content", "stage_source", "summary_version"]

# 48 bits: enough for the stages of a study, and short enough for a folder's name
LENGTH = 12  # hexadecimal digits of an address


def address(
    kind: str,
    settings: Mapping[str, object],
    needs: Iterable[str],
    *,
    inputs: Mapping[str, str] | None = None,
    has_reward_model: bool = False,
) -> str:
    """Return the address of a stage: a digest of its kind, its settings, the stages that it needs and its source.

    Args:
        inputs: under which names its inputs are found; they say which entries of registries it reaches.
        has_reward_model: whether one of those stages is a reward model, which it reads.
    """
    source = stage_source(kind, settings, inputs or {}, has_reward_model=has_reward_model)
    # sorted, so that the order of the fields of a settings class may change; `needs` keep theirs
    content = json.dumps([kind, settings, list(needs), source], sort_keys=True, ensure_ascii=False)
    # a path with bytes that are no UTF-8 holds lone surrogates
    return hashlib.sha256(content.encode("utf-8", errors="surrogatepass")).hexdigest()[:LENGTH]


def stage_source(
    kind: str, settings: Mapping[str, object], inputs: Mapping[str, str], *, has_reward_model: bool = False
) -> str:
    """Return the digest of the source that a stage reaches, by imports and by the names in its settings."""
    roots, names = stage_reach(kind, settings, inputs, has_reward_model=has_reward_model)
    return digest_source(roots, names)


def stage_reach(
    kind: str, settings: Mapping[str, object], inputs: Mapping[str, str], *, has_reward_model: bool = False
) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    """Return the modules where a stage's work begins, and what it reaches by name: entries by their registry."""
    # what every stage runs through, and the module that does the work of this kind
    roots = ("penchant.studies.core.work", _maker(kind))
    # a study's inputs are the same for all of its stages; only those with the role among their settings read them
    used = {role: inputs.get(role) for role in ("reward", "kept", "judge") if settings.get(role) is not None}
    judges = list(judges_in(used.get("judge")))
    rewards = [
        str(spec) for spec in (used.get("reward"), used.get("kept"), *(judge.get("reward") for judge in judges)) if spec
    ]
    names = {
        "penchant.methods": [kind] if kind in ENTRIES["penchant.methods"] else [],
        "penchant.rewards.load": [
            *filter(None, map(_entry_of_reward, rewards)),
            *["learned"] * has_reward_model,
        ],
        "penchant.judges.load": [*filter(None, (implementation_module(str(judge["name"])) for judge in judges))],
        "penchant.tasks.load": [row] if (row := task_row(str(settings.get("task")))) else [],
    }
    names |= _names_of_learning(kind, settings)
    if any(judge.get("name") == "trained" for judge in judges):  # it becomes a reward model that judges as a reward
        # a digest that missed these two would leave its verdicts in place when they change
        names["penchant.judges.load"].append(implementation_module("reward"))
        names["penchant.rewards.load"].append("learned")
    return roots, names


def _names_of_learning(kind: str, settings: Mapping[str, object]) -> dict[str, list[str]]:
    """Return the losses and classifiers that a stage names; where a registry is left out, all of its entries count."""
    names: dict[str, list[str]] = {}
    if kind in ENTRIES["penchant.methods"]:
        losses = losses_in(settings.get("loss")) if kind == "dpo" or "loss" in settings else set()
        # None: a loss that is not known by its name
        if losses is not None:
            names["penchant.losses.dispatch"] = sorted(losses)
            names["penchant.train.objectives"] = sorted({kind, *losses} & ENTRIES["penchant.train.objectives"].keys())
    classifier = settings.get("classifier")
    if isinstance(classifier, Mapping) and classifier.get("name") in ENTRIES["penchant.weak.classifiers.registry"]:
        names["penchant.weak.classifiers.registry"] = [classifier["name"]]
    return names


def losses_in(loss: object) -> set[str] | None:
    """Return the names of a loss on pairs and of the losses that it adds; None where one is not known by its name."""
    if isinstance(loss, str):
        loss = {"name": loss}
    if not isinstance(loss, Mapping):
        return None
    name, terms = loss.get("name"), loss.get("losses")
    if name == "sum" and isinstance(terms, list | tuple) and terms:
        parts = [losses_in(term) for term in terms]
        return None if any(part is None for part in parts) else {term for part in parts for term in part or ()}
    if name == "custom":  # its own code counts, and none of ours beside what every loss reaches
        return set()
    return {name} if name in ENTRIES["penchant.losses.dispatch"] else None


def _entry_of_reward(spec: str) -> str | None:
    """Return the entry behind a reward's name; a function of the user's has none, for its own code counts."""
    _, spec = split_thoughts_mark(spec)
    kind = reward_kind(spec)
    return spec if kind == "built_in" else None if kind == "function" else kind


def _maker(kind: str) -> str:
    """Return the module that does the work of a kind, by its name: to import it would bring torch."""
    return maker_of(kind).partition(":")[0]


def judges_in(text: str | None) -> Iterator[Mapping[str, object]]:
    """Yield the settings of a judge and of every judge inside it."""
    # a judge may ask another one, and a panel several
    waiting = [json.loads(text)] if text else []
    while waiting:
        judge = waiting.pop()
        if isinstance(judge, list):
            waiting += judge
        elif isinstance(judge, dict):
            yield judge
            waiting += [judge[name] for name in ("judge", "judges") if name in judge]


@cache
def summary_version(summarize: str) -> str:
    """Return the digest of the source that turns what a study's stages measured into its numbers.

    Args:
        summarize: the study's `module:function`.
    """
    return digest_source([summarize.partition(":")[0]])[:LENGTH]
