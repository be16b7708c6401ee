"""Lay out the stages of a study of oversight: questions, labels of each protocol, students of these. No torch here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from penchant.errors import InputError
from penchant.models.locate import check_model
from penchant.redact import hide_credentials
from penchant.rounds.oversight.settings import (
    ARGUED,
    AdvisorSpec,
    ClassifierReader,
    EndpointAdvisor,
    Ensemble,
    JudgeReader,
    PolicyAdvisor,
    ProtocolSpec,
    Recursive,
)
from penchant.studies.core.address import data_content
from penchant.studies.core.judge_content import judge_content
from penchant.studies.core.stage import Stage, absolute
from penchant.studies.oversight.contents import named_content, with_content
from penchant.studies.oversight.names import ModelClassifier
from penchant.studies.oversight.settings import OversightConfig
from penchant.studies.oversight.stage_settings import (
    OversightRowsSettings,
    OversightStudentsSettings,
    OwnAnswersSettings,
    ProtocolSettings,
    StudentFeaturesSettings,
)
from penchant.tasks.load import data_folder
from penchant.weak.settings import Mlp, Probe

CEILING = "truth"
"""What the students of the ceiling learn from, as stages and pages name it."""
SCIQ = ("sciq/train.jsonl.gz", "sciq/test.jsonl.gz")
VIEWERS = "viewers"
MOST_SLUG = 60  # letters of a part of a folder's name


@dataclass(frozen=True)
class OversightGrid:
    """The stages of a study.

    Attributes:
        rows: the questions. own_answers: the advisor's. features: what students share; None where they share none.
        labels: by the protocol's label. students: by what they learn from, the truth first; empty without students.
    """

    rows: Stage
    own_answers: Stage
    features: Stage | None
    labels: Mapping[str, Stage]
    students: Mapping[str, Stage]

    @property
    def required(self) -> tuple[Stage, ...]:
        """Stages without any of which there is nothing to say."""
        return (self.rows,)

    def stages(self) -> list[Stage]:
        """Return every stage, each after what it needs."""
        shared = [self.rows, self.own_answers, *([self.features] if self.features else [])]
        return [*shared, *self.labels.values(), *self.students.values()]


def oversight_grid(config: OversightConfig) -> OversightGrid:
    """Return the stages that a configuration asks for."""
    # the questions are no part of a protocol's settings: other ones make all stages anew through this need
    rows = _rows(config)
    labels = {protocol.label: _labels(config, protocol, rows) for protocol in config.all_protocols}
    inputs: dict[str, str] = {}
    advisor = _advisor(config.advisor, inputs)
    own_settings = OwnAnswersSettings(advisor=advisor, address=_public_address(config.advisor))
    own_answers = Stage("oversight_own", "advisor-own", own_settings, inputs, {"rows": rows})
    features, students = _students(config, rows, labels)
    return OversightGrid(rows, own_answers, features, labels, students)


def check_models(config: OversightConfig, grid: OversightGrid) -> None:
    """Refuse a name of a model that stands for nothing, before the first stage runs.

    Raises:
        InputError: there is no such model.
    """
    chains = [protocol.chain for protocol in config.protocols if isinstance(protocol, Recursive)]
    members = [protocol.members for protocol in config.protocols if isinstance(protocol, Ensemble)]
    readers = [config.reader.classifier] if isinstance(config.reader, ClassifierReader) else []
    classifiers = [*readers, config.student, *(classifier for part in (*chains, *members) for classifier in part)]
    for classifier in classifiers:
        if isinstance(classifier, ModelClassifier):
            check_model(classifier.model)
    if isinstance(config.advisor, PolicyAdvisor):
        check_model(config.advisor.model)


def _rows(config: OversightConfig) -> Stage:
    if config.data == VIEWERS:
        settings = OversightRowsSettings(kind="viewers", data=(), train=config.train, test=config.test, columns={})
        return Stage("oversight_rows", "questions-viewers", settings, {"questions": VIEWERS}, {})
    files, share = _files(config.data), None
    if len(files) == 1:
        share = config.test_share
    settings = OversightRowsSettings(
        kind="file",
        # the content of the files, never their place
        data=tuple(data_content(file) for file in files),
        train=config.train,
        test=config.test,
        columns={str(name): column for name, column in config.columns.items()},
        test_share=share,
    )
    inputs = dict(zip(("questions", "test_questions"), files, strict=False))
    return Stage("oversight_rows", f"questions-{_slug(Path(config.data).stem)}", settings, inputs, {})


def _files(name: str) -> list[str]:
    """Return the files of questions: those of SciQ to learn from and to test on, or the user's one.

    Raises:
        InputError: there is no such file.
    """
    if name != "sciq":
        if not Path(name).expanduser().exists():
            raise InputError(f"data={name}: there is no such file; expected one, `sciq`, or `viewers`")
        return [absolute(name)]
    files = [data_folder() / file for file in SCIQ]
    if missing := [str(file) for file in files if not file.is_file()]:
        raise InputError(
            f"data=sciq: there is no {' and no '.join(missing)}: set PENCHANT_DATA to the folder that holds `sciq`, or "
            "take `data=viewers`, which comes with Penchant"
        )
    return [str(file.resolve()) for file in files]


def _labels(config: OversightConfig, protocol: ProtocolSpec, rows: Stage) -> Stage:
    inputs: dict[str, str] = {}
    reader, judge = config.reader, None
    if isinstance(reader, JudgeReader):
        # the address of an endpoint may hold secrets, so it travels as an input and stands in no setting
        judge = judge_content(reader.judge)
        inputs["judge"] = json.dumps(reader.judge.model_dump(mode="json"))
    elif isinstance(reader, ClassifierReader):
        reader = reader.replace(classifier=with_content(reader.classifier, inputs))
    settings = ProtocolSettings(
        protocol=_protocol(protocol, inputs),
        reader=None if isinstance(reader, JudgeReader) else reader,
        judge=judge,
        reader_tokens=reader.tokens,
        reader_rows=reader.rows,
        advisor=_advisor(config.advisor, inputs) if isinstance(protocol, ARGUED) else None,
        address=_public_address(config.advisor) if isinstance(protocol, ARGUED) else None,
        seeds=config.seeds,
    )
    return Stage("oversight_labels", f"labels-{_slug(protocol.label)}", settings, inputs, {"rows": rows})


def _protocol(protocol: ProtocolSpec, inputs: dict[str, str]) -> ProtocolSpec:
    if isinstance(protocol, Ensemble):
        return protocol.replace(members=[with_content(member, inputs) for member in protocol.members])
    if isinstance(protocol, Recursive):
        return protocol.replace(chain=[with_content(student, inputs) for student in protocol.chain])
    return protocol


def _advisor(advisor: AdvisorSpec, inputs: dict[str, str]) -> AdvisorSpec:
    """Return the advisor by its content; add what its name stands for to a stage's inputs."""
    if isinstance(advisor, PolicyAdvisor):
        return advisor.replace(model=named_content(advisor.model, inputs))
    # an endpoint's model stays a name: of what a server runs under it nothing more is known
    if isinstance(advisor, EndpointAdvisor) and advisor.base_url:
        inputs["advisor_url"] = advisor.base_url
        return advisor.replace(base_url=None)
    return advisor


