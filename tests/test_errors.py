"""Errors are true for every front end: each says in its own words what would help."""

import ast
import doctest
import pickle
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from napari_unet import errors
from napari_unet.cli import options as flags
from napari_unet.cli.commands import app
from napari_unet.errors import MemoryBudgetError, UNetError, hinted
from napari_unet.options import BatchOptions, SegmentOptions, TrainOptions
from napari_unet.ui import hints

SOURCE = Path(errors.__file__).parent
FRONT_ENDS = ("cli", "ui")
CORE = sorted(
    path
    for path in SOURCE.rglob("*.py")
    if path.relative_to(SOURCE).parts[0] not in FRONT_ENDS
)
COMMANDS = ("segment", "batch", "train")
DOCKS = {"Segment": hints.SEGMENT, "Correct": hints.CORRECT, "Batch": hints.BATCH}
NO_FLAG = {"locate"}
FOREIGN = {
    "flag": r"--[a-z]",
    "dock": r"U-Net: |\bdock\b",
    "button": r"\b([Cc]lick|[Pp]ress|button|Improve|Live|Advanced)\b",
    "menu": r"File >|\bmenu\b",
    "command": r"napari-unet (segment|batch|train|info)\b|same command",
}


@cache
def sentences(path: Path) -> list[tuple[int, str]]:
    """Return the texts in a file that are no docstrings, with their lines.

    An f-string is one text, with a blank where something is filled in.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    docs = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    joined = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for node in joined for part in node.values}
    found = [(node.lineno, "".join(map(text_of, node.values))) for node in joined]
    found += [
        (node.lineno, text_of(node))
        for node in nodes
        if isinstance(node, ast.Constant) and id(node) not in docs | parts
    ]
    return found


def text_of(node: ast.AST) -> str:
    whole = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return node.value if whole else " "


def helpful(path: Path) -> Iterator[tuple[int, str]]:
    """Yield what the errors of a file name as helpful, with their lines."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "option":
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant):
                    yield part.lineno, part.value


OPTIONS = {name for path in CORE for _, name in helpful(path)}


def test_texts_are_found_but_no_docstrings(tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text('"""--doc"""\nx = 1\nraise E(f"a {x} --flag" "s", "b")\n"--c"\n')
    assert sentences(file) == [(3, "a   --flags"), (2, " "), (3, "b")]


@pytest.mark.parametrize("kind", FOREIGN)
def test_core_speaks_of_no_front_end(kind: str) -> None:
    assert len(CORE) > 100
    assert not [
        f"{path.relative_to(SOURCE)}:{line}: {text}"
        for path in CORE
        for line, text in sentences(path)
        if re.search(FOREIGN[kind], text)
    ]


def test_every_option_of_an_error_is_known_to_a_front_end() -> None:
    command_line = {n for c in COMMANDS for n in flags.flags_of(app, c)}
    docks = {name for names in DOCKS.values() for name in names}
    assert {"memory", "new", "save"} <= OPTIONS
    assert not OPTIONS - command_line - docks
    assert not docks - OPTIONS - {"measure"}  # `batch/setup.py` has it from a list


def test_flags_are_those_of_the_command() -> None:
    assert flags.flags_of(app, "train")["new"] == "--new"
    assert flags.flags_of(app, "batch")["link_z"] == "--link-z"
    assert "axes" not in flags.flags_of(app, "train")
    assert "image" not in flags.flags_of(app, "segment")  # is no flag
    assert flags.flags_of(app, "nothing") == {}


def test_options_are_several_one_or_none() -> None:
    assert UNetError("It is so.").options == ()
    assert UNetError("It is so.", option="memory").options == ("memory",)
    assert UNetError("It is so.", option=("a", "b")).options == ("a", "b")


def test_hint_stands_before_the_full_stop() -> None:
    assert doctest.testmod(errors) == (0, 2)
    names = {"a": "--a", "b": "--b"}
    assert hinted("Do it.", ("b", "c", "a"), names) == "Do it (--b, --a)."
    assert hinted("", ("a",), {}) == ""


def test_error_of_a_worker_keeps_its_options() -> None:
    error = MemoryBudgetError("It is too little.", option="memory")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.options) == ("It is too little.", ("memory",))


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("segment", (SegmentOptions,)),
        ("batch", (SegmentOptions, BatchOptions)),
        ("train", (TrainOptions,)),
    ],
)
def test_every_option_has_a_flag_by_its_own_name(command, options) -> None:
    named = {field.name for each in options for field in fields(each)} - {"segment"}
    assert named <= flags.flags_of(app, command).keys() | NO_FLAG


@pytest.mark.parametrize(
    ("bad", "flag"),
    [
        ({"min_size": -1}, "--min-size"),
        ({"min_score": 2.0}, "--min-score"),
        ({"threshold": 2.0}, "--threshold"),
        ({"tile": 0}, "--tile"),
        ({"diameter": 3.0, "scale": 2.0}, "--diameter, --scale"),
    ],
)
def test_option_that_cannot_be_is_named_as_a_flag(bad, flag) -> None:
    with pytest.raises(UNetError) as found:
        SegmentOptions(**bad)
    names = flags.flags_of(app, "segment")
    assert hinted(str(found.value), found.value.options, names).endswith(f" ({flag}).")
