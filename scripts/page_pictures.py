"""Write one page of each kind from made-up numbers, and photograph each on a desktop, a phone, in the dark and printed.

    python scripts/page_pictures.py out=/tmp/pages            # pages and pictures (needs playwright and a Chromium)
    python scripts/page_pictures.py out=/tmp/pages only=run   # pages whose name holds a word; words by commas
    python scripts/page_pictures.py out=/tmp/pages folders=labels,runs/spin   # these studies and runs, and no others
    AXE_SCRIPT=axe.min.js python scripts/page_pictures.py     # what axe finds serious, too (`npm pack axe-core`)

The numbers are those of the tests, so a page takes a second and no model. Beside each picture stands what Chromium
measures: tables that are cut, text that is small, pages that are wider than the screen.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import yaml

if TYPE_CHECKING:
    from playwright.sync_api import ViewportSize

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from media_files import picture_bytes  # noqa: E402 - beside the tests, which are no package
from penchant.cli.main import main as penchant  # noqa: E402
from penchant.data.rendering.marked import MarkedPiece, MarkedResponse, MarkedRow, RefusedRow  # noqa: E402
from penchant.judges.compare.page import judge_page  # noqa: E402
from penchant.reports.run.marked import marked_page  # noqa: E402
from penchant.reports.run.page import runs_page  # noqa: E402
from penchant.reports.run.versus import read_each, unread_table  # noqa: E402
from penchant.studies.report import report  # noqa: E402
from penchant.typed_json import from_json  # noqa: E402
from penchant.weak.page import weak_train_page  # noqa: E402
from penchant.weak.results import StudentResult  # noqa: E402
from synthetic_runs import write_run  # noqa: E402

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
AXE = os.environ.get("AXE_SCRIPT", "")


@dataclass(frozen=True)
class Screen:
    """A way to look at a page: its width in CSS pixels, whether the reader prefers the dark, whether it is paper."""

    name: str
    width: int
    dark: bool = False
    printed: bool = False


SCREENS = (
    Screen("desktop", 1400),
    Screen("phone", 390),
    Screen("dark", 1400, dark=True),
    # from a dark screen: paper is light all the same
    Screen("print", 760, dark=True, printed=True),
)
# What a reader would stumble over, measured by the browser.
STUMBLES = """() => {
  const visible = element => element.offsetParent !== null;
  const cut = [...document.querySelectorAll('.scroll')].filter(e => visible(e) && e.scrollWidth > e.clientWidth + 1)
    .map(e => `${(e.getAttribute('aria-label') || '').slice(0, 50)} (${e.scrollWidth} in ${e.clientWidth})`);
  const sizes = new Set([...document.querySelectorAll('body *')].filter(visible)
    .map(e => parseFloat(getComputedStyle(e).fontSize)));
  const scales = [...document.querySelectorAll('.drawing svg')].filter(e => e.getBoundingClientRect().width)
    .map(e => Math.round(100 * e.getBoundingClientRect().width / e.getAttribute('width')) / 100);
  const figure_scales = scales.length ? [Math.min(...scales), Math.max(...scales)] : [];
  return {cut, sizes: [...sizes].sort((a, b) => a - b), figure_scales,
    wider: document.documentElement.scrollWidth > window.innerWidth};
}"""


SERIOUS = """axe.run().then(results => results.violations
  .filter(rule => ['serious', 'critical'].includes(rule.impact))
  .map(rule => `${rule.id}: ${rule.nodes.slice(0, 3).map(node => node.html.slice(0, 120)).join(' | ')}`))"""


def load_test(path: str) -> ModuleType:
    """Load a test module by its path below `tests`, for the numbers that it makes up."""
    spec = importlib.util.spec_from_file_location(path.replace("/", "_"), ROOT / "tests" / f"{path}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def write_study(folder: Path, numbers: dict[str, Any]) -> Path:
    """Write a study's numbers, and its page from them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.json").write_text(json.dumps(numbers))
    return report([folder], folder / "report.html")


def write_runs(folder: Path, **runs: dict[str, Any]) -> Path:
    """Write runs by their names and stories, and their page."""
    return report([write_run(folder / name, **story) for name, story in runs.items()], folder / "report.html")


