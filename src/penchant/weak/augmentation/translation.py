"""Say a text in other words by a language model: by a translation and back, or by whatever two prompts ask for."""

from __future__ import annotations

from collections.abc import Sequence

from penchant.engine.sampling import Sampling
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.weak.augmentation.settings import BackTranslation


def translate_back(texts: Sequence[str], augmentation: BackTranslation, seed: int) -> list[str]:
    """Return texts as they come back from the other language; one that gets lost on the way stays as it is.

    Raises:
        InputError: no such model, or a text that leaves no room for an answer in the model's context.
    """
    # loaded for one call, since a view has few copies and training needs the memory
    policy = load_policy(augmentation.model)
    abroad = _answers(policy, augmentation.there, texts, augmentation, seed)
    # what has no translation is not asked back: the model would make one up
    travelled = [number for number, answer in enumerate(abroad) if answer]
    answers = _answers(policy, augmentation.back, [abroad[number] for number in travelled], augmentation, seed + 1)
    # in its place among the others, since a row keeps its number in every view
    changed = list(texts)
    for number, answer in zip(travelled, answers, strict=True):
        changed[number] = answer or texts[number]
    return changed


def _answers(
    policy: Policy, template: str, texts: Sequence[str], augmentation: BackTranslation, seed: int
) -> list[str]:
    """Return the first line that the model writes for each text, empty where it writes none."""
    sampling = Sampling(temperature=augmentation.temperature, max_new_tokens=augmentation.max_new_tokens, seed=seed)
    groups = policy.sample([template.replace("{text}", text) for text in texts], sampling) if texts else []
    # a base model goes on with another example behind its answer
    return [next(iter(group.responses[0].text.strip().splitlines()), "").strip() for group in groups]
