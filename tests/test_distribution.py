"""The source archive builds the wheel, and the wheel works without the clone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

import mixwise

ROOT = Path(__file__).parents[1]
NEEDED = (
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "docs/index.md",
    "tests/conftest.py",
)


def build(source: Path, into: Path, what: str) -> Path:
    command = [sys.executable, "-m", "build", "--no-isolation", f"--{what}", "--outdir", str(into)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    [made] = into.glob("*.whl" if what == "wheel" else "*.tar.gz")
    return made


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.fixture(scope="module")
def wheel(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the source archive gives."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    [source] = folder.iterdir()
    return build(source, tmp_path_factory.mktemp("wheel"), "wheel")


def test_the_source_archive_holds_what_a_reader_and_a_builder_need(archive: Path) -> None:
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert not [name for name in NEEDED if name not in names]


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    package = ROOT / "src" / "mixwise"
    there = {str(path.relative_to(ROOT / "src")) for path in package.rglob("*") if path.is_file()}
    wanted = {name for name in there if "__pycache__" not in name and not name.endswith(".log")}
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if ".dist-info/" not in name}
    assert names == wanted


def test_the_wheel_answers_without_the_clone(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own; of this one it sees the packages, but not its mixwise."""
    venv.create(tmp_path / "clean", with_pip=False)
    python = tmp_path / "clean" / "bin" / "python"
    [own] = (tmp_path / "clean").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(own)
    (own / "others.pth").write_text(sysconfig.get_paths()["purelib"])  # no .pth of these is read
    environment = {**os.environ, "PYTHONPATH": ""}

    def run(*words: str) -> str:
        command = [str(python), *words]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert str(own) in run("-c", "import mixwise; print(mixwise.__file__)")
    assert run("-m", "mixwise", "--version").split() == ["mixwise", mixwise.__version__]
    run("-c", "import mixwise.report.page")
    checked = run(
        "-c",
        "from importlib.resources import files\n"
        "from mixwise.api import check_recipe\n"
        "print(check_recipe(files('mixwise') / 'demo' / 'recipe.yaml', 'study').plan.seconds > 0)",
    )
    assert checked.split()[-1] == "True"


def test_the_version_stands_in_three_files_alike() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert project["version"] == mixwise.__version__ == cited["version"]
    assert project["license"]["text"] == cited["license"]


def test_hooks_and_issue_forms_are_whole() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    for hook in hooks:
        for path in re.findall(r"\btests/\S+", hook["entry"]):
            assert (ROOT / path).exists(), hook["id"]
    for form in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"):
        given = yaml.safe_load(form.read_text())
        assert {"name", "description", "body"} <= set(given), form
        assert len({part["id"] for part in given["body"]}) == len(given["body"]), form
