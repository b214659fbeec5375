"""How fast `segment` is, side by side with what others do and with the bare net.

    python benchmarks/inference.py [--cases 2048] [--widths 16 32] [--all] [--json FILE]

The same weights see the same pixels in one process, warm, in turn; the table gives
medians.

ours             all that a user waits for: intensities, tiles, classes, objects
ours_classes     the same without objects, as the others end
monai_documented MONAI's sliding_window_inference: windows of 512, overlap 0.25,
                 Gaussian, float32
monai_ours       the same, given our net (folded, channels last, fast dtype) and window
naive            a loop: windows of 512, half of them overlap, float32, averaged
floor            the bare net, ours, over exactly the image's pixels: the best of pieces
                 of 512, 1024, 2048 and the whole, at once or in blocks; no halo, no
                 labels

The others are given pixels that are scaled already, and end with classes, without
objects. Width 16 is the shipped model; wider ones are the same with every channel in
copies, so that they find the same nuclei. `agreement` is the part of pixels whose class
is that of one float32 pass over the whole plane.

The package makes PyTorch take huge pages of memory, and MONAI gains by that in the same
process. THP_MEM_ALLOC_ENABLE=0 takes them from both: MONAI as its own users have it.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet.io.image import Image
from napari_unet.io.open import open_image
from napari_unet.network.autocast import fast_dtype
from napari_unet.network.model import Model, UNet, load
from napari_unet.network.predictor import Predictor, engine
from napari_unet.options import SegmentOptions
from napari_unet.sample_data import sample_path
from napari_unet.segmentation.inputs import model_input
from napari_unet.segmentation.predict import segment

try:
    from monai.inferers import sliding_window_inference
except ImportError:
    sliding_window_inference = None

CASES = {"2048": (2048, 2048), "8192": (8192, 8192), "stack": (64, 1024, 1024)}
WIDTHS = (16, 32, 64)
METHODS = ("ours", "ours_classes", "monai_documented", "monai_ours", "naive")
ABSENT = (
    "MONAI is not installed, so its rows are left out. Get it beside this package with "
    "`pip install --no-deps monai`, or into a folder of its own with `pip install "
    "--no-deps --target DIR monai` and PYTHONPATH=DIR."
)
WHOLE = 4096**2  # pixels of a plane that fits the memory at once

Classes = NDArray[np.uint8]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Task:
    """What every method is given: pixels (P, 1, Y, X) float32, scaled already."""

    image: Image
    pixels: NDArray[np.float32]
    model: Model
    run: Predictor

    @property
    def device(self) -> str:
        return str(self.run.device)


def picture(shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Return the sample image, mirrored until it fills `shape`."""
    data = np.asarray(open_image(sample_path("nuclei")).data)
    more = [n - have for n, have in zip(shape[-2:], data.shape, strict=True)]
    plane = np.pad(data, [(0, n) for n in more], mode="symmetric")
    return np.broadcast_to(plane, shape).copy()


