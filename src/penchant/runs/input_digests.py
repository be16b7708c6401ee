"""Digests of all that decides the numbers of a run: recorded when it begins, compared when it is resumed."""

from __future__ import annotations

import hashlib
import json
import logging
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from penchant.data.rendering.renderer import Rendered, Renderer
from penchant.data.rendering.tokenizer_digest import digest_end_ids, digest_tokenizer
from penchant.engine.reference import fingerprint, model_digest
from penchant.errors import RunMismatchError
from penchant.models.learner import Learner
from penchant.models.policy import Policy
from penchant.runs.provenance import RunRecord, Surroundings
from penchant.runs.run_folder import RunFolder, read_json
from penchant.typed_json import to_object
from penchant.types import Prompt, PromptGroup

if TYPE_CHECKING:
    from penchant.train.evaluation.samples import SampleEvaluation
    from penchant.train.settings import Samples

log = logging.getLogger("penchant.train")

DECIDING = ("penchant", "torch", "transformers", "accelerate", "peft", "tokenizers", "numpy")
"""Packages whose other versions may give other numbers."""


@dataclass(frozen=True)
class ModelIdentity:
    """Identity of a model apart from its name.

    Attributes:
        weights: the fingerprint of its weights. digest: of these, its configuration and its code.
        end_ids: a digest of the tokens that end a response of it.
    """

    name: str
    weights: str
    digest: str
    end_ids: str

    @classmethod
    def from_learner(cls, learner: Learner) -> ModelIdentity:
        """Read a model's weights once for both digests."""
        model: nn.Module = learner.model
        weights = fingerprint(model)
        return cls(learner.name, weights, model_digest(model, weights), digest_end_ids(learner.renderer))


def digest_groups(groups: Iterable[PromptGroup]) -> str:
    """Return a digest of prompts, responses, comparisons and scores, in their order."""
    digest = hashlib.sha256()
    for group in groups:
        # `repr` keeps apart what text alone would not: None and "None", one response and two
        content = (group.prompt, group.responses, group.comparisons, group.scores)
        digest.update(repr(content).encode("utf-8", errors="surrogatepass"))
    return digest.hexdigest()[:32]


def digest_prompt_texts(groups: Iterable[PromptGroup]) -> str:
    """Return a digest of the prompts alone."""
    return digest_groups(PromptGroup(group.prompt) for group in groups)


def digest_tokens(rows: Iterable[Rendered]) -> str:
    """Return a digest of token ids and of which of them are scored. A template may write today's date into them."""
    digest = hashlib.sha256()
    for row in rows:
        for ids in (row.prompt_ids, *(branch.ids for branch in row.branches)):
            # the length comes first: ids of two branches cannot run into each other
            digest.update(array("q", (len(ids), *ids)).tobytes())
        # the same ids with other spans teach other tokens (`turns=every`)
        digest.update(repr([branch.spans for branch in row.branches]).encode())
    return digest.hexdigest()[:32]


def digest_prompts(prompts: Iterable[Prompt], renderer: Renderer) -> str:
    """Return a digest of prompts as the model reads them, pictures by their content."""
    prompts = list(prompts)
    tokens = digest_tokens(Rendered(tuple(renderer.prompt_ids(prompt)), ()) for prompt in prompts)
    if renderer.media is None:
        return tokens
    media = [renderer.media.open_prompt(prompt, "").digest for prompt in prompts]
    return hashlib.sha256(" ".join([tokens, *media]).encode()).hexdigest()[: len(tokens)]


def model_inputs(policy: ModelIdentity, reference: ModelIdentity) -> dict[str, str]:
    """Return the digests of the model that trains, as it starts, and of its reference.

    The reference's own end tokens decide nothing: it scores what the policy's tokenizer and end tokens made.
    """
    return {"the model": policy.digest, "the reference": reference.digest, "the end tokens": policy.end_ids}


def template_inputs(renderer: Renderer) -> dict[str, str]:
    """Return the digests of the chat template, and of what it is told; nothing for texts that are joined as they are.

    The rendered tokens tell that something is another; these tell what.
    """
    if renderer.chat_template is None:
        return {}
    inputs = {"the chat template": renderer.chat_template.source}
    if renderer.template_args:
        inputs["the arguments of the chat template"] = json.dumps(dict(renderer.template_args), sort_keys=True)
    return {name: hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32] for name, text in inputs.items()}


def sample_inputs(samples: SampleEvaluation | None, settings: Samples | None) -> dict[str, str]:
    """Return the digests of what an evaluation samples for, and of its reward."""
    if samples is None or settings is None:
        return {}
    # as tokens: a template may write today's date into a prompt whose text is the same
    renderer = samples.policy.renderer
    inputs = {
        "the prompts to sample for": digest_prompts(samples.prompts, renderer),
        "the tokenizer": digest_tokenizer(renderer),  # it writes the samples' text, which the reward reads
    }
    return inputs | ({"the reward of samples": reward_digest(settings.reward)} if settings.reward else {})


