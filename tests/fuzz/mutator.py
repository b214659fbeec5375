"""Damage of every kind, the same for the same seed: bytes, JSON, zips, words."""

import io
import json
import random
import struct
import zipfile
from typing import Any

ODD = (
    *(None, True, False, 0, 1, -1, 3, 255, 2**31, 2**63, -(2**63), 10**30, 0.5, 1e308),
    *(float("nan"), float("inf"), "", "1", "\x00", "../../x", "\udcff", "a" * 3000),
    *([], [[]], {}, {"a": 1}, [1, 2, 3], ["a", "a"], [None], "[" * 2000),
)
WORDS = (
    *("", "0", "1", "-1", "2", "0.5", "nan", "inf", "1e400", "9" * 400, "--", "-o"),
    *("\x1b[2J", "\udcff", "a,b", "a,,b", ",", "TCZYX", "YX", "XYZZY", "700MB", "1TB"),
    *("cuda", "cuda:99", "meta", "bf16", "objects", "nothing.tif", "*.tif", "[", "\n"),
    *("/nonexistent/x.tif", "/dev/null", "x.tif", "x.ome.zarr", "x.safetensors", "."),
)


def mutated_bytes(data: bytes, chance: random.Random) -> bytes:
    """Return some bytes changed, cut, doubled, moved or replaced by extremes."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(len(found) + 1)
        length = min(chance.choice((1, 2, 4, 8, 64)), len(found) - at)
        kind = chance.randrange(6)
        if kind == 0 and at < len(found):
            found[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del found[at : chance.choice((at + length, len(found)))]
        elif kind == 2:
            found[at:at] = found[at : at + length] * chance.choice((1, 50))
        elif kind == 3:
            value = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
            found[at : at + length] = bytes([value]) * length
        elif kind == 4:
            form, bits = chance.choice((("<H", 16), ("<I", 32), (">I", 32), ("<Q", 64)))
            number = chance.choice((0, 1, 2 ** (bits - 1), 2**bits - 1))
            found[at : at + bits // 8] = struct.pack(form, number)
        else:
            found[at : at + length] = chance.randbytes(length)
    return bytes(found)


def mutated_json(text: bytes, chance: random.Random) -> bytes:
    """Return JSON of which a value or a key is another; now and then no JSON."""
    if chance.random() < 0.1:
        return chance.choice((b"[" * 50_000, b"{", b"", b"null", b'"x"', b"[1e999]"))
    about = json.loads(text)
    for _ in range(chance.choice((1, 1, 2))):
        about = _changed(about, chance)
    return json.dumps(about).encode()


def _changed(value: Any, chance: random.Random) -> Any:
    inside = isinstance(value, dict | list) and value and chance.random() < 0.9
    if not inside:
        return chance.choice(ODD)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = chance.choice(keys)
    if chance.random() < 0.1:
        return (
            [v for i, v in enumerate(value) if i != key]
            if isinstance(value, list)
            else {k: v for k, v in value.items() if k != key}
        )
    changed = value.copy()
    changed[key] = _changed(value[key], chance)
    return changed


def mutated_zip(data: bytes, chance: random.Random, texts: set[str]) -> bytes:
    """Return a zip with a member changed, and checksums that fit it.

    Parameters
    ----------
    texts
        Members that are arrays of the bytes of JSON.
    """
    if chance.random() < 0.3:
        return mutated_bytes(data, chance)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = chance.choice(list(members))
    if chance.random() < 0.05:
        del members[name]
    elif name in texts and chance.random() < 0.8:
        text = mutated_json(members[name][128:], chance)
        head = members[name][:128].replace(
            str(len(members[name]) - 128).encode(), str(len(text)).encode(), 1
        )
        members[name] = head[:127][: 128 - 1].ljust(127) + b"\n" + text
    else:
        members[name] = mutated_bytes(members[name], chance)
    out = io.BytesIO()
    kinds = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2
    with zipfile.ZipFile(out, "w", chance.choice((*kinds, zipfile.ZIP_LZMA))) as file:
        for member, content in members.items():
            file.writestr(member, content)
    packed = out.getvalue()
    return mutated_bytes(packed, chance) if chance.random() < 0.2 else packed


def mutated_tensors(data: bytes, key: str, chance: random.Random) -> bytes:
    """Return safetensors of which bytes, the table, or the JSON under `key` changed."""
    kind = chance.randrange(3)
    if kind == 0:
        return mutated_bytes(data, chance)
    length = int.from_bytes(data[:8], "little")
    head, rest = data[8 : 8 + length], data[8 + length :]
    if kind == 1:
        head = mutated_json(head, chance)
    else:
        about = json.loads(head)
        text = mutated_json(about["__metadata__"][key].encode(), chance)
        about["__metadata__"][key] = text.decode()
        head = json.dumps(about).encode()
    return len(head).to_bytes(8, "little") + head + rest


def mutated_words(words: list[str], chance: random.Random) -> list[str]:
    """Return a command line with words replaced, left out or added."""
    found = list(words)
    for _ in range(chance.choice((1, 1, 2, 3))):
        at = chance.randrange(len(found) + 1)
        kind = chance.randrange(4)
        if kind == 0 and at < len(found):
            del found[at]
        elif kind == 1:
            found.insert(at, chance.choice(WORDS))
        else:
            found[at : at + 1] = [chance.choice(WORDS)]
    return found