def write_rounds(folder: Path, method: str, rows: str) -> Path:
    """Write the page of a run in rounds, with the rows of a test as its rounds."""
    test = load_test("reports/run/test_rounds")
    run = write_run(folder / method, samples=method != "spin")
    first: dict[str, Any] = getattr(test, rows)
    start = {"judge_before": test.QUALITY} if "judge" in first else {}
    numbers = json.loads((run / "result.json").read_text())
    numbers |= {
        "method": method,
        "rounds": [first | start, first, {"samples": {}, "skipped": "why"}],
        "round_seconds": test.SECONDS * 3,
        "status": "stopped_early",
        "stop_reason": "the accuracy on held-out pairs is that of a coin",
    }
    (run / "result.json").write_text(json.dumps(numbers))
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(config | {"method": method, "rounds": 3}))
    return report([run], folder / "report.html")


def write_sources(folder: Path) -> Path:
    """Write the page of `penchant weak sources`: four sources, two of them copies, beside the truth."""
    test = load_test("weak/label_models/test_run")
    folder.mkdir(parents=True, exist_ok=True)
    copies = ["spam" if row % 3 else "ham" for row in range(120)]
    votes = test.write_votes(folder / "votes.csv", a_rule_with_quite_a_long_name=copies, its_copy=copies)
    compared = "compare=[moments,triplets,one_coin]"
    assert penchant(["weak", "sources", votes, "truth=gold", compared, "resamples=200", f"out={folder}/joined"]) == 0
    return folder / "joined" / "report.html"


def write_reward_model(folder: Path) -> Path:
    """Write the page of a reward model: held-out comparisons, and no policy to sample from."""
    folder.mkdir(parents=True, exist_ok=True)
    return report([load_test("reports/run/test_curves").reward_model(folder / "reward")], folder / "report.html")


def win_rates() -> dict[str, Any]:
    """Return the numbers of a study of win rates."""
    made: Callable[[], dict[str, Any]] = load_test("studies/win_rates/test_page").study.__wrapped__
    numbers = made()
    # the test of its sentences needs no settings; the page names model and data
    numbers["config"] |= {"model": {"name": "penchant-0.5m"}, "data": {"path": "tldr.jsonl"}, "against": "data"}
    return numbers


def weak_to_strong() -> dict[str, Any]:
    """Return the numbers of a study of weak supervisors."""
    test = load_test("studies/weak_to_strong/test_page")
    return test.made_up(test.cell(), test.cell("confidence 0.5", 0.6, over=0.02))


def share(value: float) -> dict[str, Any]:
    """Return a share of 24 rows with its interval."""
    return {"value": value, "low": value - 0.1, "high": min(1.0, value + 0.1), "n": 24, "clusters": 24, "reason": ""}


def write_student(folder: Path) -> Path:
    """Write the page of a student of weak labels."""
    agreement = {"held_out": 0.8, "learned_from": 0.88, "where_unsure": 0.7, "where_sure": 0.9}
    numbers = {
        "rows": {"learned_from": 96, "held_out": 24, "undecided": 0},
        "method": "weak train",
        "status": "done",
        "agreement": {key: share(value) for key, value in agreement.items()},
        "misfit": {"held_out": share(0.3), "learned_from": share(0.2)},
        "calibration_error": 0.06,
        "reliability": [{"confidence": c, "accuracy": share(c - 0.05)} for c in (0.55, 0.7, 0.9)],
        "disagreements": [
            {"text": "The plot is thin and I loved it all.", "weak_label": ["bad", 0.6], "student": ["good", 0.9]}
        ],
        "shares": {"weak_labels": [0.5, 0.5], "student": [0.45, 0.55]},
        "classes": ["bad", "good"],
        "seconds": 12.0,
        "task": "texts",
        "l2": 0.3,
        "consistency": share(0.85),
    }
    folder.mkdir(parents=True, exist_ok=True)
    result = from_json(StudentResult, numbers)
    config = {"data": {"path": "weak.jsonl"}, "student": {"name": "probe", "model": "penchant-0.5m"}}
    page = folder / "report.html"
    page.write_text(weak_train_page(result, config, {"machine": {"cpu": "AMD EPYC", "cores": 2}}), encoding="utf-8")
    return page