def prompt_inputs(
    policy: Policy, train_groups: Sequence[PromptGroup], held_groups: Sequence[PromptGroup]
) -> dict[str, str]:
    """Return the digests of what rollouts are drawn for, and of what is held out."""
    sides = {"the prompts to train on": train_groups, "the held-out prompts": held_groups}
    inputs = {name: digest_prompts((group.prompt for group in side), policy.renderer) for name, side in sides.items()}
    return inputs | {"the tokenizer": digest_tokenizer(policy.renderer)}


def column_inputs(groups: Iterable[PromptGroup]) -> dict[str, str]:
    """Return the digest of the columns that rewards read beside the prompts."""
    text = json.dumps([dict(group.columns) for group in groups], sort_keys=True, default=str)
    return {"the columns of the prompts": hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]}


def reward_inputs(reward: str, true_reward: str | None, further: Sequence[str] = ()) -> dict[str, str]:
    """Return the digests of the rewards of rollouts; `further` are added to the first."""
    inputs = {"the reward": reward_digest(reward)} | {f"the reward {name}": reward_digest(name) for name in further}
    return inputs | ({"the true reward": reward_digest(true_reward)} if true_reward else {})


def reward_digest(reward: str, *, loaded: bool = True) -> str:
    """Return a digest of a reward's code, weights or version; an address stands for itself.

    Args:
        loaded: the files of a hub id are there. Without that it stands for its commit.
    """
    from penchant.rewards.content import reward_content  # rewards build on runs: at the top it would be a cycle

    return hashlib.sha256(reward_content(reward, cached=loaded).encode()).hexdigest()[:32]


def check_unchanged_since_start(folder: RunFolder, record: RunRecord) -> None:
    """Record the inputs of a run that begins; refuse to resume a run whose inputs have changed.

    Args:
        record: what the run would begin with now. It is written once: a run keeps the record that it began with.

    Raises:
        RunMismatchError: data, model, reference, reward, prompts or rendered tokens are others than when the run began.
        InputError: what it began with cannot be read.
    """
    start_record = folder.provenance() if folder.resume else None
    if start_record is None:
        folder.write_json("provenance.json", to_object(record))
        return
    for name, before, now in (
        (f"the data ({record.data.path})", start_record.data.sha256, record.data.sha256),
        (f"the model ({record.model.name})", start_record.model.fingerprint, record.model.fingerprint),
        (f"the reference ({record.reference.name})", start_record.reference.fingerprint, record.reference.fingerprint),
    ):
        if before != now:
            raise changed_since_start(folder.path, name)
    refuse_changed(folder.path, start_record.inputs, record.inputs)
    _warn_of_versions(folder, start_record.surroundings, record.surroundings)


def recorded_inputs(folder: Path) -> dict[str, str]:
    """Return the digests that a command began with; empty where none were recorded.

    Raises:
        DamagedFile: the record cannot be read.
    """
    file = folder / "provenance.json"
    inputs = read_json(file).get("inputs") if file.exists() else None
    return inputs if isinstance(inputs, dict) else {}


def refuse_changed(run: Path, start_inputs: Mapping[str, str], inputs: Mapping[str, str]) -> None:
    """Compare digests with those that a run began with; a warning names those that an earlier version did not keep.

    Raises:
        RunMismatchError: some differ.
    """
    # an input that the run began without is no change: an earlier version may have kept fewer digests
    if changed := [name for name, digest in inputs.items() if start_inputs.get(name, digest) != digest]:
        raise changed_since_start(run, " and ".join(changed))
    if missing := [name for name in inputs if name not in start_inputs]:
        log.warning(
            "the run in %s was begun by an earlier version, which kept no digests of %s: they are taken as unchanged",
            run,
            ", ".join(missing),
        )


def changed_since_start(run: Path, inputs: str) -> RunMismatchError:
    """Return the error of a run that cannot be resumed since an input is another now."""
    return RunMismatchError(
        f"{inputs} changed since the run in {run} began: put back what it began with, or start a new run"
    )


def _warn_of_versions(folder: RunFolder, before: Surroundings, now: Surroundings) -> None:
    """Say which versions and which processor differ: the numbers that follow may differ in their last digits."""
    differing = [
        f"{name} {before.versions.get(name)} -> {now.versions[name]}"
        for name in DECIDING
        if before.versions.get(name) != now.versions.get(name)
    ]
    # another processor adds in another order, so the last digits differ though every version is the same
    for part, present in (
        (before.machine.cpu, now.machine.cpu),
        (before.machine.accelerator, now.machine.accelerator),
    ):
        if part != present:
            differing.append(f"{part} -> {present}")
    # a warning, which result.json keeps: refusing would end every run at an upgrade
    if differing:
        warning = f"resumed under other versions or on another machine than it began ({', '.join(differing)})"
        folder.warnings.append(f"{warning}: the numbers that follow may differ in their last digits")
        log.warning("the run in %s is %s", folder.path, folder.warnings[-1])
