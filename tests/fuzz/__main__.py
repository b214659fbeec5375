"""`make fuzz`: so many damaged inputs, in processes that are watched.

    python -m fuzz [COUNT] [FIRST]

Ends with 1 if anything but a sentence came out of one, if one took more than 5 seconds,
or more than 1 GB. A process that hangs, or dies, is replaced, and its input named.
"""

import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil

SECONDS = 5.0  # of a processor's time, whatever else this computer does meanwhile
IDLE = 60.0  # seconds in which nothing at all comes out
START = 60.0  # seconds until the libraries are loaded
BYTES = 10**9
FRESH = 2000  # inputs until a process is replaced, so that nothing adds up in it


def work(folder: str, first: int, last: int) -> None:
    """Run the inputs, and print a line before and after each of them."""
    import psutil

    from fuzz.targets import Escape, Ground

    out = os.fdopen(os.dup(1), "w", buffering=1)
    ground = Ground.make(Path(folder))
    own = psutil.Process()
    out.write("ready\n")
    for number in range(first, last):
        out.write(f"begin {number}\n")
        try:
            said = f"end {ground.run(number)}"
        except Escape as escape:
            said = " ".join(f"escape {escape}".split())
        out.write(said.encode(errors="backslashreplace").decode() + "\n")
        if own.memory_info().rss > BYTES:
            out.write(f"large {number}\n")


class Watch:
    """Inputs in processes of their own, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: Counter[str] = Counter()
        self.found: list[str] = []

    def run(self, first: int, last: int) -> None:
        """Run the inputs from `first` to before `last`, whatever they do."""
        while first < last:
            end = min(last, first + FRESH)
            for line in self._lines(first, end):
                kind, _, rest = line.partition(" ")
                if kind == "begin":
                    first = int(rest) + 1
                elif kind == "end":
                    self.counts[rest.strip("_")] += 1
                elif kind != "ready":
                    self.found.append(line)
                    sys.stdout.write(f"{line}\n")

    def _lines(self, first: int, last: int) -> Iterator[str]:
        place = self.folder / str(first)
        words = [sys.executable, "-m", "fuzz", "--work", place, first, last]
        with subprocess.Popen(
            list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as job:
            assert job.stdout is not None
            own, rest, doing = psutil.Process(job.pid), b"", "the start"
            since, used = time.monotonic() + START, START
            while True:
                if not select.select([job.stdout], [], [], 0.5)[0]:
                    idle = time.monotonic() - since > IDLE
                    if idle or sum(own.cpu_times()[:2]) - used > SECONDS:
                        job.kill()
                        yield f"hang after '{doing}'"
                        return
                    continue
                chunk = os.read(job.stdout.fileno(), 65536)
                if not chunk:
                    break
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    doing = line.decode()
                    yield doing
                since, used = time.monotonic(), sum(own.cpu_times()[:2])
            if job.wait():
                yield f"death after '{doing}': {job.returncode}"


def main(words: list[str]) -> int:
    """Run what the command line asks for, and return the exit code."""
    if words[:1] == ["--work"]:
        work(words[1], int(words[2]), int(words[3]))
        return 0
    count = int(words[0]) if words else 10**5
    first = int(words[1]) if words[1:] else 0
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="napari-unet-fuzz-") as folder:
        watch = Watch(Path(folder))
        watch.run(first, first + count)
    kinds = Counter(line.split()[0] for line in watch.found)
    each = ", ".join(f"{n} {name}" for name, n in sorted(watch.counts.items()))
    sys.stdout.write(
        f"{count} inputs in {time.perf_counter() - began:.0f} s ({each}): "
        f"{kinds['escape']} escapes, {kinds['hang']} hangs, {kinds['death']} deaths, "
        f"{kinds['large']} over 1 GB\n"
    )
    return 1 if watch.found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
