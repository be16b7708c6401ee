"""A study's template counts by its content: a name, a file and its copy are one, another text is another."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from penchant.config import load_config
from penchant.data.options import RenderOptions
from penchant.data.rendering.template_source import keep_template, shipped_templates, template_text
from penchant.errors import InputError
from penchant.studies.core.run_settings import RunPaths
from penchant.studies.core.stage import policy_settings
from penchant.studies.core.stage_settings import PolicySettings
from penchant.studies.frontier.settings import FrontierConfig
from penchant.typed_json import from_json, to_object

TEXT = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


def settings(tmp_path: Path, model: str, *changes: str) -> FrontierConfig:
    (tmp_path / "prompts.txt").write_text("Who?\nWhy?\n")
    prompts = tmp_path / "prompts.txt"
    return load_config(
        FrontierConfig, None, (f"model={model}", f"prompts={prompts}", f"eval_prompts={prompts}", *changes)
    )


def test_a_template_counts_by_its_text(tiny_model: str, tmp_path: Path) -> None:
    (tmp_path / "one.jinja").write_text(TEXT)
    shutil.copy(tmp_path / "one.jinja", tmp_path / "two.jinja")
    one, two = (
        policy_settings(settings(tmp_path, tiny_model, f"template={tmp_path / name}.jinja")) for name in ("one", "two")
    )
    assert one == two
    assert str(tmp_path) not in one.template
    (tmp_path / "one.jinja").write_text(TEXT.upper())
    assert policy_settings(settings(tmp_path, tiny_model, f"template={tmp_path / 'one'}.jinja")) != two
    # the stage's text stays what it was, whatever became of the file
    assert template_text(one.template) == TEXT


def test_addresses_of_studies_without_a_template_of_their_own_have_no_new_key(tiny_model: str, tmp_path: Path) -> None:
    assert set(to_object(policy_settings(settings(tmp_path, tiny_model)))) == {"model", "template"}


def test_stages_and_runs_get_the_template_and_its_arguments(tiny_model: str, tmp_path: Path) -> None:
    config = settings(tmp_path, tiny_model, "template=chatml", "template_args={enable_thinking: false}")
    stage = from_json(PolicySettings, to_object(policy_settings(config)))
    assert stage.rendering == RenderOptions(keep_template("chatml"), {"enable_thinking": False})
    run = RunPaths({}, {"comparisons": tmp_path}, tmp_path).comparisons(stage)
    assert run["template"] == stage.template
    assert run["template_args"] == {"enable_thinking": False}


@pytest.mark.parametrize("template", ["chatmll", "none.jinja", "content:0123"])
def test_an_unknown_template_is_refused_before_a_stage_runs(tiny_model: str, tmp_path: Path, template: str) -> None:
    with pytest.raises(InputError, match="template"):
        settings(tmp_path, tiny_model, f"template={template}")


def test_what_is_kept_is_checked(own_cache: Path) -> None:
    assert [keep_template(name) for name in ("auto", "chat", "plain")] == ["auto", "chat", "plain"]
    for name in shipped_templates():
        assert template_text(keep_template(name)) == template_text(name)
    kept = keep_template("chatml")
    (own_cache / "templates" / f"{kept.partition(':')[2]}.jinja").write_text("other")
    with pytest.raises(InputError, match="not in the cache any more"):
        template_text(kept)