def widened(model: Model, width: int) -> Model:
    """Return `model` with every channel in copies: wider, and the same function."""
    times = width // model.spec.width
    net = UNet(replace(model.spec, width=width))
    state = {}
    for name, new in net.state_dict().items():
        old = model.net.state_dict()[name]
        for axis, (want, have) in enumerate(zip(new.shape, old.shape, strict=True)):
            if want != have:
                old = old.repeat_interleave(want // have, axis)
                # Copies of what a convolution reads must not count more than once.
                into = 0 if name.startswith("up.") else 1
                old = old / times if axis == into and old.dim() == 4 else old
        state[name] = old
    net.load_state_dict(state)
    return replace(model, net=net.eval())


def last(job: object) -> object:
    """Run a generator to its end; return its result."""
    while True:
        try:
            next(job)
        except StopIteration as stop:
            return stop.value


def ours(task: Task, **options: object) -> object:
    return last(
        segment(task.model, task.image, SegmentOptions(device=task.device, **options))
    )


def at_once(net: torch.nn.Module, dtype: torch.dtype, x: torch.Tensor) -> torch.Tensor:
    x = x.to(dtype).contiguous(memory_format=torch.channels_last)
    return net(x)


def classes_of(
    task: Task, plane_logits: Callable[[torch.Tensor], torch.Tensor]
) -> Classes:
    """Return the classes of all planes, from logits (1, K, Y, X) of one at a time."""
    found = np.empty((len(task.pixels), *task.pixels.shape[2:]), np.uint8)
    fast = task.run.device.type == "cuda"  # what people who know would switch on
    with torch.inference_mode(), torch.autocast("cuda", enabled=fast):
        for plane, out in zip(task.pixels, found, strict=True):
            x = torch.from_numpy(plane[None]).to(task.run.device)
            out[:] = plane_logits(x)[0].argmax(0).to(torch.uint8).cpu().numpy()
    return found


def monai_documented(task: Task) -> Classes:
    net = task.model.net.to(task.device)
    return classes_of(
        task,
        lambda x: sliding_window_inference(
            x, (512, 512), 1, net, overlap=0.25, mode="gaussian"
        ),
    )


def monai_ours(task: Task, window: tuple[int, int]) -> Classes:
    run = task.run
    return classes_of(
        task,
        lambda x: sliding_window_inference(
            x,
            window,
            1,
            lambda part: at_once(run.net, run.dtype, part).float(),
            overlap=0.25,
            mode="gaussian",
        ),
    )


def naive(task: Task) -> Classes:
    net, side, step = task.model.net.to(task.device), 512, 256

    def logits(x: torch.Tensor) -> torch.Tensor:
        total = torch.zeros(1, len(task.model.spec.classes), *x.shape[2:])
        count = torch.zeros(x.shape[2:])
        total, count = total.to(x.device), count.to(x.device)
        for top in range(0, x.shape[2] - step, step):
            for left in range(0, x.shape[3] - step, step):
                box = slice(top, top + side), slice(left, left + side)
                total[(..., *box)] += net(x[(..., *box)])
                count[box] += 1
        return total / count

    return classes_of(task, logits)


def bare(task: Task, piece: int, blocks: bool) -> None:
    """Run the net over exactly the image's pixels, in pieces without halo."""
    run = task.run
    with torch.inference_mode():
        for plane in task.pixels:
            for y in range(0, plane.shape[1], piece):
                for x in range(0, plane.shape[2], piece):
                    part = plane[:, y : y + piece, x : x + piece]
                    if blocks:
                        last(run.steps(np.ascontiguousarray(part)))
                    else:
                        pixels = torch.from_numpy(part[None]).to(run.device)
                        at_once(run.net, run.dtype, pixels).cpu()


def floors(task: Task) -> dict[str, Callable[[], None]]:
    """Return the ways of running the bare net, by name."""
    side = task.pixels.shape[-1]
    found: dict[str, Callable[[], None]] = {}
    for piece in (512, 1024, 2048, side):
        if piece <= side and piece**2 <= WHOLE:
            found[f"pieces of {piece}"] = lambda piece=piece: bare(task, piece, False)
            if task.run.device.type == "cpu":
                found[f"blocks in {piece}"] = lambda piece=piece: bare(
                    task, piece, True
                )
    return found


def exact(task: Task) -> Classes:
    """Return the classes of one float32 pass over each plane, or in exact tiles."""
    if task.pixels[0].size > WHOLE:
        result = ours(task, output="classes", precision="fp32")
        return np.asarray(result.labels).reshape(len(task.pixels), *result.labels.shape)
    net = task.model.net.to(task.device)
    return classes_of(task, net)


def measure(
    case: str, model: Model, device: str, repeats: int, clock: Clock, methods: list[str]
) -> list[dict[str, object]]:
    """Return one row per method, from interleaved repetitions."""
    image = Image("benchmark", picture(CASES[case]), "ZYX"[-len(CASES[case]) :])
    source = model_input(model, image, SegmentOptions())
    intensities, whole = source.intensities(), tuple(slice(0, n) for n in source.shape)
    pixels = np.stack([source.read(p, whole, intensities)[0] for p in image.planes()])
    task = Task(image, pixels, model, engine(model, device))
    window = ours(task).tile  # warm
    calls: dict[str, Callable[[], object]] = {
        "ours": lambda: ours(task),
        "ours_classes": lambda: ours(task, output="classes").labels,
        "monai_documented": lambda: monai_documented(task),
        "monai_ours": lambda: monai_ours(task, window),
        "naive": lambda: naive(task),
    }
    calls = {name: calls[name] for name in methods} | floors(task)
    taken: dict[str, list[float]] = {name: [] for name in calls}
    found: dict[str, object] = {}
    for _ in range(repeats):
        for name, call in calls.items():
            began = clock()
            found[name] = call()
            taken[name].append(clock() - began)
    seconds = {name: statistics.median(values) for name, values in taken.items()}
    best = min(seconds.keys() - set(METHODS), key=seconds.__getitem__)
    truth = exact(task)
    found["ours"] = ours(task, output="classes").labels
    fast = f"torch {str(task.run.dtype).removeprefix('torch.')}"
    engines = {name: f"{fast}, {name}" for name in calls}
    mine = f"{fast}, window {window[0]} x {window[1]}"
    engines |= {"ours": mine, "ours_classes": mine}
    engines |= {"monai_ours": fast}
    engines |= dict.fromkeys(("monai_documented", "naive"), "torch float32")
    rows = []
    for name in (*methods, best):
        other = seconds.get("monai_documented")
        labels = found[name]
        rows.append(
            {
                "case": case,
                "width": model.spec.width,
                "method": name if name in METHODS else "floor",
                "engine": f"{engines[name]} on {task.device}",
                "seconds": round(seconds[name], 4),
                "mpx_s": round(task.pixels.size / 1e6 / seconds[name], 3),
                "ratio_to_floor": round(seconds[name] / seconds[best], 3),
                "ratio_to_monai": other and round(other / seconds[name], 3),
                "agreement": None
                if labels is None
                else round(
                    float((np.asarray(labels).reshape(truth.shape) == truth).mean()), 6
                ),
            }
        )
    return rows


def show(rows: list[dict[str, object]]) -> None:
    print(
        "| case | width | method | engine | s | Mpx/s | / floor | x MONAI | agreement |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        cells = ["" if value is None else str(value) for value in row.values()]
        print("| " + " | ".join(cells) + " |")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=["2048"])
    parser.add_argument(
        "--widths", nargs="+", type=int, choices=WIDTHS, default=[16, 32]
    )
    parser.add_argument("--all", action="store_true", help="all cases and widths")
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=METHODS,
        default=METHODS,
        help="beside the floor",
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: this process's share, for one thread on a machine that others use",
    )
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    methods = [m for m in METHODS if m in {"ours", *args.methods}]
    if sliding_window_inference is None:
        print(ABSENT)
        methods = [m for m in methods if not m.startswith("monai")]
    clock = time.perf_counter if args.clock == "wall" else time.process_time
    shipped = load("nuclei")
    rows = [
        row
        for case in (CASES if args.all else args.cases)
        for width in (WIDTHS if args.all else args.widths)
        for row in measure(
            case, widened(shipped, width), args.device, args.repeats, clock, methods
        )
    ]
    show(rows)
    if args.json:
        bf16 = fast_dtype(torch.device("cpu")) == torch.bfloat16
        args.json.write_text(json.dumps({"cpu_bf16": bf16, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
