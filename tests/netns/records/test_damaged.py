# SPDX-License-Identifier: Apache-2.0
"""Whatever becomes of a record, no call breaks over it, and others are not touched."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import chains
import pytest
from chains import ALONE, CHAIN, VALID, Container
from lab import need
from pictures import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab import Answer, Cni, Host

    Damage = Callable[[str], None]

DEEP: Any = json.loads("[" * 500 + "]" * 500)
WRONG = (None, -7, "\0wrong", ["x"], {"x": "y"}, DEEP, 2**70, True, 1.5)
ROOM = "/run/cni/cnipy/"


def members(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a document."""
    yield path
    keys = document if isinstance(document, dict) else range(len(document))
    for key in keys:
        if isinstance(document[key], dict | list):
            yield from members(document[key], (*path, key))
        else:
            yield (*path, key)


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return the document with another value at `path`."""
    if not path:
        return value
    copy = document.copy()
    copy[path[0]] = replaced(copy[path[0]], path[1:], value)
    return copy


def written(content: bytes) -> Damage:
    """Return the damage after which a file has other content."""

    def damage(path: str) -> None:
        with open(path, "wb") as file:
            file.write(content)

    return damage


def instead(make: Damage) -> Damage:
    """Return the damage after which something else lies at the path."""

    def damage(path: str) -> None:
        os.unlink(path)
        make(path)

    return damage


WHOLE: tuple[Damage, ...] = (
    written(b""),
    written(b"{"),
    written(b"\xff\xfe"),
    written(b"{}"),
    written(b" " * 3_000_000),
    lambda path: os.truncate(path, os.path.getsize(path) // 2),
    lambda path: os.chown(path, 12345, 12345),
    instead(os.mkdir),
    instead(os.mkfifo),
    instead(lambda path: os.symlink("/nowhere", path)),
    instead(lambda path: os.symlink("/etc/passwd", path)),
)


def damages(content: bytes) -> Iterator[Damage]:
    """Yield damages: each value becomes one of another type, each type in turn."""
    yield from WHOLE
    try:
        document = json.loads(content)
    except ValueError:
        return
    wrong = itertools.cycle(WRONG)
    for path in members(document):
        for _ in range(2):
            text = json.dumps(replaced(document, path, next(wrong)))
            yield written(text.encode())


def whole(answer: Answer) -> None:
    """Assert that an answer is one document at most, and none that nobody foresaw."""
    assert "Traceback" not in answer.stderr, answer.stderr
    if answer.stdout:
        assert (answer.status == 1) == ("code" in answer.document), answer.stdout


def remove(path: str) -> None:
    """Have nothing at the path."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


@pytest.fixture
def pair(host: Host, cni: Cni) -> Iterator[tuple[Container, Container]]:
    """Two containers that are not attached yet."""
    need("dnsmasq")
    chains.prepare(host)
    one, other = (Container(cni, host.space(), number) for number in (1, 2))
    yield one, other
    for it in (one, other):
        it.call("DEL", "dnsname")


def gc(plugin: str, *valid: Container) -> Answer:
    """Have the plugin remove all but what the `valid` ones have."""
    ifname = valid[0].ifname(plugin)
    listed = [{"containerID": it.id, "ifname": ifname} for it in valid]
    return valid[0].call("GC", plugin, **{VALID: listed})


@pytest.mark.slow
@pytest.mark.parametrize("plugin", [*CHAIN, *ALONE])
def test_no_call_breaks_over_a_damaged_record(
    pair: tuple[Container, Container], plugin: str
) -> None:
    """CHECK, GC and DEL of the one and CHECK and ADD of the other go on.

    What is damaged is told, and goes with DEL.
    """
    one, other = pair
    earlier = CHAIN[: CHAIN.index(plugin)] if plugin in CHAIN else ()
    other.add(*earlier, plugin)
    one.add(*earlier)
    before = set(files())
    one.add(plugin)
    own = {p: c for p, c in files().items() if p not in before and p.startswith(ROOM)}
    for path, content in own.items():
        if not content:
            continue  # a mark
        for number, damage in enumerate(damages(content)):
            damage(path)
            whole(one.call("CHECK", plugin))
            whole(gc(plugin, other) if number % 2 else one.call("DEL", plugin))
            answer = one.call("DEL", plugin)
            whole(answer)
            told = other.call("CHECK", plugin)
            assert told.status == 0, (path, number, told.stdout, told.stderr)
            if answer.status:
                # A name of the right type that leads nowhere cannot be told from one.
                remove(path)
                written(content)(path) if os.path.isdir(os.path.dirname(path)) else None
                one.delete(plugin)
            assert not os.path.lexists(path), (path, number)
            if plugin == "bandwidth":
                # GC knows no namespace: limits without a record go with the link.
                one.delete(*earlier)
                one.add(*earlier)
            one.add(plugin)


@pytest.mark.parametrize("kind", ["file", "directory", "pipe", "link", "bytes"])
def test_stray_names_are_passed_over(
    pair: tuple[Container, Container], kind: str
) -> None:
    """What somebody puts among our files keeps nobody from ADD, CHECK, GC and DEL."""
    one, other = pair
    one.add(*CHAIN, *ALONE)
    make: dict[str, Damage] = {
        "file": lambda path: open(path, "w").close(),
        "directory": os.mkdir,
        "pipe": os.mkfifo,
        "link": lambda path: os.symlink("/nowhere", path),
        "bytes": lambda path: open(path.encode() + b"\xff\xc0", "w").close(),
    }
    for directory, names, _ in os.walk(ROOM):
        names[:] = [name for name in names if name not in {"locks", "stray"}]
        make[kind](os.path.join(directory, "stray"))
    every = (*CHAIN, *ALONE)
    other.add(*every)
    for plugin in every:
        answer = one.call("CHECK", plugin)
        assert answer.status == 0, (plugin, answer.stdout, answer.stderr)
        assert gc(plugin, one, other).status == 0
    one.delete(*every)
    for plugin in every:
        answer = other.call("CHECK", plugin)
        assert answer.status == 0, (plugin, answer.stdout, answer.stderr)
    other.delete(*every)
