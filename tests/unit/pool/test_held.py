# SPDX-License-Identifier: Apache-2.0
"""The file of blocks: whole or absent, and believed only where it can be."""

from __future__ import annotations

import json
import os
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest

from cni_common.pool import held
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from pathlib import Path

POOLS = ("10.64.0.0/10", "fd00:64::/40")
BLOCKS = ("10.64.3.0/26", "fd00:64:0:3::/112")


def networks(*texts: str) -> tuple[Any, ...]:
    return tuple(ip_network(text) for text in texts)


def placed(root: Path, content: str | bytes) -> Path:
    file = root / "apps" / "blocks"
    file.parent.mkdir(parents=True, exist_ok=True)
    raw = content if isinstance(content, bytes) else content.encode()
    file.write_bytes(raw)
    file.chmod(0o600)
    return file


def refused(network: str = "apps") -> CNIError:
    with pytest.raises(CNIError) as caught:
        held.read(network)
    assert str(held.ROOT) in caught.value.msg
    return caught.value


def test_what_is_written_is_read(root: Path) -> None:
    """The file is private, replaces a former one, and leaves nothing beside it."""
    assert held.read("apps") is None
    for blocks in (networks(*BLOCKS), networks(BLOCKS[0])):
        one = held.Held(networks(*POOLS), blocks, networks(BLOCKS[0]))
        held.write("apps", one)
        assert held.read("apps") == one
    assert os.listdir(root / "apps") == ["blocks"]
    assert (root / "apps" / "blocks").stat().st_mode & 0o777 == 0o600


def test_a_block_that_is_unusable_gives_no_addresses() -> None:
    """A block that two nodes claim stays in the list, and is not used."""
    blocks = networks("10.64.3.0/26", "10.64.4.0/26", BLOCKS[1])
    one = held.Held(networks(*POOLS), blocks, networks("10.64.3.0/26"))
    assert one.usable(4) == networks("10.64.4.0/26")
    assert one.usable(6) == networks(BLOCKS[1])


WRONG = {
    "no JSON": b"\xff{",
    "no object": "[]",
    "no pools": '{"blocks": []}',
    "an empty list": '{"pools": [], "blocks": []}',
    "two of a family": {"pools": ["10.64.0.0/10", "10.0.0.0/16"]},
    "host bits": {"blocks": ["10.64.3.1/26"]},
    "outside": {"blocks": ["10.128.0.0/26"]},
    "wider than the pool": {"blocks": ["10.0.0.0/8"]},
    "overlap": {"blocks": ["10.64.3.0/26", "10.64.3.32/27"]},
    "twice": {"blocks": ["10.64.3.0/26", "10.64.3.0/26"]},
    "too small": {"blocks": ["10.64.3.0/31"]},
    "other family": {"pools": ["10.64.0.0/10"], "blocks": ["fd00::/112"]},
    "no texts": {"blocks": [64]},
    "no list": {"blocks": "10.64.3.0/26"},
    "unusable is none": {"unusable": ["x"]},
    "thousands": {"blocks": [f"10.65.{n >> 4}.{n % 16 * 16}/28" for n in range(4097)]},
    "nested": "[" * 100_000,
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_none_is_refused_by_name(root: Path, name: str) -> None:
    """Nothing of a file that is wrong in one place is believed."""
    told = WRONG[name]
    if isinstance(told, dict):
        told = json.dumps({"pools": [*POOLS], "blocks": [], **told})
    placed(root, told)
    assert refused().code == Code.DECODE_FAILURE


@pytest.mark.parametrize(
    "way", ["a link", "writable", "somebody's", "a directory", "too long", "a fifo"]
)
def test_what_others_could_have_written_is_refused(root: Path, way: str) -> None:
    """A whole file is not believed where it may be somebody else's."""
    if way == "somebody's" and os.geteuid():
        pytest.skip("needs root")
    file = placed(root, json.dumps({"pools": [*POOLS], "blocks": [*BLOCKS]}))
    assert held.read("apps") is not None
    match way:
        case "a link":
            file.rename(root / "elsewhere")
            file.symlink_to(root / "elsewhere")
        case "writable":
            file.chmod(0o660)
        case "somebody's":
            os.chown(file, 1000, 1000)
        case "too long":
            os.truncate(file, 2 << 20)
        case "a directory" | "a fifo":
            file.unlink()
            make = os.mkdir if way == "a directory" else os.mkfifo
            make(file)
    assert refused().code == Code.DECODE_FAILURE


def test_a_directory_that_everybody_may_write_is_refused(root: Path) -> None:
    """There the file could have been exchanged."""
    file = placed(root, json.dumps({"pools": [*POOLS], "blocks": [*BLOCKS]}))
    file.parent.chmod(0o777)
    assert refused().code == Code.IO_FAILURE


def test_what_would_be_refused_is_not_written() -> None:
    """A former file stays as it was."""
    one = held.Held(networks(*POOLS), networks(*BLOCKS))
    held.write("apps", one)
    with pytest.raises(ValueError, match="lies in none"):
        held.write("apps", held.Held(networks(*POOLS), networks("10.1.0.0/26")))
    assert held.read("apps") == one
