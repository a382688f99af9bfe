import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import mixwise

ROOT = Path(mixwise.__file__).parent
FLOORS = (
    {"arrays", "errors", "interrupts"},
    {"shortages", "registry", "polytope"},
    {"files", "progress", "releases", "section"},
    {
        "domain_groups",
        "limit",
        "macro_f1",
        "mixture",
        "objective",
        "records",
        "extrapolation",
        "label_heads",
        "learning_curves",
        "prior",
        "share_units",
        "tasks",
    },
    {"kinds"},
    {"observation", "scorer", "recipe"},
    {"data", "models", "engine", "tracking"},
    {"merging", "training", "evaluation", "search", "ledger"},
    {"scoring", "decision", "diagnostics"},
    {"study", "swarm"},
    {"problem"},
    {"report", "export"},
    {"stages"},
    {"console"},
    {"api", "testing"},
    {"cli"},
    {"__main__"},
)
FLOOR = {part: number for number, parts in enumerate(FLOORS) for part in parts}
HEAVY = ("torch", "transformers", "peft", "lightgbm", "sklearn", "plotly", "pyarrow", "scipy")


def name_of(path: Path) -> str:
    parts = ("mixwise", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


@dataclass(frozen=True)
class Import:
    target: str
    in_function: bool


def imports(tree: ast.AST, *, in_function: bool = False) -> Iterator[Import]:
    """Imports of mixwise's own modules, those for type checkers left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from imports(other, in_function=in_function)
        elif isinstance(node, ast.Import):
            yield from (Import(a.name, in_function) for a in node.names if own(a.name))
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            for alias in node.names if own(node.module or "") else ():
                inner = f"{node.module}.{alias.name}"
                yield Import(inner if inner in MODULES else str(node.module), in_function)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, in_function=in_function or inside)


def own(name: str) -> bool:
    return name == "mixwise" or name.startswith("mixwise.")


def part(module: str) -> str:
    """First name below the package; the package itself (its version) is the ground."""
    return module.split(".")[1] if "." in module else ""


def imported_in_a_new_process(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


def test_there_are_modules_and_imports_to_look_at() -> None:
    assert len(MODULES) > 40
    assert sum(len(list(imports(tree))) for tree in TREES.values()) > 150


@pytest.mark.parametrize("module", [name for name in MODULES if "." in name])
def test_every_module_stands_on_a_floor(module: str) -> None:
    assert part(module) in FLOOR


@pytest.mark.parametrize("module", list(MODULES))
def test_imports_point_down_the_floors(module: str) -> None:
    floor = FLOOR.get(part(module), -1)
    upwards = {i.target for i in imports(TREES[module]) if FLOOR.get(part(i.target), -1) > floor}
    assert not upwards


def test_modules_import_each_other_in_no_circle() -> None:
    graph = {
        name: {i.target for i in imports(tree) if not i.in_function} - {"mixwise"}
        for name, tree in TREES.items()
    }
    assert list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize(
    ("floor", "forbidden"),
    [
        ("search", {"merging", "models", "training", "scoring", "evaluation", "data"}),
        ("decision", {"merging", "models", "training", "scoring", "evaluation", "data", "ledger"}),
        ("training", {"merging"}),
        ("evaluation", {"merging"}),
        ("report", {"stages", "scoring", "merging"}),
        ("mixture", {"objective"}),
        ("objective", {"mixture"}),
        ("recipe", {"observation", "scorer"}),
        ("records", {"mixture", "objective"}),
    ],
)
def test_what_must_not_know_what(floor: str, forbidden: set[str]) -> None:
    known = {
        part(i.target) for name, tree in TREES.items() if part(name) == floor for i in imports(tree)
    }
    assert not known & forbidden


def test_the_finder_of_imports_sees_an_upward_import_and_a_circle() -> None:
    source = (
        "from typing import TYPE_CHECKING\nimport mixwise.cli\n"
        "if TYPE_CHECKING:\n    import mixwise.ledger\n"
        "def f():\n    from mixwise import console\n    from mixwise.errors import nearest\n"
    )
    assert set(imports(ast.parse(source))) == {
        Import("mixwise.cli", False),
        Import("mixwise.console", True),
        Import("mixwise.errors", True),
    }
    with pytest.raises(graphlib.CycleError, match="cycle"):
        list(graphlib.TopologicalSorter({"a": {"b"}, "b": {"a"}}).static_order())


@pytest.mark.parametrize("module", list(MODULES))
def test_every_module_says_what_it_is(module: str) -> None:
    assert len((ast.get_docstring(TREES[module]) or "").split()) >= 3


@pytest.mark.parametrize("module", list(MODULES))
def test_no_module_is_a_drawer_for_odds_and_ends(module: str) -> None:
    drawers = {"util", "utils", "helper", "helpers", "common", "misc", "core"}
    assert not drawers & set(module.split("."))


@pytest.mark.parametrize(
    "code",
    [
        "import mixwise",
        "import mixwise.cli.app",
        "import contextlib, os\nfrom mixwise.cli.app import main\n"
        "sys.argv = ['mixwise', '--help']\nwith contextlib.suppress(SystemExit):\n    main()",
    ],
)
def test_help_loads_nothing_heavy(code: str) -> None:
    loaded = imported_in_a_new_process(code)
    assert "mixwise" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize(
    "module", ["mixture", "objective", "observation", "scorer", "recipe", "kinds"]
)
def test_values_load_no_torch(module: str) -> None:
    assert "torch" not in imported_in_a_new_process(f"import mixwise.{module}")


def test_how_far_a_study_is_needs_neither_torch_nor_charts() -> None:
    loaded = imported_in_a_new_process("import mixwise.stages.status, mixwise.study.folder")
    assert "mixwise.stages.status" in loaded
    assert not loaded & set(HEAVY)
