"""The chat template beside a saved model: kept with it, the default when it is opened again, and checked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from penchant.data.options import RenderOptions
from penchant.errors import InputError
from penchant.models.load import load_policy, load_renderer
from penchant.models.reward import load_reward_model, new_reward
from penchant.models.saved_template import SAVED_TEMPLATE, SavedTemplate
from penchant.models.settings import ModelConfig

SHOUTING = (
    "{% for m in messages %}[{{ m.role }}{{ mark }}] {{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}[assistant{{ mark }}] {% endif %}"
)


@pytest.fixture
def template(tmp_path: Path) -> str:
    (tmp_path / "shouting.jinja").write_text(SHOUTING)
    return str(tmp_path / "shouting.jinja")


def test_a_template_file_and_its_arguments_come_back_with_the_folder(
    tiny_model: str, template: str, tmp_path: Path
) -> None:
    policy = load_policy(tiny_model, device="cpu", template=template, template_args={"mark": "!"})
    assert policy.renderer.text("Who?") == "[user!] Who?</s>[assistant!] "
    policy.save(tmp_path / "saved")
    Path(template).unlink()  # the folder needs it no more
    again = load_policy(tmp_path / "saved", device="cpu")
    assert again.renderer.text("Who?") == policy.renderer.text("Who?")
    assert load_renderer(tmp_path / "saved").text("Who?") == policy.renderer.text("Who?")
    # `transformers` has the text of the template, and is told the arguments
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    turns = [{"role": "user", "content": "Who?"}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, mark="!")
    assert text == "[user!] Who?</s>[assistant!] "


def test_what_is_asked_for_goes_before_what_was_saved(tiny_model: str, template: str, tmp_path: Path) -> None:
    load_policy(tiny_model, device="cpu", template=template, template_args={"mark": "!"}).save(tmp_path / "saved")
    other = load_renderer(tmp_path / "saved", rendering=RenderOptions(template_args={"mark": "?"}))
    assert other.text("Who?") == "[user?] Who?</s>[assistant?] "
    assert load_renderer(tmp_path / "saved", template="plain").text("Who?") == "Who?"


def test_a_model_that_was_trained_on_plain_text_is_asked_in_plain_text(
    tiny_model: str, template: str, tmp_path: Path
) -> None:
    """Though its tokenizer has a chat template, which the model has never seen."""
    load_policy(tiny_model, device="cpu", template=template).save(tmp_path / "chat")
    load_policy(tmp_path / "chat", device="cpu", template="plain").save(tmp_path / "plain")
    assert load_renderer(tmp_path / "plain").text("Who?") == "Who?"
    assert load_renderer(tmp_path / "plain", template="chat").text("Who?") == "[user] Who?</s>[assistant] "


def test_end_tokens_come_back(tiny_model: str, tmp_path: Path) -> None:
    policy = load_policy(tiny_model, device="cpu")
    policy.save(tmp_path / "saved")
    content = json.loads((tmp_path / "saved" / SAVED_TEMPLATE).read_text())
    assert content == {"template": "plain", "template_args": {}, "end_ids": sorted(policy.renderer.end_ids)}
    content["end_ids"] = [7, *content["end_ids"]]
    (tmp_path / "saved" / SAVED_TEMPLATE).write_text(json.dumps(content))
    assert load_policy(tmp_path / "saved", device="cpu").renderer.end_ids == policy.renderer.end_ids | {7}


def test_a_reward_model_reads_as_it_was_trained(tiny_model: str, template: str, tmp_path: Path) -> None:
    options = RenderOptions(template, {"mark": "!"})
    new_reward(ModelConfig(name=tiny_model, device="cpu"), options).save(tmp_path / "reward")
    again = load_reward_model(tmp_path / "reward", device="cpu")
    assert again.renderer.text("Who?") == "[user!] Who?</s>[assistant!] "


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"template": "chat"}', '{"template": 1, "template_args": {}, "end_ids": []}']
)
def test_a_damaged_record_is_refused_by_its_name(tiny_model: str, tmp_path: Path, content: str) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    (tmp_path / "model" / SAVED_TEMPLATE).write_text(content)
    with pytest.raises(InputError, match=SAVED_TEMPLATE):
        load_renderer(tmp_path / "model")


def test_a_named_template_takes_nothing_from_another_one() -> None:
    saved = SavedTemplate("chat", {"mark": "!"})
    assert saved.completed(RenderOptions("chatml")) == RenderOptions("chatml")
    assert saved.completed(RenderOptions("chat", {"x": 1})) == RenderOptions("chat", {"mark": "!", "x": 1})
    assert SavedTemplate("plain").completed(RenderOptions()) == RenderOptions("plain")
