"""What every test stands on: an environment of its own, a tiny net, the shared data."""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from helpers.batch_hand import Hand
    from helpers.window import Window

    from napari_unet.annotation.reviews import ImageReviews
    from napari_unet.network.model import Model

if "PYTEST_XDIST_WORKER" in os.environ:  # more threads get in each other's way
    os.environ["OMP_NUM_THREADS"] = "1"
THREADS = int(os.environ.setdefault("OMP_NUM_THREADS", "2"))
ROOT = Path(__file__).parent.parent
SCRATCH = Path(tempfile.mkdtemp(prefix="napari-unet-tests-"))

# All of this is read when napari, Qt or torch is first imported, so it is set here. The
# settings of whoever runs the tests are neither read nor changed.
os.environ["NAPARI_CONFIG"] = str(SCRATCH / "napari.yaml")
os.environ["XDG_CONFIG_HOME"] = str(SCRATCH)
os.environ["NAPARI_ENSURE_PLUGIN_MAIN_THREAD"] = "1"
os.environ.setdefault("NAPARI_UNET_COMPUTE", "thread")  # `apart` tests the process
if shutil.which("Xvfb"):  # pytest-xvfb brings a real canvas: nothing else will do
    os.environ["QT_QPA_PLATFORM"] = "xcb"
    os.environ.pop("WAYLAND_DISPLAY", None)

settings.register_profile("few", deadline=None, max_examples=25)
settings.load_profile("few")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


def pytest_unconfigure() -> None:
    shutil.rmtree(SCRATCH, ignore_errors=True)


@pytest.fixture(autouse=True, scope="module")
def _short_collections() -> None:
    """Let the garbage collector look at what these tests make, and nothing older.

    napari calls it whenever a layer goes: that was half the time of the tests.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _short_lessons() -> list[tuple[Any, str, Any]]:
    """Let steps be as many and as large as toys need: they take most of the time.

    Returns the usual steps: modules, names and values.
    """
    from napari_unet.training import features, fine_tune, head_fit, obey, stacking

    fine_tune._PATCH = 64
    features._REVIEWED = features._OTHER = 1000
    short = [
        (stacking, "_STEPS", 15),
        (obey, "_STEPS", 60),
        (obey, "_SOME", 1000),
        (head_fit, "_STEPS", 40),
    ]
    usual = [(module, name, getattr(module, name)) for module, name, _ in short]
    for about in short:
        setattr(*about)
    return usual


@pytest.fixture
def usual_steps(_short_lessons: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let heads be fitted in as many steps as usual, where a test is about them."""
    for about in _short_lessons:
        monkeypatch.setattr(*about)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """A test that takes more or fewer threads does not slow the next one."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(THREADS)


@pytest.fixture
def tiny_model() -> "Model":
    """A real net with a boundary class that runs in milliseconds, always the same."""
    import torch

    from napari_unet.network.model import Model, UNet, UNetSpec

    classes = ("background", "interior", "boundary")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Model(UNet(UNetSpec(1, classes, width=4, depth=2)).eval())


@pytest.fixture(scope="session")
def bright_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a tiny net: what is bright is interior, and boundary around that."""
    import torch
    from helpers.nets import passing

    from napari_unet.network.model import Model, UNetSpec, save

    classes = ("background", "interior", "boundary")
    net = passing(UNetSpec(1, classes, width=4, depth=2))
    with torch.no_grad():
        net.head.weight[1, 0], net.head.weight[2, 0] = 40, 20
        net.head.bias.copy_(torch.tensor([0.0, -21.0, -9.0]))
    path = tmp_path_factory.mktemp("models") / "bright.safetensors"
    save(Model(net, card={"diameter": 12, "licence": "CC0-1.0"}), path)
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real annotated images; they lie beside a checkout, not in it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real images of {folder}")
    return folder


@pytest.fixture(scope="session")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with nets of which every weight is known."""
    from helpers.window import make_nets

    return make_nets(tmp_path_factory.mktemp("nets"))


@pytest.fixture
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where jobs of docks run: as the environment says, or a test that is for both."""
    name = "NAPARI_UNET_COMPUTE"
    where = str(getattr(request, "param", os.environ.get(name, "thread")))
    monkeypatch.setenv(name, where)
    return where


@pytest.fixture
def window(
    mode: str,
    make_napari_viewer: Callable[..., Any],
    qtbot: Any,
    nets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> "Window":
    """Return a real window with U-Net: Segment and U-Net: Correct."""
    from helpers.window import Window

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return Window(lambda: make_napari_viewer(show=True), qtbot, nets, tmp_path)


@pytest.fixture
def hand(window: "Window") -> "Hand":
    """Return the hand that works in U-Net: Batch, in a window with all docks."""
    from helpers.batch_hand import Hand

    return Hand(window)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder of three files, the second of which is no image."""
    from helpers.batch_hand import write
    from helpers.window import squares

    folder = tmp_path / "my images"
    write(folder / "a.tif", squares())
    (folder / "b.tif").write_bytes(b"II*\0 and no more")
    write(folder / "c.tif", squares((3, 64, 96), 2))
    return folder


@pytest.fixture
def reviews(tmp_path: Path) -> "ImageReviews":
    """Return what was reviewed of a plane of `reviewed.SHAPE`: nothing yet."""
    import numpy as np
    from helpers.reviewed import SHAPE

    from napari_unet.annotation.reviews import ImageReviews
    from napari_unet.io.image import Image
    from napari_unet.project.project import Project

    project = Project.open(tmp_path / "a.unet")
    image = Image("a", np.zeros(SHAPE, np.uint8), "YX")
    return ImageReviews(project, project.add_image(image))
