"""How a run became longer than it was begun to be: what its folder keeps of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penchant.digests import DamagedFile, check_files
from penchant.files import read_json
from penchant.typed_json import from_json

FILE = "lengthened.json"


@dataclass(frozen=True)
class Lengthening:
    """One change of a run's length.

    Attributes:
        step: the steps done when it was lengthened.
        before, after: the settings that changed, by dotted path.
    """

    step: int
    before: Mapping[str, object]
    after: Mapping[str, object]

    @property
    def sentence(self) -> str:
        """Say what was changed."""
        lengths = " and ".join(
            f"{name} from {_format_setting(self.before.get(name))} to {_format_setting(value)}"
            for name, value in self.after.items()
            if name != "schedule.restarts"
        )
        restart = ", with a warm restart of the schedule" if "schedule.restarts" in self.after else ""
        return f"lengthened after step {self.step}{f': {lengths}' if lengths else ''}{restart}"


def _format_setting(value: object) -> str:
    return "null" if value is None else str(value)


def read_lengthenings(run: Path) -> list[Lengthening]:
    """Return how a run was lengthened, the first time first; empty for most runs.

    Raises:
        DamagedFile: the record cannot be read.
    """
    file = run / FILE
    if not file.exists():
        return []
    # a flipped bit would let an evaluation sample for other prompts than the run began with
    check_files(run, [FILE])
    try:
        return parse_lengthenings(read_json(file)["lengthened"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFile(f"{file} cannot be read ({error}): put back a copy") from error


def parse_lengthenings(records: object) -> list[Lengthening]:
    """Return the lengthenings in a JSON list, as `lengthened.json` and `result.json` have them."""
    return [from_json(Lengthening, record) for record in (records if isinstance(records, Sequence) else ())]


def lengthening_sentences(records: object) -> list[str]:
    """Return what was changed, for a page; a damaged record says nothing."""
    try:
        return [lengthening.sentence for lengthening in parse_lengthenings(records)]
    except (KeyError, ValueError, TypeError):
        return []


def with_another(record: Sequence[Lengthening], lengthening: Lengthening) -> list[Lengthening]:
    """Add a lengthening; one that was begun at this step or later and killed before it took one gives way."""
    return [*(other for other in record if other.step < lengthening.step), lengthening]


def first_lengths(record: Sequence[Lengthening]) -> Mapping[str, object]:
    """Return the lengths, by setting, that the run was begun with; only those that have changed since."""
    # what an earlier one says comes before what a later one does
    first: dict[str, object] = {}
    for lengthening in record:
        first = {**lengthening.before, **first}
    return first
