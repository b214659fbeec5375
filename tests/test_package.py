"""What an import loads, and what a wheel holds once the tree is gone."""

import ast
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
QT = ("qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6")
LIGHT = ("torch", "napari", "dask", *QT)
CLOSED = (  # what docks load when they are first used
    "torch",
    "pyqtgraph",
    "napari_unet.cli",
    "napari_unet.segmentation.predict",
    "napari_unet.training.fine_tune",
)
# Imported by zarr alone; the bound keeps out what unpickles files.
BOUND = {"numcodecs"}


def run(code: str, cwd: Path = ROOT, first: Path = SOURCE) -> str:
    """Run `code` in a fresh interpreter that looks for packages in `first` first."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(first)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def hatch(target: str, folder: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hatch("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the wheel is installed, far from the tree."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True)
    return target


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (["napari_unet"], ("torch", "napari", "numpy", "zarr", *QT)),
        (["napari_unet.cli"], ("torch", "napari", "numpy", "zarr", "skimage", *QT)),
        (
            [
                "napari_unet.sample_data",
                "napari_unet.io.open",
                "napari_unet.io.save",
                "napari_unet.labels.objects",
                "napari_unet.project.project",
                "napari_unet.ui.correct.form_state",
            ],
            LIGHT,
        ),
        (["napari_unet.compute.child"], ("torch", "napari", "zarr", "dask", *QT)),
        (["napari_unet.segmentation.predict"], ("napari", "dask", *QT)),
        (
            [
                "napari_unet.ui.reader_writer",
                "napari_unet.ui.segment.dock",
                "napari_unet.ui.batch.dock",
                "napari_unet.ui.correct.dock",
            ],
            CLOSED,
        ),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_import_leaves_what_is_heavy_alone(
    modules: list[str], heavy: tuple[str, ...]
) -> None:
    """One process imports them one by one: to start is what takes the time."""
    code = f"""
import sys
for name in {modules}:
    __import__(name)
    loaded = [module for module in {heavy} if module in sys.modules]
    if loaded:
        sys.exit(f"{{name}} loads {{loaded}}")
"""
    run(code)


def test_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    tree = {
        path.relative_to(SOURCE).as_posix()
        for path in (SOURCE / "napari_unet").rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.suffix != ".part"
    }
    assert {
        "napari_unet/napari.yaml",
        "napari_unet/py.typed",
        "napari_unet/sample_data/nuclei.tif",
        "napari_unet/weights/general.md",
        "napari_unet/weights/general.safetensors",
        "napari_unet/weights/nuclei.md",
        "napari_unet/weights/nuclei.safetensors",
    } <= tree
    with zipfile.ZipFile(wheel) as file:
        held = {name for name in file.namelist() if ".dist-info/" not in name}
    assert held == tree


def test_sdist_builds_the_same_without_what_work_leaves_behind(tmp_path: Path) -> None:
    with tarfile.open(hatch("sdist", tmp_path)) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "tests/conftest.py"} <= names
    assert {"src/napari_unet/napari.yaml", "examples/segment_one_file.py"} <= names
    assert not [n for n in names if re.match(r"\.venv|\.check|demo-output|.*\.pyc$", n)]


def test_installed_wheel_works_without_the_tree(
    installed: Path, tmp_path: Path
) -> None:
    code = """
from importlib.metadata import entry_points
import napari_unet, npe2
from napari_unet.network.model import load
from napari_unet.sample_data import sample_path
print(napari_unet.__file__)
print(sample_path("nuclei"))
print(len(load("nuclei").spec.classes))
manifest = npe2.PluginManifest.from_distribution("napari-unet-annotator")
print(manifest.display_name, [w.display_name for w in manifest.contributions.widgets])
(script,) = entry_points(group="console_scripts", name="napari-unet")
print(script.load().__module__)
"""
    lines = run(code, cwd=tmp_path, first=installed).splitlines()
    assert Path(lines[0]) == installed / "napari_unet" / "__init__.py"
    assert Path(lines[1]).is_relative_to(installed)
    assert Path(lines[1]).is_file()
    docks = "U-Net ['U-Net: Segment', 'U-Net: Correct', 'U-Net: Batch']"
    assert lines[2:] == ["3", docks, "napari_unet.cli.commands"]


def test_version_is_the_one_that_the_metadata_states(installed: Path) -> None:
    code = "import napari_unet; print(napari_unet.__version__)"
    seen = run(code, cwd=installed, first=installed)
    assert seen == project()["version"]


def test_every_direct_dependency_is_pinned() -> None:
    """What is not pinned would differ between one fresh machine and the next."""
    extras = project()["optional-dependencies"]
    needed = {
        canonical(requirement)
        for requirements in (project()["dependencies"], *extras.values())
        for requirement in requirements
    }
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {canonical(line) for line in lines if "==" in line and line[0] != "#"}
    assert needed - pinned == {"napari-unet-annotator"}


def test_every_dependency_is_imported_and_every_import_is_declared() -> None:
    table = project()
    extras = table["optional-dependencies"]
    needed = {canonical(requirement) for requirement in table["dependencies"]}
    chosen = {canonical(r) for name in ("all", "dask") for r in extras[name]}
    found = imported()
    assert needed - found == BOUND
    assert found - needed <= chosen


def imported() -> set[str]:
    """Return the distributions that our modules import, at their top or later."""
    known, names = packages_distributions(), set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(str(node.module))
            elif isinstance(node, ast.Call) and "import_module" in ast.dump(node.func):
                names |= {a.value for a in node.args if isinstance(a, ast.Constant)}
    tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    return {canonical(known[top][0]) for top in tops - {"napari_unet"}}


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return table["project"]


def canonical(requirement: str) -> str:
    return re.split(r"[\[=<>~! ;]", requirement)[0].lower().replace("_", "-")
