"""The page for people who come from another library: from the tables that `penchant convert-config` converts by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from penchant.conversion.convert import LIBRARIES
from penchant.conversion.rules import NO_DEFAULT, Rule
from penchant.conversion.shared import DIVERGENCES, LOSSES

TITLE = """# Coming from TRL, axolotl or LLaMA-Factory

`penchant convert-config FILE` writes a configuration of these libraries as one of `penchant train`, and names every key
that it cannot carry over. This page has the names that it converts by; it is written from the same tables by
`scripts/reference.py`. Files of data are read as they are: [layouts](layouts.md) lists them.

What is different whatever the names:

- A batch counts what one optimizer step takes in all, over all devices: comparisons, responses (`sft`) or labels
  (`kto`). The forward passes that it takes follow from memory (`tokens_per_batch`) and change no result.
- Held-out prompts are taken out of the data by content (`data.held_out`), and a prompt is never on both sides.
- Prompts are never trained on. A response that is too long is never cut: its row is refused, dropped, or loses a part
  of its prompt (`data.overflow`).
- Defaults of the other library that decide results are written out with the values that they have there.
"""


def other_libraries_page() -> str:
    """Return the page as Markdown."""
    lines = [TITLE]
    for library in LIBRARIES.values():
        lines += [f"## {library.title}", "", f"Names and defaults of {library.version}.", ""]
        lines += _table(("there", "method here"), library.methods.items())
        if library.name == "trl":
            lines += ["Losses on pairs (`loss_type`, and `f_divergence_type` below them):", ""]
            lines += _table(("TRL", "loss here"), [(f"`{a}`", f"`{b}`") for a, b in (LOSSES | DIVERGENCES).items()])
        carried = [rule for rule in library.rules if rule.setting]
        lines += _table(("key", "setting here", "default there", "note"), map(_carried, carried))
        omissions = [(f"`{rule.key}`", rule.reason) for rule in library.rules if not rule.setting and not rule.harmless]
        lines += ["Not carried over:", "", *_table(("key", "why"), omissions)]
        names = ", ".join(f"`{rule.key}`" for rule in library.rules if rule.harmless and not rule.setting)
        lines += [f"Left out, since they change no result: {names}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def _carried(rule: Rule) -> tuple[str, ...]:
    default = "" if rule.default is NO_DEFAULT else f"`{rule.default}`"
    note = " ".join([rule.reason, f"({', '.join(rule.methods)})" if rule.methods else ""]).strip()
    return (f"`{rule.key}`", rule.setting, default, note)


def _table(titles: tuple[str, ...], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield "|" + "---|" * len(titles)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
    yield ""
