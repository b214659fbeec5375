"""What a ledger holds ends before the first line that makes no sense."""

import pytest

from napari_unet.batch.ledger import read_ledger


@pytest.mark.parametrize(
    "line",
    [b"{\xff}\n", b"[" * 100_000 + b"\n", b"3\n", b"[]\n", b"\n", b'{"tile": 1'],
    ids=["no text", "deep", "number", "list", "empty", "cut short"],
)
def test_nothing_counts_from_a_damaged_line_on(tmp_path, line) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"tile": 0}\n' + line + b'{"tile": 2}\n')
    assert read_ledger(path) == [{"tile": 0}]


def test_last_line_counts_once_it_is_whole(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"tile": 0}\n{"tile": 1}')
    assert read_ledger(path) == [{"tile": 0}]
