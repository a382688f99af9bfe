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
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import mixwise

ROOT = Path(__file__).parents[1]
Run = Callable[..., str]
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


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs Python in an environment with the wheel; it sees the packages of this one besides."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=False)
    [own] = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(own)
    (own / "others.pth").write_text(sysconfig.get_paths()["purelib"])  # no .pth of these is read
    environment = {**os.environ, "PYTHONPATH": ""}

    def run(*words: str) -> str:
        done = subprocess.run(
            [str(folder / "bin" / "python"), *words],
            capture_output=True,
            text=True,
            cwd=folder,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_wheel_answers_without_the_clone(clean: Run) -> None:
    assert "/clean" in clean("-c", "import mixwise; print(mixwise.__file__)")
    assert clean("-m", "mixwise", "--version").split() == ["mixwise", mixwise.__version__]
    assert "Wrote recipe.yaml" in clean("-m", "mixwise", "init")
    demo = (
        "from importlib.resources import files\n"
        "from mixwise import load_recipe\n"
        "print(*load_recipe(files('mixwise') / 'demo' / 'recipe.yaml').domain_names)"
    )
    assert clean("-c", demo).split() == ["python", "c", "german", "french", "glosses"]


@pytest.mark.slow
def test_the_wheel_runs_the_demo_and_writes_the_page(clean: Run) -> None:
    printed = clean("-m", "mixwise", "demo", "--quick")
    assert "Shares by tokens" in printed
    pages = clean("-c", "from pathlib import Path; print(*Path().glob('*/report.html'))")
    assert pages.split() == ["demo-study/report.html"]


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