def write_raters(folder: Path) -> Path:
    """Write the page of `penchant agree`."""
    test = load_test("raters/test_agreement_page")
    test.agreement_page(test.made_up(), folder)
    return folder / "report.html"


def write_ranking(folder: Path) -> Path:
    """Write the page of `penchant rank`."""
    test = load_test("raters/ranking/test_page")
    test.strengths_page(test.made_up(("dpo", "ppo", "sft")), folder)
    return folder / "report.html"


def write_judge(folder: Path, temperatures: tuple[float, ...] = ()) -> Path:
    """Write the page of `penchant judge`."""
    judge_page(load_test("judges/compare/test_page").made_up(temperatures=temperatures), folder)
    return folder / "report.html"


def write_judge_of_pictures(folder: Path) -> Path:
    """Write the page of `penchant judge` whose prompts show pictures."""
    marks = [f"[image {n:016x}]" for n in range(2)]
    pictures = [picture_bytes(colour, (96, 72)) for colour in ("red", "blue")]
    addresses = [f"data:image/png;base64,{base64.b64encode(picture).decode()}" for picture in pictures]
    pair = {
        "outcome": "a",
        "prompt": f"{marks[0]} {marks[1]} What is the colour of the second one?",
        "a": "It is blue.",
        "b": "Both are red, as far as I can tell.",
        "said": "Verdict: A",
        "said_swapped": "Verdict: B",
    }
    made_up = load_test("judges/compare/test_page").made_up
    thumbnails = dict(zip(marks, addresses, strict=True))
    judge_page(made_up(examples={"dpo": [pair], "ppo": []}, thumbnails=thumbnails), folder)
    return folder / "report.html"


def write_comparison(folder: Path) -> Path:
    """Write the page of `penchant compare`: two runs, and a folder that is none."""
    names = ("first", "second", "missing")
    paths = [folder / name for name in names]
    write_run(paths[0])
    write_run(paths[1], beta=0.3, speed=0.05)
    runs, unread = read_each([str(path) for path in paths])
    return runs_page(runs, folder / "report.html", unread_table(unread))


