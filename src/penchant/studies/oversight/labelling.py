"""The stages in which protocols label questions, and in which the advisor answers them itself."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from penchant.judges import VerdictStore
from penchant.judges.settings import JudgeSpec
from penchant.rounds.oversight.load import make_advisor
from penchant.rounds.oversight.presentation import Presenter
from penchant.rounds.oversight.questions import PassageQuestion, passages_of
from penchant.rounds.oversight.readers import Case, Readings, make_reader, read_once
from penchant.rounds.oversight.settings import (
    AdvisorSpec,
    ClassifierReader,
    Consultancy,
    EndpointAdvisor,
    Ensemble,
    JudgeReader,
    PolicyAdvisor,
    ProtocolSpec,
    ReaderSpec,
    Recursive,
)
from penchant.rounds.oversight.supervisor import Oversight, OversightSupervisor
from penchant.studies.core.job import StageJob
from penchant.studies.oversight.names import with_names
from penchant.studies.oversight.rows import QuestionSet, divide, read_questions
from penchant.studies.oversight.stage_settings import (
    LABELS,
    OWN_ANSWERS,
    SIDES,
    TEST,
    OwnAnswersSettings,
    ProtocolSettings,
)

STORE = "judgments.sqlite"
"""Statements of advisors and verdicts of judges, beside the stages of the study: none is paid for twice."""


def labels_stage(job: StageJob[ProtocolSettings], folder: Path) -> dict[str, object]:
    """Write what a protocol says of the questions that it labels and of the tests, for each seed."""
    train, test = read_questions(job.needs["rows"])
    passages = passages_of([*train.questions, *test.questions])
    with VerdictStore(job.folder.parents[1] / STORE) as store, tempfile.TemporaryDirectory() as scratch:
        oversight = replace(_oversight(job), passages=passages, store=store)
        # every seed shows the same texts to readers that learned from other questions
        folders = read_once(oversight.reader, _cases(oversight, [*train.questions, *test.questions]), Path(scratch))
        readings = Readings(folders)
        seed_results = [
            _of_seed(replace(oversight, seed=seed, readings=readings), job.settings.reader_rows, train, test)
            for seed in job.settings.seeds
        ]
    for file, name in ((LABELS, "labels"), (TEST, "test"), (SIDES, "sides")):
        if name in seed_results[0][0]:
            np.save(folder / file, np.stack([arrays[name] for arrays, _ in seed_results]))
    # of the first seed: the others show as much, of other questions
    return {**seed_results[0][1], "right": float(np.mean([arrays["right"] for arrays, _ in seed_results]))}


def _of_seed(
    oversight: Oversight, reader_rows: int, train: QuestionSet, test: QuestionSet
) -> tuple[dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]], dict[str, object]]:
    """Return the probabilities of one seed, and the facts of its labels."""
    # the same division for every protocol, so that their labels are of the same questions
    learned_rows, labelled_rows = divide(len(train.questions), reader_rows, oversight.seed)
    reader_questions, labelled = train.pick(learned_rows), train.pick(labelled_rows)
    supervisor = oversight.supervisor()
    examples = [question.example for question in labelled.questions]
    unlabeled = examples if isinstance(oversight.protocol, Recursive) else None
    supervisor.fit(
        [question.example for question in reader_questions.questions],
        reader_questions.right,
        unlabeled=unlabeled,
        classes=2,
    )
    labels = supervisor.predict_proba(examples)[:, 0]
    # before the tests are read: a cost is that of the labels
    facts = _facts(supervisor)
    tested = [question.example for question in test.questions]
    # single probabilities, not their mean: differences are taken question by question
    arrays = {
        "labels": labels,
        "test": supervisor.predict_proba(tested)[:, 0],
        "right": labelled.correctness(labels),
    }
    if isinstance(oversight.protocol, Consultancy):
        arrays["sides"] = supervisor.by_side(tested)
    return arrays, facts


def _facts(supervisor: OversightSupervisor) -> dict[str, object]:
    # tokens of judges are known to the readers, those of advisors to the presenter
    return {**asdict(supervisor.counts), "billed": supervisor.billed}


def _cases(oversight: Oversight, questions: Sequence[PassageQuestion]) -> list[Case]:
    """Return all that a probe is shown, each once; of a consultancy by advisors of both sides."""
    if not isinstance(oversight.reader, ClassifierReader):
        return []
    # with a presenter of its own, whose counts nobody reads
    presenter = Presenter(oversight.protocol, oversight.advisor, oversight.store)
    reader = make_reader(oversight.reader)
    sides = [[side] * len(questions) for side in (0, 1)] if isinstance(oversight.protocol, Consultancy) else [None]
    views = [views for held_sides in sides for views in presenter.views(questions, reader, held_sides)]
    return list(dict.fromkeys(view.case for of_question in views for view in of_question))


def own_answers_stage(job: StageJob[OwnAnswersSettings], folder: Path) -> dict[str, object]:
    """Write the advisor's own answers to the tests, with the passage: what a protocol could reach."""
    _, test = read_questions(job.needs["rows"])
    advisor = make_advisor(_advisor(job.settings.advisor, job.inputs))
    with VerdictStore(job.folder.parents[1] / STORE) as store:
        np.save(folder / OWN_ANSWERS, advisor.answer(test.questions, store))
    return {}


def _oversight(job: StageJob[ProtocolSettings]) -> Oversight:
    """Return the protocol of a stage, with names of models in place of their contents."""
    settings, inputs = job.settings, job.inputs
    # none for protocols in which nobody argues: a model would be loaded for nothing
    advisor = None if settings.advisor is None else make_advisor(_advisor(settings.advisor, inputs))
    return Oversight(_protocol(settings.protocol, inputs), _reader(settings, inputs), advisor)


def _reader(settings: ProtocolSettings, inputs: Mapping[str, str]) -> ReaderSpec:
    if settings.judge is not None:
        # names and addresses travel beside the settings, which hold contents in their place
        judge = TypeAdapter(JudgeSpec).validate_json(inputs["judge"])
        return JudgeReader(judge=judge, tokens=settings.reader_tokens, rows=settings.reader_rows)
    reader = settings.reader
    assert reader is not None
    if isinstance(reader, ClassifierReader):
        return reader.replace(classifier=with_names(reader.classifier, inputs))
    return reader


def _advisor(advisor: AdvisorSpec, inputs: Mapping[str, str]) -> AdvisorSpec:
    if isinstance(advisor, PolicyAdvisor):
        return advisor.replace(model=inputs[advisor.model])
    # an address may hold secrets, which stand in no setting of a stage
    if isinstance(advisor, EndpointAdvisor) and "advisor_url" in inputs:
        return advisor.replace(base_url=inputs["advisor_url"])
    return advisor


def _protocol(protocol: ProtocolSpec, inputs: Mapping[str, str]) -> ProtocolSpec:
    if isinstance(protocol, Ensemble):
        return protocol.replace(members=[with_names(member, inputs) for member in protocol.members])
    if isinstance(protocol, Recursive):
        return protocol.replace(chain=[with_names(student, inputs) for student in protocol.chain])
    return protocol
