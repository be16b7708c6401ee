"""Every tutorial runs: its Python blocks in one session, its console lines in a shell, in the order of the page.

It runs as a stranger would run it: in an empty folder, with the models that come with Penchant and no shared data.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted((DOCS / "tutorials").glob("*.md")), *sorted((DOCS / "reference").glob("*.md"))]
LONG = {
    f"tutorials/{name}.md"
    for name in (
        "agreement",
        "exporting",
        "extending",
        "few-labels",
        "first-run",
        "python",
        "rewards",
        "studies",
        "using",
        "weak",
        "weak-sources",
        "weak-to-strong",
    )
}
"""Pages that take a quarter of a minute to a minute each."""
BLOCK = re.compile(r"^(?:<!-- file: (\S+) -->\n)?```(python|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    """Return a page's path below `docs`, such as `tutorials/weak.md`."""
    return str(page.relative_to(DOCS)) if DOCS in page.parents else page.name


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, code) of what runs, Python blocks in a row as one; a block after `<!-- not run: why -->` does not.

    A block after `<!-- file: NAME -->` is a file: it comes as (`file NAME`, content).
    """
    text = re.sub(r"<!-- not run: .*? -->\n```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found: list[tuple[str, str]] = []
    for match in BLOCK.finditer(text):
        file, language, code = match.groups()
        if file:
            found.append((f"file {file}", code))
        elif language == "python" and found and found[-1][0] == "python":
            found[-1] = ("python", found[-1][1] + code)
        else:
            found.append((language, code))
    return found


def test_there_are_tutorials_to_run() -> None:
    assert sum(len(blocks(page)) for page in PAGES) >= 5


def environment_of_a_stranger(program_folder: Path) -> dict[str, str]:
    """Return the environment of a reader who has Penchant and nothing else: `PENCHANT_DATA` names no folder."""
    paths = os.pathsep.join([str(program_folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {name: value for name, value in os.environ.items() if name != "PENCHANT_DATA"} | {"PATH": paths}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_block_that_runs_names_what_a_stranger_lacks(page: Path) -> None:
    for _, code in blocks(page):
        assert "stories260K" not in code
        assert "../shared" not in code


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.slow] * (name_of(page) in LONG), id=name_of(page))
        for page in PAGES
        if blocks(page)
    ],
)
@pytest.mark.timeout(900)  # on a machine that does other things, the longest page takes some minutes
def test_the_page_runs(page: Path, tmp_path: Path, program_folder: Path) -> None:
    folder = tmp_path / "stranger" / "folder"
    folder.mkdir(parents=True)
    for language, code in blocks(page):
        if language.startswith("file "):
            (folder / language.removeprefix("file ")).write_text(code)
            continue
        if language == "console":
            lines = [line.removeprefix("$ ") for line in code.splitlines() if line.startswith("$ ")]
            words = ["bash", "-euo", "pipefail", "-c", "\n".join(lines)]
        else:
            words = [str(program_folder / "penchant"), "-c", code]
        done = subprocess.run(
            words,
            cwd=folder,
            env=environment_of_a_stranger(program_folder),
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, f"{page.name}:\n{code}\n{done.stdout}\n{done.stderr}"


def test_blocks_of_other_pages_say_why_they_do_not_run() -> None:
    """Results take minutes to days and data of others; a block without its reason would look as if it were tested."""
    others = [page for page in (*DOCS.rglob("*.md"), ROOT / "CONTRIBUTING.md") if page not in PAGES]
    assert len(others) > 30
    assert [(name_of(page), code) for page in others for _, code in blocks(page)] == []


LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


def linked_pages() -> list[Path]:
    return [path for folder in (ROOT, DOCS, ROOT / "benchmarks") for path in sorted(folder.glob(GLOBS[folder]))]


GLOBS = {ROOT: "*.md", DOCS: "**/*.md", ROOT / "benchmarks": "**/*.md"}


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in linked_pages()])
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target, anchor in LINK.findall(prose):
        linked = page.parent / target if target else page
        assert linked.exists(), f"{target} does not exist"
        assert not anchor or anchor in anchors(linked), f"{target} has no heading #{anchor}"


def test_the_readme_is_a_manual_and_not_a_page_of_results() -> None:
    prose = re.sub(r"^```.*?^```|<!--.*?-->", "", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"\]\([^)]*\)", "]", prose)
    numbers = re.findall(r"\d[\d.,]*", prose)
    assert len(numbers) <= 25, f"the README states {len(numbers)} numbers, at most 25: {numbers}"


def test_files_that_the_map_of_the_code_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`([\w./]+(?:\.py|/))`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)))
    assert len(named) > 40
    missing = {name for name in named if not (ROOT / "src/penchant" / name).exists() and not (ROOT / name).exists()}
    assert missing == set()


def test_the_map_of_the_code_has_every_room() -> None:
    rooms = {path.name for path in (ROOT / "src/penchant").iterdir() if (path / "__init__.py").is_file()}
    modules = {path.name for path in (ROOT / "src/penchant").glob("*.py")}
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert {name for name in rooms if f"| `{name}/` |" not in text} == set()
    assert {name for name in modules if f"`{name}`" not in text} == set()
