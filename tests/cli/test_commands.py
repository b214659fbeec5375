import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from helpers.processes import CLI, Forked

from napari_unet import __version__
from napari_unet.cli import commands

SIZE = 96
DISCS = 16
COMMAND = (sys.executable, "-m", "napari_unet.cli")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny model that finds what is bright; beside it, files that are no models."""
    import safetensors.torch
    import torch
    from helpers.nets import passing

    from napari_unet.network.model import Model, UNetSpec, save

    classes = ("background", "interior", "boundary")
    net = passing(UNetSpec(1, classes, width=4, depth=2))
    with torch.no_grad():
        net.head.weight[1, 0] = 20
        net.head.bias.copy_(torch.tensor([0.0, -10.0, -20.0]))
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    card = {"licence": "CC0-1.0", "data": ["made up"], "diameter": 12}
    save(Model(net, card=card), path)
    path.with_name("damaged.safetensors").write_bytes(path.read_bytes()[:200])
    path.with_name("pickle.pt").write_bytes(pickle.dumps({"weights": 1}))
    safetensors.torch.save_file(
        {"w": torch.zeros(2)}, path.with_name("foreign.safetensors")
    )
    return path


@pytest.fixture
def image(tmp_path):
    """A small 16-bit image with bright discs and a pixel size."""
    return write_image(tmp_path / "cells.tif")


def write_image(path, size=SIZE):
    y, x = np.mgrid[:size, :size]
    discs = ((y % 24 - 12) ** 2 + (x % 24 - 12) ** 2 < 60) * 900 + 100
    noise = np.random.default_rng(0).normal(0, 10, discs.shape)
    tifffile.imwrite(
        path,
        (discs + noise).astype(np.uint16),
        imagej=True,
        resolution=(4, 4),
        metadata={"unit": "um", "axes": "YX"},
    )
    return path


def run(*words):
    """Run the command in this process and return its exit code."""
    return commands.main([str(word) for word in words])


def spawn(*words):
    """Run the command in a process of its own, in pipes."""
    words = [*COMMAND, *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        words, capture_output=True, text=True, timeout=120, env=environment, check=False
    )


def test_importing_it_loads_nothing_heavy():
    code = "import sys, napari_unet.cli; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"torch", "napari", "qtpy", "numpy", "zarr", "skimage", "tifffile"}
    assert not heavy & set(done.stdout.split())
    assert "typer" in done.stdout.split()


def test_help_lists_the_commands(capsys):
    assert run("--help") == 0
    said = capsys.readouterr().out
    for command in ("segment", "info", "demo"):
        assert f"\n  {command} " in said


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"napari-unet {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["segment"],
        ["segment", "a.tif"],
        ["segment", "a.tif", "-o", "b.tif", "--tile", "big"],
        ["segment", "a.tif", "-o", "b.tif", "--output", "contours"],
        ["segmet"],
        ["info", "--nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2_and_says_so_on_stderr(words, capsys):
    assert run(*words) == 2
    said = capsys.readouterr()
    assert "Error: " in said.err
    assert not said.out


def test_segment_writes_labels_with_the_images_pixel_size(image, model, capsys):
    out = image.with_name("labels.tif")
    assert run("segment", image, "-o", out, "--model", model) == 0
    said = capsys.readouterr()
    labels = tifffile.imread(out)
    assert labels.shape == (SIZE, SIZE)
    assert labels.max() == len(np.unique(labels[labels > 0])) == DISCS
    assert said.out.startswith(f"{DISCS} objects in cells.tif · ")
    assert " s · " in said.out
    with tifffile.TiffFile(out) as file:
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
    assert float(pixels["PhysicalSizeX"]) == pytest.approx(0.25)
    assert sorted(p.name for p in image.parent.iterdir()) == ["cells.tif", "labels.tif"]


def test_json_is_one_object_on_one_line_of_stdout(image, model):
    out = image.with_name("labels.tif")
    done = spawn("segment", image, "-o", out, "--model", model, "--json")
    assert done.returncode == 0
    assert done.stderr == ""  # no bar in a pipe, no warnings
    assert done.stdout.count("\n") == 1
    about = json.loads(done.stdout)
    assert about["objects"] == tifffile.imread(out).max() == DISCS
    assert about["shape"] == [SIZE, SIZE]
    assert about["axes"] == "YX"
    assert about["device"].split(":")[0] in {"cpu", "cuda", "mps"}
    assert about["model"] == "tiny"
    assert about["output"] == str(out)
    assert about["version"] == __version__
    assert len(about["tile"]) == 2
    assert about["notes"] == []
    assert about["megapixels_per_second"] == pytest.approx(
        SIZE**2 / 1e6 / about["seconds"], rel=0.05
    )
    assert 50 < about["peak_rss_mb"] < 4000


def test_probabilities_have_a_named_channel_for_each_class(image, model, capsys):
    out = image.with_name("p.tif")
    words = ["segment", image, "-o", out, "--model", model, "--json"]
    assert run(*words, "--output", "probabilities") == 0
    about = json.loads(capsys.readouterr().out)
    p = tifffile.imread(out)
    assert about["objects"] is None
    assert about["axes"] == "CYX"
    assert about["shape"] == list(p.shape) == [3, SIZE, SIZE]
    np.testing.assert_allclose(p.astype(float).sum(0), 1, atol=5e-3)
    with tifffile.TiffFile(out) as file:
        assert "boundary" in file.ome_metadata


def test_classes_to_an_ome_zarr_of_a_stack(tmp_path, model, capsys):
    import zarr

    path = tmp_path / "movie.tif"
    stack = np.random.default_rng(1).integers(0, 200, (2, 40, 50), np.uint8)
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "TYX"})
    out = tmp_path / "movie.ome.zarr"
    assert run("segment", path, "-o", out, "--model", model, "--output", "classes") == 0
    assert capsys.readouterr().out.startswith("Classes of movie.tif · ")
    classes = zarr.open_group(out, mode="r")["0"]
    assert classes.shape == (2, 40, 50)
    assert int(np.max(classes[:])) <= 2


def test_a_stack_is_joined_through_z(tmp_path, image, model, capsys):
    path, out = tmp_path / "stack.tif", tmp_path / "labels.tif"
    stack = np.stack([tifffile.imread(image)] * 3)
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "ZYX"})
    words = ["segment", path, "-o", out, "--model", model]
    assert run(*words, "--link-z") == 0
    assert capsys.readouterr().out.startswith(f"{DISCS} objects in stack.tif · ")
    labels = tifffile.imread(out)
    assert labels.max() == DISCS
    assert (labels == labels[0]).all()
    assert run(*words, "--link-z", "--output", "classes", "--overwrite") == 2
    assert (
        "choose objects as the output (--link-z, --output)." in capsys.readouterr().err
    )


def test_a_channel_is_chosen_by_index_or_name(tmp_path, model, capsys):
    path = tmp_path / "two.ome.tif"
    planes = np.random.default_rng(2).integers(0, 999, (2, SIZE, SIZE), np.uint16)
    metadata = {"axes": "CYX", "Channel": {"Name": ["GFP", "DAPI"]}}
    tifffile.imwrite(path, planes, metadata=metadata)
    results = []
    for channel in ("0", "1", "DAPI"):
        out = tmp_path / f"{channel}.tif"
        words = ["segment", path, "-o", out, "--model", model, "--output", "classes"]
        assert run(*words, "--channel", channel) == 0
        results.append(tifffile.imread(out))
    assert np.array_equal(results[1], results[2])
    assert not np.array_equal(results[0], results[1])


def test_options_reach_the_work(image, model, capsys):
    out = image.with_name("labels.tif")
    words = ["segment", image, "-o", out, "--model", model, "--json", "--overwrite"]
    counts = []
    for size in (0, 10**6):
        assert run(*words, "--tile", 64, "--min-size", size) == 0
        about = json.loads(capsys.readouterr().out)
        assert about["tile"] == [64, 64]
        counts.append(about["objects"])
    assert counts == [DISCS, 0]


def test_objects_of_which_the_model_is_not_sure_are_dropped(
    image, model, capsys, tmp_path
):
    pixels = tifffile.imread(image)
    pixels[:24, :24][pixels[:24, :24] > 500] = 600  # one that is hardly bright enough
    tifffile.imwrite(image, pixels)
    words = ["segment", image, "--model", model, "--json"]
    counts = []
    for least in (0, 0.5, 0.9):
        out = tmp_path / f"{least}.tif"
        assert run(*words, "-o", out, "--min-score", least) == 0
        counts.append(json.loads(capsys.readouterr().out)["objects"])
    assert counts == [DISCS, DISCS, DISCS - 1]
    labels = tifffile.imread(out)
    assert not labels[:24, :24].any()
    assert np.unique(labels).tolist() == list(range(DISCS))
    assert run(*words, "-o", tmp_path / "no.tif", "--min-score", 60) == 2
    said = capsys.readouterr().err
    assert "min_score is 60.0; it must be 0 to 1 (--min-score)." in said


def test_overwrite_replaces_the_old_result(image, model):
    out = image.with_name("labels.tif")
    out.write_bytes(b"old")
    words = ["segment", image, "-o", out, "--model", model]
    assert run(*words) == 2
    assert out.read_bytes() == b"old"
    assert run(*words, "--overwrite") == 0
    assert tifffile.imread(out).shape == (SIZE, SIZE)


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(np.full((SIZE, SIZE), 7, np.uint8), id="constant"),
        pytest.param(np.full((SIZE, SIZE), np.nan, np.float32), id="nan"),
        pytest.param(np.zeros((3, 5), np.uint16), id="smaller than the net's stride"),
        pytest.param(np.ones((1, 1), np.float64), id="one pixel"),
    ],
)
def test_odd_images_are_no_errors(pixels, tmp_path, model):
    tifffile.imwrite(tmp_path / "odd.tif", pixels)
    out = tmp_path / "labels.tif"
    assert run("segment", tmp_path / "odd.tif", "-o", out, "--model", model) == 0
    assert tifffile.imread(out).shape == pixels.shape


# Bad input. Each case makes the files it needs in a folder and returns the words that
# follow `segment`; the sentence must hold every one of the texts.


def text_file(folder, model):
    (folder / "notes.tif").write_text("these are my notes, not an image")
    return [folder / "notes.tif"]


def truncated(folder, model):
    path = write_image(folder / "cut.tif")
    path.write_bytes(path.read_bytes()[:4000])
    return [path]


def empty_file(folder, model):
    (folder / "empty.tif").touch()
    return [folder / "empty.tif"]


def zero_axis(folder, model):
    import zarr

    zarr.create_array(folder / "none.zarr", shape=(0, 8), chunks=(1, 8), dtype="u1")
    return [folder / "none.zarr"]


def no_zarr(folder, model):
    (folder / "photos").mkdir()
    return [folder / "photos"]


def unreadable(folder, model):
    path = write_image(folder / "secret.tif")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    return [path]


def unknown_axes(folder, model):
    data = np.zeros((2, 3, 8, 8), np.uint8)
    tifffile.imwrite(folder / "odd.tif", data, metadata={"axes": "HRYX"})
    return [folder / "odd.tif"]


def two_channels(folder, model):
    data = np.zeros((2, 8, 8), np.uint8)
    tifffile.imwrite(folder / "two.ome.tif", data, metadata={"axes": "CYX"})
    return folder / "two.ome.tif"


def huge(folder, model):
    import zarr

    shape = (10**6, 10**6)
    zarr.create_array(folder / "huge.zarr", shape=shape, chunks=(512, 512), dtype="u1")
    return [folder / "huge.zarr"]


def good(folder):
    return write_image(folder / "cells.tif")


def onto_itself(folder, model):
    return [good(folder), "-o", folder / "." / "cells.tif", "--overwrite"]


def around_itself(folder, model):
    inside = folder / "all.ome.zarr"
    inside.mkdir()
    return [good(inside), "-o", inside, "--overwrite"]


def existing(folder, model):
    (folder / "there.tif").write_bytes(b"mine")
    return [good(folder), "-o", folder / "there.tif"]


def unwritable(folder, model):
    locked = folder / "locked"
    locked.mkdir(mode=0o500)
    if os.access(locked, os.W_OK):
        locked = Path("/proc")
    if not locked.is_dir():
        pytest.skip("this user may write everywhere")
    return [good(folder), "-o", locked / "x.tif"]


def with_words(*words):
    return lambda folder, model: [good(folder), *words]


def with_model(name):
    return lambda folder, model: [good(folder), "--model", model.with_name(name)]


BAD = {
    "missing": (lambda f, m: [f / "gone.tif"], ["gone.tif"]),
    "not an image": (text_file, ["notes.tif"]),
    "truncated": (truncated, ["cut.tif", "cut off"]),
    "empty file": (empty_file, ["empty.tif", "empty"]),
    "zero-size axis": (zero_axis, ["none", "length 0"]),
    "no zarr": (no_zarr, ["photos"]),
    "permission": (unreadable, ["secret.tif"]),
    "unknown axes": (unknown_axes, ["odd.tif", "as in TZYX (--axes)."]),
    "axes do not fit": (with_words("--axes", "TZYX"), ["cells.tif", "TZYX"]),
    "which channel": (
        lambda f, m: [two_channels(f, m)],
        ["two", "channel (--channel)."],
    ),
    "no such channel": (
        lambda f, m: [two_channels(f, m), "--channel", "7"],
        ["two", "channel 7"],
    ),
    "no such channel name": (
        lambda f, m: [two_channels(f, m), "--channel", "DAPI"],
        ["two", "'DAPI'"],
    ),
    "unknown model": (with_words("--model", "neurons"), ["'neurons'"]),
    "foreign model": (with_model("foreign.safetensors"), ["foreign.safetensors"]),
    "damaged model": (with_model("damaged.safetensors"), ["damaged.safetensors"]),
    "pickle": (with_model("pickle.pt"), ["pickle.pt", "run code"]),
    "no such device": (with_words("--device", "cuda:99"), ["'cuda:99'"]),
    "no such device kind": (with_words("--device", "toaster"), ["'toaster'"]),
    "memory too small": (with_words("--memory", "1KB"), ["MB", "(--memory)."]),
    "no memory": (with_words("--memory", "lots"), ["'lots'", "2GB"]),
    "two scales": (with_words("--diameter", "9", "--scale", "2"), ["diameter"]),
    "threshold": (with_words("--threshold", "2"), ["threshold", "2"]),
    "no output folder": (with_words("-o", "gone/x.tif"), ["x.tif", "gone"]),
    "output kind": (with_words("-o", "labels.docx"), ["labels.docx", ".tif"]),
    "output exists": (existing, ["there.tif", "replaced (--overwrite)."]),
    "output not writable": (unwritable, ["x.tif"]),
    "output is the image": (onto_itself, ["cells.tif", "itself"]),
    "output holds the image": (around_itself, ["all.ome.zarr", "itself"]),
    "no room": (huge, ["free"]),
}


def snapshot(folder):
    return {
        path: path.stat().st_size if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing_behind(
    case, as_json, tmp_path, model, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    make, texts = BAD[case]
    words = make(tmp_path, model)
    words += [] if "-o" in words else ["-o", tmp_path / "labels.tif"]
    words += [] if "--model" in words else ["--model", model]
    before = snapshot(tmp_path)
    assert run("segment", *words, *["--json"] * as_json) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Error: ")
    assert said.err.count("\n") == 1
    for text in texts:
        assert text in said.err
    assert snapshot(tmp_path) == before


REWRITE = """
import shutil, sys
from napari_unet import cli
from napari_unet.segmentation import predict
class Rewriting(predict._Job):  # another program writes when the first plane is done
    def _finished(self, *about):
        shutil.copy(sys.argv[2], sys.argv[1])
        return super()._finished(*about)
