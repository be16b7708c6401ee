"""Rows as prompts that fit a model: texts shortened, and examples left out where the context is full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from penchant.data.rendering.rendered import Rendered
from penchant.data.rendering.renderer import Renderer, TooLong
from penchant.errors import InputError
from penchant.studies.instructions.stage_settings import PromptSettings
from penchant.tasks.wordings import Question, ShotPool, Wording, ask, with_shots, wording_number
from penchant.types import LabeledExample, PromptGroup, Response


@dataclass(frozen=True)
class Fitted:
    """A row as it is given to a model.

    Attributes:
        rendered: the prompt and its possible answers in tokens. Answers do not end: other words may follow them.
        is_cut: whether the text of the row or of an example was shortened. left_out: examples that had no room.
    """

    rendered: Rendered
    is_cut: bool
    left_out: int


class PromptMaker:
    """Puts the rows of one task into words, and makes them fit.

    Args:
        renderer: of the model, with its context as the longest that it renders.
        settings: how; `task` names the wordings among them.
        classes: of the task; empty where rows have options.
    """

    def __init__(self, renderer: Renderer, settings: PromptSettings, task: str, classes: Sequence[str]) -> None:
        self.renderer, self.settings, self.classes = renderer, settings, tuple(classes)
        self.wordings: tuple[Wording, ...] = settings.wordings[task]
        self.task = task

    def question(self, example: LabeledExample, wording: Wording | None = None) -> tuple[Question, bool]:
        """Return a row in words, with whether its text was shortened.

        Args:
            wording: another than the row's own, which its content and the seed choose.

        Raises:
            InputError: a text is longer than may be read, and none is to be cut.
        """
        text, is_cut = self._shortened(example.text)
        return ask(replace(example, text=text), wording or self.wording(example), self.classes), is_cut

    def answers(self, question: Question) -> tuple[str, ...]:
        """Return the answers as responses: in a chat they are turns of their own, which begin without a space."""
        return tuple(answer.lstrip() for answer in question.answers) if self.renderer.chat else question.answers

    def wording(self, example: LabeledExample) -> Wording:
        """Return the wording of a row."""
        return self.wordings[wording_number(example, len(self.wordings), self.settings.seed)]

    def fitted(self, example: LabeledExample, pool: ShotPool, shots: int) -> Fitted:
        """Return a row behind so many examples in its own wording, as many as the context has room for.

        Raises:
            InputError: it does not fit without any example, or not at all where nothing is to be cut.
        """
        question, is_cut = self.question(example)
        # in the wording of the question: another one would show another answer format
        wording = self.wording(example)
        shot_pairs = [self.question(row, wording) for row in pool.draw(example, shots, self.settings.seed)]
        examples = [shot for shot, _ in shot_pairs]
        # the first go first: the last stands next to the question
        for start in range(len(examples) + 1):
            group = PromptGroup(
                with_shots(question, examples[start:]),
                # an answer is one by its words: whether a model would end there is another question
                [Response(answer, finished=False) for answer in self.answers(question)],
            )
            try:
                rendered = self.renderer.render(group)
            except TooLong as error:
                if self.settings.overflow == "error" or start == len(examples):
                    raise InputError(f"{self.task}: {example.text[:60]!r}: {error}. {REMEDY}") from error
                continue
            is_any_cut = is_cut or any(cut for _, cut in shot_pairs[start:])
            return Fitted(rendered, is_any_cut, start)
        raise AssertionError("the last try returns or raises")

    def _shortened(self, text: str) -> tuple[str, bool]:
        """Return a text with its beginning and its end, and whether its middle was taken out."""
        longest = self.settings.longest
        ids = self.renderer.tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) <= longest:
            return text, False
        if self.settings.overflow == "error":
            raise InputError(f"{self.task}: {text[:60]!r} has {len(ids)} tokens, more than {longest}. {REMEDY}")
        # a question may stand at either end of a text
        start = longest // 2
        parts = (ids[:start], ids[len(ids) - longest + start :])
        return " ... ".join(self.renderer.decode((), part).strip() for part in parts), True


REMEDY = "Set `overflow=cut` to shorten texts and leave examples out, or lower `longest` or `shots`"
