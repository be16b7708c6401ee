"""A model card: what a model is, what it was made of, how well it did, and what to cite; for a stranger.

Every number has its interval, or the reason why it has none. Nothing of the machine is in it: folders are shown by
their last names alone, addresses without passwords, and what looks like a hub's token is taken out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from penchant.export.card_results import results_text, warnings_text
from penchant.export.card_training import data_sources, training_text
from penchant.export.card_words import as_code, redacted, size_text
from penchant.export.citations import papers_of
from penchant.export.origin import Origin
from penchant.export.settings import Format
from penchant.export.source import Source
from penchant.reports.run.sentences import headline
from penchant.reports.run.summary import Summary

CARD = "README.md"
SHOWN_VERSIONS = ("penchant", "torch", "transformers", "peft", "tokenizers", "python")


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """Facts that a card is made of.

    Attributes:
        title: the model's name.
        summary: the run with its first and last numbers; None for a model that Penchant did not train.
        license: as the hub spells it; None where it is not known.
        files: of the folder, with their sizes in bytes.
        dtype: how the weights are stored.
        notes: what a reader must know of the files.
        check: how far scores of the written files are from those of the model, as a sentence.
    """

    title: str
    source: Source
    format: Format
    origin: Origin
    summary: Summary | None
    license: str | None
    dtype: str
    chat: bool
    files: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    check: str = ""


def card_text(facts_of_card: CardFacts) -> str:
    """Return a model card as Markdown, with the metadata that hubs read at its top."""
    c = facts_of_card
    parts = [
        f"# {c.title}",
        _what_it_is(c),
        "## How to use it",
        _usage(c),
        *(["## How it was trained", training_text(c.summary.run, c.origin.name, c.source.step)] if c.summary else []),
        *(["## Results", results_text(c.summary)] if c.summary else []),
        *(["## Warnings", warnings_text(c.summary)] if c.summary else []),
        "## Files",
        _files(c),
        "## Licence",
        _licence(c),
        *(["## Versions", versions] if (versions := _versions(c)) else []),
        *(["## Citation", citation] if (citation := _citation(c)) else []),
    ]
    header = yaml.safe_dump(_metadata(c), sort_keys=False, allow_unicode=True)
    return f"---\n{header}---\n\n" + redacted("\n\n".join(parts)) + "\n"


def _metadata(c: CardFacts) -> dict[str, object]:
    reward = c.source.kind == "reward model"
    method = c.summary.run.method if c.summary else ""
    data = data_sources(c.summary.run) if c.summary else []
    values: dict[str, object] = {
        "license": c.license or "unknown",
        "base_model": c.origin.hub_id,
        "base_model_relation": None if c.origin.hub_id is None else "adapter" if c.format == "adapter" else "finetune",
        "library_name": {"merged": "transformers", "adapter": "peft", "gguf": None}[c.format],
        "pipeline_tag": "text-classification" if reward else "text-generation",
        "tags": [tag for tag in ("penchant", method, "gguf" if c.format == "gguf" else "",
                                 "reward-model" if reward else "") if tag],
        "datasets": [source.name for source in data if source.is_hub],
    }  # fmt: skip
    return {key: value for key, value in values.items() if value}


def _what_it_is(c: CardFacts) -> str:
    noun = "A reward model: it gives a response a number, higher for a better one" if (
        c.source.kind == "reward model"
    ) else "A language model"  # fmt: skip
    if c.summary is None:
        return f"{noun}, exported from {as_code(c.origin.name)} with Penchant, which did not train it."
    run = c.summary.run
    before = f" (which was itself trained by {' and then '.join(c.origin.steps)})" if c.origin.steps else ""
    data = ", ".join(as_code(source.name) for source in data_sources(run)) or "data that the run does not name"
    lines = [
        f"{noun}, trained from {as_code(c.origin.name)}{before} by **{METHOD_NAMES.get(run.method, run.method)}** on "
        f"{data}, with Penchant, a toolkit for training from preferences."
    ]
    return "\n\n".join([*lines, " ".join(headline([c.summary]))])


METHOD_NAMES: Mapping[str, str] = {
    "dpo": "Direct Preference Optimization (DPO)",
    "sft": "supervised fine-tuning (SFT)",
    "preferred_ft": "fine-tuning on the preferred responses",
    "kto": "Kahneman-Tversky Optimization (KTO)",
    "unlikelihood": "unlikelihood training",
    "reward_model": "reward modelling on comparisons",
    "ppo": "Proximal Policy Optimization (PPO) on a learned reward",
    "ppo_gt": "Proximal Policy Optimization (PPO) on the true reward",
    "rloo": "REINFORCE Leave-One-Out (RLOO)",
    "grpo": "Group Relative Policy Optimization (GRPO)",
    "online_rlhf": "online RLHF, reward model and policy in turns",
    "spin": "self-play fine-tuning (SPIN)",
    "iterative": "iterative preference learning on its own samples",
    "self_rewarding": "self-rewarding, on answers that the policy itself judged",
}


def _usage(c: CardFacts) -> str:
    if c.format == "gguf":
        contents, chat_off = "The tokenizer and the chat template are inside the file.", ""
        if not c.chat:  # llama-cli would begin a conversation, by a template of its own
            contents = "The tokenizer is inside the file. There is no chat template: the model continues plain text."
            chat_off = ' -no-cnv -p "The beginning of a text"'
        return (
            "With [Ollama](https://ollama.com), in this folder:\n\n```\nollama create my-model -f Modelfile\n"
            "ollama run my-model\n```\n\nWith [llama.cpp](https://github.com/ggml-org/llama.cpp):\n\n```\n"
            f"llama-cli -m model.gguf{chat_off}\n```\n\n{contents}"
        )
    if c.source.kind == "reward model":
        code = (
            'import penchant as pt\n\nreward = pt.load_reward_model("PATH")\n'
            'print(reward([("How are you?", "Fine, thank you.")]))'
        )
        return f"```python\n{code}\n```\n\nOnly differences between responses to one prompt mean something."
    kind = "AutoPeftModelForCausalLM" if c.format == "adapter" else "AutoModelForCausalLM"
    package = "peft" if c.format == "adapter" else "transformers"
    imports = f"from {package} import {kind}\nfrom transformers import AutoTokenizer" if c.format == "adapter" else (
        f"from {package} import {kind}, AutoTokenizer"
    )  # fmt: skip
    ask = (
        'messages = [{"role": "user", "content": "Hello!"}]\n'
        "inputs = tokenizer.apply_chat_template(\n"
        '    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True\n)'
        if c.chat
        else 'inputs = tokenizer("Once upon a time", return_tensors="pt")'
    )
    plain = "" if c.chat else "\n\nPrompts are plain text: the model was trained without a chat template."
    return (
        f'```python\n{imports}\n\ntokenizer = AutoTokenizer.from_pretrained("PATH")\n'
        f'model = {kind}.from_pretrained("PATH")\n{ask}\n'
        "output = model.generate(**inputs, max_new_tokens=64)\n"
        "print(tokenizer.decode(output[0], skip_special_tokens=True))\n```\n\n"
        f"`PATH` is this folder, or the repository's name.{plain}"
    )


# -- the rest -------------------------------------------------------------------------------------------------------

_ROUNDING = {
    "f32": "Matrices are stored as 32-bit floats: nothing is rounded.",
    "f16": "Matrices are stored as 16-bit floats (11 bits of precision).",
    "bf16": "Matrices are stored as bfloat16 (8 bits of precision).",
    "q8_0": "Matrices are stored as 8-bit integers, 32 neighbours under one 16-bit scale.",
}


def _files(c: CardFacts) -> str:
    lines = [
        "| file | size |",
        "|---|---|",
        *(f"| `{name}` | {size_text(size)} |" for name, size in c.files.items()),
        "",
    ]
    lines.append(_ROUNDING.get(c.dtype, f"Weights are {c.dtype}."))
    lines += [c.check] if c.check else []
    lines += [f"\n{note}" for note in c.notes]
    return "\n".join(lines)


def _licence(c: CardFacts) -> str:
    if c.license is None:
        return (
            "Unknown: the base model's licence was not found. Whoever publishes this model must find out and state it "
            "(`license=` when exporting)."
        )
    if c.license == c.origin.license:
        return f"{as_code(c.license)}, as the base model. The data's own terms hold as well."
    base = f" The base model's licence is {as_code(c.origin.license)}." if c.origin.license else ""
    return f"{as_code(c.license)}, as whoever exported it states.{base} The data's own terms hold as well."


def _versions(c: CardFacts) -> str:
    versions = c.summary.run.provenance.get("versions") if c.summary else None
    if not isinstance(versions, Mapping):
        return ""
    return ", ".join(f"{name} {versions[name]}" for name in SHOWN_VERSIONS if versions.get(name)) + "."


def _citation(c: CardFacts) -> str:
    if c.summary is None:
        return ""
    run = c.summary.run
    papers = papers_of(run.method, run.setting("loss"), lora=isinstance(run.setting("model", "lora"), Mapping))
    if not papers:
        return ""
    return "The method's papers:\n\n```bibtex\n" + "\n\n".join(paper.bibtex() for paper in papers) + "\n```"
