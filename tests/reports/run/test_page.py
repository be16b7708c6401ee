"""The page as a whole: what is on it, that it stands alone, and that nothing from the data gets out of hand."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant.reports.kit.text import TEXT_MOST
from penchant.reports.run.figures import Picture
from penchant.reports.run.samples import MOST_PROMPTS
from penchant.studies.report import report

ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "article", "nav", "div",
    "p", "span", "h1", "h2", "h3", "a", "ul", "li", "dl", "dt", "dd", "table", "caption", "thead", "tbody", "tr", "th",
    "td", "figure", "button", "figcaption", "details", "summary", "pre", "code", "bdi", "script",
    "svg", "g", "defs", "clippath", "path", "rect", "text", "use",
}  # fmt: skip
SAVED = "data:text/csv;charset=utf-8;base64,"


@pytest.fixture
def undrawn(monkeypatch):
    """Empty pictures, where the words are what is tested: drawing takes most of a report's time."""

    def empty(panel, _names):
        return Picture(getattr(panel, "title", "Mean reward against KL"), "<svg/>", b"", 4, 3)

    monkeypatch.setattr("penchant.reports.run.page.panel_picture", empty)
    monkeypatch.setattr("penchant.reports.run.page.kl_picture", empty)


class Page(HTMLParser):
    """The elements of a page, with a check that they nest."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(self.html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def assert_stands_alone(page: Page) -> None:
    assert {name for name, _ in page.elements} <= ALLOWED
    for name, attrs in page.elements:
        assert not any(key.startswith("on") or key == "style" for key in attrs), (name, attrs)
        assert not {"src", "srcset"} & attrs.keys()
        # a link leads to a part of the page, or saves what it holds
        assert (attrs.get("href") or "#").startswith(SAVED if "download" in attrs else "#")
        assert (attrs.get("xlink:href") or "#").startswith("#")
    css = re.search(r"<style>(.*?)</style>", page.html, re.DOTALL).group(1)
    assert "url(" not in css
    assert "@import" not in css
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv"))
    (script,) = re.findall(r"<script>(.*?)</script>\s*</body>", page.html, re.DOTALL)
    allowed = f"style-src 'sha256-{digest(css)}'; script-src 'sha256-{digest(script)}'; base-uri 'none'"
    assert policy == f"default-src 'none'; img-src data:; {allowed}; form-action 'none'"


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def drawings(page: Page) -> list[dict[str, str | None]]:
    return [svg for svg in page.all("svg") if svg.get("role") == "img"]


def test_a_dpo_run(make_run, tmp_path):
    out = report([make_run("film-b01")], tmp_path / "deep" / "er" / "report.html")
    page = Page(out)
    assert_stands_alone(page)
    for words in (
        "film-b01", "DPO took the mean reward", "Held-out accuracy", "Most samples were cut", "Reward against KL",
        "About the chosen log-probability", "Samples side by side", "smollm2-135m", "loss sigmoid (beta 0.1",
        "versions.torch", "learning_rate: 5.0e-06", "2 of 4 draws each",
    ):  # fmt: skip
        assert words in page.text, words
    assert len(page.all("article")) == MOST_PROMPTS
    assert all(drawing["aria-label"] for drawing in drawings(page))
    figures = sorted(path.name for path in (out.parent / "report-figures").iterdir())
    # each once, and the plane a second time for phones
    assert len(figures) == 11
    assert len(drawings(page)) == 12
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert len(page.html) < 200_000
    assert "reward-kl.png" in figures
    assert sorted(path.name for path in out.parent.iterdir()) == ["report-figures", "report.html"]  # nothing temporary


@pytest.mark.usefixtures("undrawn")
def test_an_sft_run(make_run, tmp_path):
    page = Page(report([make_run(method="sft", samples=False)], tmp_path / "r.html"))
    assert_stands_alone(page)
    assert "No samples were evaluated" in page.text
    assert "Margin" not in page.text
    assert "None: no check of this report found a problem" in page.text


@pytest.mark.usefixtures("undrawn")
def test_a_lora_run_without_rewards(make_run, tmp_path):
    page = Page(report([make_run(reward=False)], tmp_path / "r.html"))
    assert "without a reward" in page.text
    assert "922k trained (0.685%)" in page.text
    assert "KL from the reference, nats" in page.text


@pytest.mark.usefixtures("undrawn")
def test_several_runs(make_run, tmp_path):
    runs = [
        make_run("b01"),
        make_run("b03", beta=0.3, speed=0.05, seed=1),
        make_run("sft", method="sft", samples=False),
    ]
    page = Page(report(runs, tmp_path / "r.html"))
    assert_stands_alone(page)
    assert "3 runs compared" in page.text
    assert "Settings in which the runs differ." in page.text
    assert "Only" not in page.text or "measured it" in page.text
    rows = re.findall(r'<th scope="row">(?:<svg.*?</svg>\s*)?([^<]*)</th>', page.html)
    # what differs in their settings comes first
    first = rows.index("b01")
    assert "loss.beta" in rows[:first]
    assert rows[first : first + 3] == ["b01", "b03", "sft"]
    assert "loss.beta" in rows


@pytest.mark.usefixtures("undrawn")
def test_a_dozen_runs(make_run, tmp_path):
    runs = [make_run(f"sweep/seed-{k}", seed=k, steps=24, prompts=8) for k in range(12)]
    page = Page(report(runs, tmp_path / "r.html"))
    assert_stands_alone(page)
    assert "the first 7 of 12 runs" in page.text
    assert "12 of 12 runs" in page.text  # a warning of every run is folded
    assert len(page.html) < 3_000_000


def test_equal_runs_give_equal_bytes(make_run, tmp_path):
    path = make_run(steps=24, method="sft", samples=False)
    first = report([path], tmp_path / "a.html").read_bytes()
    pngs = {png.name: png.read_bytes() for png in (tmp_path / "a-figures").iterdir()}
    again = report([path], tmp_path / "a.html").read_bytes()
    assert first == again
    assert pngs == {png.name: png.read_bytes() for png in (tmp_path / "a-figures").iterdir()}


@pytest.mark.usefixtures("undrawn")
def test_figures_of_an_earlier_report_do_not_linger(make_run, tmp_path):
    out = report([make_run("a", steps=12)], tmp_path / "r.html")
    (tmp_path / "r-figures" / "mine.png").write_bytes(b"")
    report([make_run("b", steps=12, reward=False)], out)
    left = {path.name for path in (tmp_path / "r-figures").iterdir()}
    assert "mine.png" in left
    assert not left & {"reward.png", "reward-kl.png"}


@pytest.mark.usefixtures("undrawn")
def test_a_failure_leaves_the_old_report(make_run, tmp_path, monkeypatch):
    out = report([make_run(steps=12)], tmp_path / "r.html")
    before = out.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("penchant.files.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        report([make_run(steps=24)], out)
    assert out.read_bytes() == before
    assert not list(tmp_path.glob("**/.*tmp"))


def test_out_is_a_folder(make_run, tmp_path):
    with pytest.raises(InputError, match=r"such as .*report\.html"):
        report([make_run(steps=12)], tmp_path)


@pytest.mark.parametrize("lost", ["config.yaml", "metrics.jsonl", "samples.jsonl", "result.json", "provenance.json"])
@pytest.mark.usefixtures("undrawn")
def test_a_missing_file_is_told_and_the_rest_shown(make_run, tmp_path, lost):
    path = make_run(steps=24, prompts=6)
    (path / lost).unlink()
    page = Page(report([path], tmp_path / "r.html"))
    assert lost in page.text
    assert "What was run" in page.text


@pytest.mark.parametrize("content", ["", "{", "null", "[]", '{"data": 3, "warnings": {}, "first": 1, "seconds": "x"}'])
@pytest.mark.usefixtures("undrawn")
def test_damaged_files(make_run, tmp_path, content):
    path = make_run(steps=12, prompts=4)
    for name in ("result.json", "provenance.json", "samples.jsonl"):
        (path / name).write_text(content)
    assert "What was run" in Page(report([path], tmp_path / "r.html")).text


def test_a_run_that_has_only_begun(tmp_path):
    run = tmp_path / "begun"
    run.mkdir()
    (run / "config.yaml").write_text("method: dpo\n")
    page = Page(report([run], tmp_path / "r.html"))
    assert "The run left no numbers yet." in page.text
    assert "The run has not ended" in page.text
    assert not (tmp_path / "r-figures").exists()


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><style>body{display:none}</style>",
    "</title></pre></details><h1>pwned",
    "{{7*7}}{% for x in y %}",
    "$\\frac{ $x_1$",
    "\u202egnp.exe \u2066\u200b\ufeff",
    "NUL\x00 ESC\x1b[31m \ud800 lone \udfff",
    "<svg/onload=alert(1)> &lt;b&gt; `code <b>`",
    "javascript:alert(1)",
    "]]> --> <!--",
    "שלום مرحبا",
]


@pytest.mark.parametrize("several", [False, True])
def test_hostile_text_stays_text(make_run, tmp_path, several, request):
    if not several:  # a single run's name is in no figure
        request.getfixturevalue("undrawn")
    poison = " ".join(HOSTILE)
    path = make_run("<b>run $\\frac{ \u202e", steps=12, prompts=3)
    rows = [json.loads(line) for line in (path / "samples.jsonl").read_text().splitlines()]
    for row in rows:
        row["prompt"] += poison
        for draw in (*row["policy"], *row["reference"]):
            draw["text"] = poison
    (path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = json.loads((path / "result.json").read_text())
    result |= {"warnings": HOSTILE, "status": poison, "method": poison}
    result["final"]["held_out"]["by_annotator"] = {poison: result["final"]["held_out"]["accuracy"]}
    (path / "result.json").write_text(json.dumps(result))
    (path / "provenance.json").write_text(json.dumps({poison: {poison: poison}, "model": {"name": poison}}))
    (path / "config.yaml").write_text(json.dumps({"method": poison, "loss": {poison: poison}}))
    runs = [path, make_run("_other", steps=12, prompts=3)] if several else [path]
    page = Page(report(runs, tmp_path / "r.html"))
    assert_stands_alone(page)
    assert page.text.count("<script>alert(1)</script>") > 5
    assert "{{7*7}}" in page.text
    assert "␀" in page.text
    assert "⟨U+202E⟩" in page.text
    assert "⟨U+D800⟩" in page.text
    assert "שלום" in page.text
    assert not re.search("[\x00\x1b\u202e\u200b\ud800-\udfff]", page.html)
    assert len([tag for tag, _ in page.elements if tag == "h1"]) == 1


@pytest.mark.usefixtures("undrawn")
def test_long_texts_fold_and_end(make_run, tmp_path):
    path = make_run(steps=12, prompts=1, draws=1)
    rows = [json.loads(line) for line in (path / "samples.jsonl").read_text().splitlines()]
    rows[-1]["policy"][0]["text"] = "word " * 20_000
    rows[-1]["reference"][0]["text"] = ""
    (path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = Page(report([path], tmp_path / "r.html"))
    assert "the rest of 100,000 characters" in page.text
    assert f"[…{100_000 - TEXT_MOST:,} more characters]" in page.text
    assert "(empty)" in page.text


@pytest.mark.usefixtures("undrawn")
def test_a_config_that_unfolds_without_end(make_run, tmp_path):
    path = make_run(steps=12, prompts=2)
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 8)}]\n" for k in range(1, 9))
    (path / "config.yaml").write_text(bomb + "loop: &l [*l]\n")
    page = Page(report([path, make_run("b", steps=12, prompts=2)], tmp_path / "r.html"))
    assert "What was run" in page.text


@pytest.mark.usefixtures("undrawn")
def test_a_reward_model_has_no_sections_of_a_policy(make_run, tmp_path):
    run = make_run("judge", samples=False, method="reward_model", steps=12, prompts=4)
    page = Page(report([run], tmp_path / "r.html"))
    assert "Reward model of smollm2-135m on prefs.jsonl" in page.text
    assert not [words for words in ("What the policy moved", "reward-KL", "Reward against KL") if words in page.text]


@pytest.mark.usefixtures("undrawn")
def test_the_answer_stands_before_the_picture_and_this_before_the_caveats(make_run, tmp_path):
    html = Page(report([make_run(steps=12, prompts=4)], tmp_path / "r.html")).html
    places = [html.index(words) for words in ('class="about"', 'class="headline"', 'id="reward"', 'id="warnings"')]
    assert places == sorted(places)


@pytest.mark.usefixtures("undrawn")
def test_a_table_is_saved_from_the_page(make_run, tmp_path):
    page = Page(report([make_run(steps=12, prompts=12)], tmp_path / "r.html"))
    links = {link["download"]: link["href"] for link in page.all("a") if "download" in link}
    saved = base64.b64decode(links["every-evaluated-checkpoint-with-95-intervals.csv"].partition(",")[2]).decode()
    assert saved.startswith('\ufeffStep,Held-out loss,"Held-out loss, low","Held-out loss, high",')