predict._Job = Rewriting
sys.exit(cli.main(["segment", sys.argv[1], *sys.argv[3:]]))
"""


@pytest.mark.parametrize("kind", ["tif", "zarr"])
def test_image_that_changes_meanwhile_gives_no_result(kind, tmp_path, model):
    stack = tmp_path / f"stack.{kind}"
    other = tmp_path / "other"
    pixels = np.zeros((3, 64, 64), np.uint16)
    if kind == "tif":
        about = {"imagej": True, "metadata": {"axes": "ZYX"}}
        tifffile.imwrite(stack, pixels, **about)
        tifffile.imwrite(other, pixels + 900, **about)
        changed = stack
    else:
        zarr.create_array(stack, data=pixels, chunks=(1, 64, 64))
        changed = stack / "zarr.json"
        other.write_text(changed.read_text() + " ")
    words = [changed, other, "-o", tmp_path / "x.tif", "--model", model]
    script = REWRITE.replace('"segment", sys.argv[1]', f'"segment", {str(stack)!r}')
    job = Forked(script, *words)
    _, said = job.end()
    assert f"stack.{kind} was changed after it was opened" in said
    assert job.returncode == 2
    assert not (tmp_path / "x.tif").exists()


def test_bad_input_exits_2_with_one_line_in_a_process_of_its_own(tmp_path, model):
    words = truncated(tmp_path, model)
    out = tmp_path / "x.tif"
    job = Forked(CLI, "segment", *words, "-o", out, "--model", model)
    said, error = job.end()
    assert (job.returncode, said) == (2, "")
    assert error.startswith("Error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("trace", ["0", "1"])
def test_a_foreign_error_becomes_a_sentence(trace, tmp_path):
    (tmp_path / "torch.py").write_text("raise RuntimeError('broken build')")
    path = os.pathsep.join([str(tmp_path), str(Path(commands.__file__).parents[2])])
    environment = {**os.environ, "PYTHONPATH": path, "NAPARI_UNET_TRACEBACK": trace}
    done = subprocess.run(
        [*COMMAND, "info", "nuclei"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 2
    assert "RuntimeError: broken build" in done.stderr
    assert "report" in done.stderr
    assert ("Traceback" in done.stderr) == (trace == "1")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_terminal_shows_a_bar_and_ctrl_c_leaves_nothing_behind(tmp_path, model):
    import pty

    write_image(tmp_path / "big.tif", 3000)
    out = tmp_path / "labels.tif"
    words = ["segment", "big.tif", "-o", out, "--model", model, "--tile", 64]
    words += ["--precision", "fp32"]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm"}
    environment["PYTHONPATH"] = str(Path(commands.__file__).parents[2])
    process = subprocess.Popen(
        [*COMMAND, *map(str, words)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    try:
        while b"segmenting" not in seen:  # a hang ends at pytest's time limit
            seen += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        while chunk := _read(ours):
            seen += chunk
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.communicate()
        os.close(ours)
    assert b"%" in seen
    assert b"Cancelled; no result was written." in seen
    assert [path.name for path in tmp_path.iterdir()] == ["big.tif"]


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says so when the other end is closed
        return b""


def test_info_describes_a_model_file(model, capsys):
    assert run("info", model) == 0
    said = capsys.readouterr().out
    assert "background, interior, boundary" in said
    assert "CC0-1.0" in said
    assert "7,487" in said


def test_info_as_json_with_shapes(model, capsys):
    assert run("info", model, "--shapes", "--size", 64, "--json") == 0
    said = capsys.readouterr()
    assert said.out.count("\n") == 1
    about = json.loads(said.out)
    assert about["channels"] == 1
    assert about["diameter"] == 12
    shapes = {row["name"]: row["shape"] for row in about["shapes"]}
    assert shapes["bottleneck"] == [16, 16, 16]
    assert sum(row["parameters"] for row in about["shapes"]) == about["parameters"]


def test_info_draws_the_table_of_shapes_whole(model):
    job = Forked(CLI, "info", model, "--shapes", "--size", 64)
    said, _ = job.end()
    assert job.returncode == 0
    assert "32 x 32 x (8+8)" in said
    assert "7,487" in said.splitlines()[-2]


def test_info_without_a_model_lists_what_ships(capsys):
    from napari_unet.network.model import shipped

    assert run("info", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"models": list(shipped())}


@pytest.mark.parametrize(
    ("words", "text"),
    [(["neurons"], "'neurons'"), (["MODEL", "--size", "9"], "multiple of 4")],
)
def test_info_refuses_what_does_not_exist(words, text, model, capsys):
    assert run("info", *[str(model) if w == "MODEL" else w for w in words]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can have no display")
def test_demo_without_any_display_says_what_to_install(tmp_path):
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    environment = {k: v for k, v in os.environ.items() if k not in screens}
    environment["PATH"] = str(tmp_path)
    done = subprocess.run(
        [*COMMAND, "demo", "--headless", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 2
    assert "apt install xvfb" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_headless_demo_writes_picture_labels_and_figures(tmp_path):
    from napari_unet.network.model import shipped

    if "nuclei" not in shipped():
        pytest.skip("the shipped model is not in this tree")
    folder = tmp_path / "a folder" / "of its own"
    done = spawn("demo", "--headless", folder)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures == json.loads((folder / "result.json").read_text())
    assert figures["dice"] >= 0.9
    assert figures["objects"] == tifffile.imread(folder / "labels.tif").max()
    assert (folder / "screenshot.png").stat().st_size > 50_000
