"""The house as it is described: first lines, sizes of files, and the maps in docs."""

import ast
import importlib
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "napari_unet"
MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))
QUESTIONS = ("What", "Which", "How", "Where", "Who", "Whose", "When", "Why", "Whether")
MAPS = ("CONTRIBUTING.md", "docs/architecture.md", "docs/how-it-works.md")
LINES, BODY, ROOMS = 300, 40, 7  # of a file; of a function; outside of ui, on a walk
PRIVATE = {"network/processor.py", "ui/private.py"}  # names of PyTorch, and of napari

# Files that are longer, and why. Take out of the list what has become short enough.
LONG = {
    "annotation/resegment.py": "request, steps and outcome, a third of it their docs",
    "annotation/start.py": "three ways to begin, which share what they return",
    "batch/steps.py": "one class: the order of the steps is the order of the ledger",
    "labels/objects.py": "one algorithm: seeds, growth, joining, and the way back",
    "network/blockwise.py": "one algorithm: the forward pass, and what it keeps",
    "project/project.py": "one class, a third of it docs: the folder's public face",
    "segmentation/predict.py": "one run: its loop over planes and tiles, its progress",
    "ui/batch/form.py": "one form, a widget a line",
    "ui/correct/state.py": "one state, a quarter of it docs",
    "ui/recording/recorder.py": "one listener: strokes, saving, and time",
    "ui/recording/strokes.py": "all that is peculiar about napari's paint events",
}


@cache
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse((SOURCE / module).read_text(encoding="utf-8"))


@cache
def imports(module: str) -> frozenset[str]:
    """Return the modules that one of ours imports, at its top or later."""
    found = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
            found |= {f"{n.partition('.')[2].replace('.', '/')}.py" for n in names}
    return frozenset(found)


def blocks(page: str) -> list[list[str]]:
    """Return the code blocks of a page, fenced or indented, as lines."""
    text = (ROOT / page).read_text(encoding="utf-8")
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [block.splitlines() for block in fenced]


def walks(page: str) -> list[list[tuple[int, str]]]:
    """Return the trees that a page draws: indentation and module of every line."""
    found = []
    for lines in blocks(page):
        named = [re.match(r"( *)([\w/]+\.py)\b", line) for line in lines]
        if any(named):
            assert all(named), lines
            found.append([(len(m[1]), m[2]) for m in named if m])
    return found


TREES = [
    pytest.param(walk, id=f"{page}:{walk[0][1]}")
    for page in MAPS
    for walk in walks(page)
]


def test_first_line_says_what_each_module_is() -> None:
    first = {
        m: (ast.get_docstring(tree_of(m)) or "").partition("\n")[0] for m in MODULES
    }
    assert not [m for m, line in first.items() if not line]
    begin = {m: re.match(r"\w*", line)[0] for m, line in first.items()}
    assert not [first[m] for m, word in begin.items() if word in QUESTIONS]


def test_files_are_short_but_for_those_that_are_listed() -> None:
    size = {m: len((SOURCE / m).read_text("utf-8").splitlines()) for m in MODULES}
    long = {module: lines for module, lines in size.items() if lines > LINES}
    assert long.keys() == LONG.keys(), long


def body_lines(function: ast.FunctionDef) -> int:
    """Return how long a function is, signature and docstring not counted."""
    body = function.body[ast.get_docstring(function) is not None :]
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_short() -> None:
    long = {
        f"{module}: {node.name}": lines
        for module in MODULES
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.FunctionDef) and (lines := body_lines(node)) > BODY
    }
    assert not long


def private_names(module: str) -> set[str]:
    """Return the private names that a module takes from something, or imports."""
    found = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            theirs = {n for n in names if not n.startswith("napari_unet.")}
            found |= {part for name in theirs for part in name.split(".")}
    return {name for name in found if re.match("_[^_]", name)}


def own_names(module: str) -> set[str]:
    """Return the names that a module gives to functions, classes and attributes."""
    found = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute):
            owner = isinstance(node, ast.Name) or ast.unparse(node.value) == "self"
            if owner and isinstance(node.ctx, ast.Store):
                found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return found


def test_private_names_of_libraries_are_used_where_they_are_guarded() -> None:
    ours = set().union(*(own_names(module) for module in MODULES))
    used = {module: private_names(module) - ours for module in MODULES}
    assert {module for module, names in used.items() if names} == PRIVATE, used


@pytest.mark.parametrize("page", MAPS)
def test_page_names_only_files_that_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"[\w/.-]*\w\.(?:py|md|yaml|toml|yml)\b", text))
    here = SOURCE, ROOT, ROOT / "docs"
    assert len(named) > 10
    assert not [n for n in named if not any((place / n).exists() for place in here)]


@pytest.mark.parametrize("walk", TREES)
def test_drawn_walk_goes_from_importer_to_imported(walk: list[tuple[int, str]]) -> None:
    above: list[tuple[int, str]] = []
    for depth, module in walk:
        above = [step for step in above if step[0] < depth]
        if above:
            assert module in imports(above[-1][1])
        above.append((depth, module))


def test_each_walk_passes_few_rooms_outside_ui() -> None:
    drawn = walks("docs/architecture.md")
    assert len(drawn) == 3
    for walk in drawn:
        assert len({m for _, m in walk if not m.startswith("ui/")}) <= ROOMS


def test_layers_are_drawn_as_they_are_held() -> None:
    contract = pyproject()["tool"]["importlinter"]["contracts"][0]
    held = [re.findall(r"\w+", layer) for layer in contract["layers"]]
    drawn = [
        re.findall(r"\w+", row[1])
        for line in blocks("docs/architecture.md")[0]
        if (row := re.match(r"│([^│]*)│", line))
    ]
    assert drawn == held


def test_citation_is_of_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    cited = dict(re.findall(r"^(version|license): (\S+)$", text, re.MULTILINE))
    project = pyproject()["project"]
    assert cited == {key: project[key] for key in ("version", "license")}


def _imported_names() -> list[tuple[str, str, str]]:
    """Return file, module and name of all that benchmarks and tools import of ours."""
    found = []
    for path in sorted([*ROOT.glob("benchmarks/*.py"), *ROOT.glob("tools/*.py")]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        programs = [
            ast.parse(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.search(r"^(?:from|import) napari_unet", node.value, re.MULTILINE)
        ]
        for node in (n for each in (tree, *programs) for n in ast.walk(each)):
            if isinstance(node, ast.ImportFrom) and node.module:
                found += [(path.name, node.module, alias.name) for alias in node.names]
            elif isinstance(node, ast.Import):
                found += [(path.name, alias.name, "") for alias in node.names]
    return [entry for entry in found if entry[1].startswith("napari_unet")]


def test_benchmarks_and_tools_import_what_there_is() -> None:
    found = _imported_names()
    assert len(found) > 50
    missing = []
    for file, module, name in found:
        there = importlib.import_module(module)
        if name and not hasattr(there, name):
            missing.append((file, module, name))
    assert not missing