def _public_address(advisor: AdvisorSpec) -> str | None:
    """Return an endpoint's address without what is secret in it; None where there is none."""
    url = advisor.base_url if isinstance(advisor, EndpointAdvisor) else None
    return None if url is None else hide_credentials(url)


def _students(
    config: OversightConfig, rows: Stage, labels: Mapping[str, Stage]
) -> tuple[Stage | None, dict[str, Stage]]:
    """Return the stage of what students share, and those of the students."""
    if config.student is None:
        return None, {}
    inputs: dict[str, str] = {}
    classifier, passage, features = with_content(config.student, inputs), config.student_reads_passage, None
    needs = {"rows": rows}
    if isinstance(classifier, Probe | Mlp):
        shared = StudentFeaturesSettings(
            model=classifier.model, layer=classifier.layer, dtype=classifier.dtype, passage=passage
        )
        features = Stage("oversight_features", "student-features", shared, inputs, needs)
        needs = {**needs, "features": features}
    # settings of all students alike: their labels are needs, which tell their stages apart
    settings = OversightStudentsSettings(
        classifier=classifier, passage=passage, reader_rows=config.reader.rows, seeds=config.seeds
    )
    students = {CEILING: Stage("oversight_students", f"students-{CEILING}", settings, inputs, needs)}
    for name, stage in labels.items():
        all_needs = {**needs, "labels": stage}
        students[name] = Stage("oversight_students", f"students-{_slug(name)}", settings, inputs, all_needs)
    return features, students


def _slug(name: str) -> str:
    """Return a name in the letters that a folder's name may have."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower())[:MOST_SLUG].strip("-.")