def write_marked(folder: Path) -> Path:
    """Write the page of `penchant data show`: a pair, and a row that is refused."""
    prompt = (MarkedPiece("<|user|>\nHow was the film?\n<|assistant|>\n", "given"),)
    end = MarkedPiece("<|end|>", "end")
    chosen = (MarkedPiece("I ", "scored"), MarkedPiece("loved it,\nand so did they.", "scored", parts=True), end)
    rejected = (MarkedPiece("I ", "scored"), MarkedPiece("was bored.", "scored", parts=True), end)
    responses = (MarkedResponse("chosen", chosen, 11, 11, 13), MarkedResponse("rejected", rejected, 6, 6, 13))
    rows = [
        MarkedRow(source="prefs.jsonl:1", prompt=prompt, tokens=12, responses=responses),
        RefusedRow("prefs.jsonl:2", "the prompt has 900 tokens, and the model has room for 512"),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "report.html"
    page.write_text(marked_page(rows, "prefs.jsonl", "penchant-0.5m", 4_000), encoding="utf-8")
    return page


def write_collection(folder: Path, view: str) -> Path:
    """Write a page of `penchant collect`, with its style sheet inside, after two people judged some pairs."""
    web = load_test("web/conftest")
    folder.mkdir(parents=True, exist_ok=True)
    texts = ["I loved it, and so did everyone beside me.", "It was dull.", "A film that is far too long for its story."]
    rows = [{"prompt": f"How was film {n}?", "responses": texts[: 3 if view == "ranking" else 2]} for n in range(4)]
    data = web.write_rows(folder / "rows.jsonl", rows)
    site = web.Site(web.Collect(data=data, out=str(folder / "out.sqlite"), annotators=2, overlap=2))
    people = [site.person(number) for number in (1, 2)]
    if view == "overview":
        for person, second in zip(people, ([1, 2], [2, 1]), strict=True):
            person.judge(places=[1, 2])
            person.judge(places=second, note="hard to say")
    address = {"welcome": "", "overview": "/admin/"}.get(view, "/w/1/")
    client = site.admin() if view == "overview" else people[0].client
    html = client.get(address or f"/a/1/{site.keys.link('1')}").text
    css = client.get("/static/page.css").text
    site.database.close()
    page = folder / "report.html"
    page.write_text(html.replace('<link rel="stylesheet" href="/static/page.css">', f"<style>{css}</style>"))
    return page


PAGES: dict[str, Callable[[Path], Path]] = {
    "run": lambda folder: write_runs(folder, film={}),
    "run-sft": lambda folder: write_runs(folder, film={"method": "sft", "samples": False}),
    "run-reward-model": write_reward_model,
    "runs": lambda folder: write_runs(
        folder, b01={}, b03={"beta": 0.3, "speed": 0.05, "seed": 1}, sft={"method": "sft", "samples": False}
    ),
    "run-iterative": lambda folder: write_rounds(folder, "iterative", "ITERATIVE_ROW"),
    "run-spin": lambda folder: write_rounds(folder, "spin", "SPIN_ROW"),
    "run-self-rewarding": lambda folder: write_rounds(folder, "self_rewarding", "SELF_REWARDING_ROW"),
    "compare": write_comparison,
    "data-show": write_marked,
    "collect-welcome": lambda folder: write_collection(folder, "welcome"),
    "collect-pair": lambda folder: write_collection(folder, "pair"),
    "collect-ranking": lambda folder: write_collection(folder, "ranking"),
    "collect-overview": lambda folder: write_collection(folder, "overview"),
    "study-frontier": lambda folder: write_study(folder, load_test("studies/frontier/test_page").made_up()),
    "study-noise": lambda folder: write_study(folder, load_test("studies/noise/test_page").made_up()),
    "study-transfer": lambda folder: write_study(folder, load_test("studies/transfer/test_page").made_up()),
    "study-annotators": lambda folder: write_study(folder, load_test("studies/annotators/test_page").made_up()),
    "study-win-rates": lambda folder: write_study(folder, win_rates()),
    "study-weak-to-strong": lambda folder: write_study(folder, weak_to_strong()),
    "weak-train": write_student,
    "weak-sources": write_sources,
    "agree": write_raters,
    "rank": write_ranking,
    "judge": write_judge,
    "judge-pictures": write_judge_of_pictures,
    "judge-temperatures": lambda folder: write_judge(folder, (0.0, 0.5, 1.0)),
}


def take_pictures(pages: dict[str, Path], out: Path) -> dict[str, dict[str, Any]]:
    """Photograph each page on each screen, and return what the browser measures there."""
    from playwright.sync_api import sync_playwright

    measured: dict[str, dict[str, Any]] = {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for screen in SCREENS:
            scheme: Literal["dark", "light"] = "dark" if screen.dark else "light"
            size: ViewportSize = {"width": screen.width, "height": 900}
            page = browser.new_page(viewport=size, color_scheme=scheme, bypass_csp=True)
            if screen.printed:
                page.emulate_media(media="print")
            for name, path in pages.items():
                page.goto(path.resolve().as_uri())
                page.screenshot(path=out / f"{name}-{screen.name}.png", full_page=True)
                measured[f"{name}-{screen.name}"] = page.evaluate(STUMBLES)
                if AXE and not screen.printed:
                    page.add_script_tag(path=AXE)
                    measured[f"{name}-{screen.name}"]["axe"] = page.evaluate(SERIOUS)
        browser.close()
    return measured


def main(arguments: list[str]) -> None:
    """Write the pages, then their pictures, then what was measured."""
    options = dict(argument.split("=", 1) for argument in arguments)
    out = Path(options.get("out", "page-pictures"))
    if out.exists():
        shutil.rmtree(out)  # commands refuse to write over what an earlier call left
    folders = [Path(folder) for folder in options.get("folders", "").split(",") if folder]
    if folders:
        out.mkdir(parents=True)
    wanted = {
        name: write for name, write in PAGES.items() if any(part in name for part in options.get("only", "").split(","))
    }
    # a folder's page is made anew, by the code of today
    pages = (
        {folder.name: report([folder], out / f"{folder.name}.html") for folder in folders}
        if folders
        else {name: write(out / name) for name, write in wanted.items()}
    )
    if options.get("pictures") != "no":
        for name, stumbles in take_pictures(pages, out).items():
            print(name, json.dumps(stumbles))


if __name__ == "__main__":
    main(sys.argv[1:])
