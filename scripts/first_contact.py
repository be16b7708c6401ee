"""Check everything that the `paper` presets and the tasks read of the hub, on a machine that reaches it.

    python scripts/first_contact.py            # prints what is there and what differs
    python scripts/first_contact.py --write    # and pins the commits in hub_table.yaml
    python scripts/first_contact.py --only Anthropic/hh-rlhf

A few kilobytes of each file are fetched. Mirrors (HF_ENDPOINT), tokens and offline mode are those of the hub's client.
A commit that is pinned already stays; to take a newer one, empty it in the table first.
Exit codes: 0 all is as the table says, 1 something differs, 2 the hub cannot be reached.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from contact.compare import dataset_differences, model_differences, shape_of
from contact.hub import Unreachable, ask_dataset, ask_model, refuse_unreachable
from contact.pins import with_pins

from penchant.data.sources.hub_table import TABLE, HubDataset, HubModel, read_table
from penchant.files import atomic_write

SAME, DIFFERENT, OFFLINE = 0, 1, 2
Pins = dict[str, dict[str, str]]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--table", type=Path, default=TABLE, help="the table to check; the package's own by default")
    parser.add_argument("--write", action="store_true", help="pin the commits of what is as the table says")
    parser.add_argument("--only", action="append", metavar="ID", help="check this id alone; may be given several times")
    options = parser.parse_args(arguments)
    table = read_table(options.table)
    entries = [entry for entry in (*table.datasets, *table.models) if not options.only or entry.id in options.only]
    if not entries:
        parser.error(f"{options.table} has no {', '.join(options.only)}")
    pins: Pins = {}
    bad_ids: set[str] = set()
    different = 0
    for entry in entries:
        try:
            differences, commits = check(entry)
        except Unreachable as error:
            print(f"the hub cannot be reached ({error}): run this on a machine with a network, or set HF_ENDPOINT")
            return OFFLINE
        different += bool(differences)
        for difference in differences:
            print(f"  differs: {difference}")
        pins[entry.id] = commits
        bad_ids |= {entry.id} if differences else set()
    # an id of several configs is pinned only where all of them are as the table says
    pins = {name: commits for name, commits in pins.items() if name not in bad_ids}
    if options.write and pins:
        atomic_write(options.table, with_pins(options.table.read_text(encoding="utf-8"), pins).encode())
        print(f"pinned the commits of {len(pins)} of {len({entry.id for entry in entries})} ids in {options.table}")
    print(f"{len(entries) - different} of {len(entries)} entries are as the table says")
    return DIFFERENT if different else SAME


def check(entry: HubDataset | HubModel) -> tuple[list[str], dict[str, str]]:
    """Print what the hub has of an entry; return what differs, and its commits."""
    try:
        if isinstance(entry, HubModel):
            model = ask_model(entry)
            print(f"{entry.id}: {len(model.files)} files, commit {model.revision}")
            return model_differences(entry, model), {"revision": model.revision}
        facts = ask_dataset(entry)
    except Exception as error:
        refuse_unreachable(error)
        print(f"{entry.id}:")
        first = (str(error).strip().splitlines() or ["no message"])[0]
        return [f"cannot be read ({type(error).__name__}: {first})"], {}
    rows = ", ".join(f"{split} {count:,}" for split, count in facts.splits.items())
    print(f"{entry.name}: {rows or 'no split'}; columns {', '.join(facts.columns)}; commit {facts.revision}")
    for column, value in facts.first_row.items():
        print(f"  {column}: {shape_of(value)}")
    return dataset_differences(entry, facts), {"revision": facts.revision, "parquet": facts.parquet}


if __name__ == "__main__":
    sys.exit(main())
