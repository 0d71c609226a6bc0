# SPDX-License-Identifier: Apache-2.0
"""Whatever becomes of a record, no call breaks over it, and others are not touched."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chains
import pytest
from chains import ALONE, ELSEWHERE, EVERY, VALID, Container
from choosing import WHOLE as WHOLE_WALK
from lab import need
from netns.cnipy.helpers import Desk
from pictures import files, picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab import Answer, Cni, Host

    Damage = Callable[[str], None]

DEEP: Any = json.loads("[" * 500 + "]" * 500)
WRONG = (None, -7, "\0wrong", ["x"], {"x": "y"}, DEEP, 2**70, True, 1.5)
VALUES = (None, True, False, -7, 5, 2**70, 1.5, nan, "", "\0", "\ud800", "x", [], {})
VALUES += (["x"], [{}], {"x": "y"}, DEEP)
RELEASES = Path(__file__).parents[2] / "releases"
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


def mutated(content: bytes) -> Iterator[str]:
    """Yield the document with each value another, with each key missing or twice."""
    document = json.loads(content)
    for path in members(document):
        for value in VALUES:
            yield json.dumps(replaced(document, path, value))
        if path and isinstance(path[-1], str):
            above = document
            for key in path[:-1]:
                above = above[key]
            rest = {key: value for key, value in above.items() if key != path[-1]}
            renamed = {**rest, path[-1].swapcase(): above[path[-1]]}
            for other in (rest, renamed, {**above, "removed": False}):
                yield json.dumps(replaced(document, path[:-1], other))
    text = json.dumps(document)
    for key in document:
        for value in ("null", "1", "[]", "{}", '""'):
            yield f'{{"{key}": {value}, {text[1:]}'
            yield f'{text[:-1]}, "{key}": {value}}}'


def some(texts: Iterator[str]) -> list[str]:
    """Return a part of the texts, the same in each run, or all of them."""
    every = list(texts)
    return every if WHOLE_WALK else random.Random(len(every)).sample(every, 60)


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
@pytest.mark.parametrize("plugin", chains.cases())
def test_no_call_breaks_over_a_damaged_record(
    pair: tuple[Container, Container], plugin: str
) -> None:
    """CHECK, GC and DEL of the one and CHECK and ADD of the other go on.

    What is damaged is told, and goes with DEL.
    """
    one, other = pair
    earlier = chains.earlier(plugin)
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
            if plugin in {"bandwidth", "sbr", "vrf"}:
                # GC knows no namespace: limits without a record go with the link, and
                # so do routes that no record tells of.
                one.delete(*earlier)
                one.add(*earlier)
            one.add(plugin)


@pytest.mark.slow
@pytest.mark.parametrize("plugin", chains.cases())
def test_no_call_breaks_over_another_record(
    pair: tuple[Container, Container], host: Host, cni: Cni, tmp_path: Path, plugin: str
) -> None:
    """CHECK, GC, DEL, `cnipy show` and `repair` answer with one error, or do it."""
    one, other = pair
    desk = Desk(host, cni, tmp_path)
    earlier = chains.earlier(plugin)
    one.add(*earlier, plugin)
    network = chains.conf(plugin, 1)["name"]
    path = f"{ROOM}{plugin}/{network}/c1@{one.ifname(plugin)}"
    with open(path, "rb") as file:
        content = file.read()
    texts = some(mutated(content))
    for number, text in enumerate(texts):
        written(text.encode())(path)
        whole(one.call("CHECK", plugin))
        for words in (("show",), ("show", "--json"), ("repair",)):
            status, _, stderr = desk(*words)
            assert "Traceback" not in stderr, (text, stderr)
            assert status in {0, 1}, (text, words)
        if plugin == "host-device":
            continue  # it comes back by a name that the record tells
        whole(gc(plugin, other) if number % 2 else one.call("DEL", plugin))
        whole(one.call("DEL", plugin))
        remove(path)
        one.delete(*earlier)
        one.call("DEL", plugin)
        one.add(*earlier, plugin)
    one.delete(plugin)
    for number, text in enumerate(texts):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        written(text.encode())(path)
        whole(gc(plugin, other) if number % 2 else one.call("DEL", plugin))


def released(plugin: str) -> list[bytes]:
    """Return the records of a plugin that releases have left."""
    found = []
    for recording in sorted(RELEASES.glob("*/*.json")):
        files = json.loads(recording.read_text())["world"]["files"]
        path = f"{ROOM}{plugin}/net/c1@eth0"
        found += [files[path][1].encode()] if path in files else []
    return found


@pytest.mark.parametrize("plugin", [one for one in EVERY if released(one)])
def test_no_call_breaks_over_another_record_of_a_release(
    host: Host, cni: Cni, tmp_path: Path, plugin: str
) -> None:
    """DEL, GC and `cnipy show` answer with one error, or do it."""
    chains.prepare(host)
    one, desk = Container(cni, host.space(), 1), Desk(host, cni, tmp_path)
    path = f"{ROOM}{plugin}/net/c1@eth0"
    texts = [text for content in released(plugin) for text in mutated(content)]
    assert texts
    for number, text in enumerate(some(iter(texts))):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        written(text.encode())(path)
        assert "Traceback" not in desk("show")[2], text
        verb = "GC" if number % 2 else "DEL"
        document = {**chains.conf(plugin, 1), "name": "net", VALID: []}
        options = {} if verb == "GC" else {"netns": one.space, "container_id": "c1"}
        whole(cni(plugin, verb, document, **options))


SINGLE = ("bridge", "tuning", "bandwidth", "sbr", *ALONE, *ELSEWHERE)
DELETED = ("format", "parts", "ipam", "netns", "netnsIdentity", "complete", "removed")


@pytest.mark.parametrize("key", DELETED)
@pytest.mark.parametrize("plugin", chains.cases(*SINGLE))
def test_record_that_lacks_a_key_is_told_and_nothing_stays(
    pair: tuple[Container, Container], plugin: str, key: str
) -> None:
    """It is no empty one; nor do parts stay that say of themselves that they do."""
    one, _ = pair
    earlier = chains.earlier(plugin)
    one.add(*earlier, plugin)
    one.delete(plugin)  # a bridge, and forwarding, stay
    before = picture(one.space)
    one.add(plugin)
    network = chains.conf(plugin, 1)["name"]
    path = f"{ROOM}{plugin}/{network}/c1@{one.ifname(plugin)}"
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    if key == "removed":
        document["parts"] = [{**part, key: False} for part in document["parts"]]
    else:
        del document[key]
    written(json.dumps(document).encode())(path)
    answer = one.call("DEL", plugin)
    assert answer.status == 0, answer.stdout
    assert ("it is missing" in answer.stderr) == (key != "removed"), answer.stderr
    # What was before, the record alone tells of these.
    if key == "removed" or plugin not in {"tuning", "host-device", "sbr", "vrf"}:
        assert picture(one.space) == before
    assert not os.path.lexists(path)


@pytest.mark.parametrize("kind", ["file", "directory", "pipe", "link", "bytes"])
def test_stray_names_are_passed_over(
    pair: tuple[Container, Container], kind: str
) -> None:
    """What somebody puts among our files keeps nobody from ADD, CHECK, GC and DEL."""
    one, other = pair
    one.add(*EVERY)
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
    other.add(*EVERY)
    for plugin in EVERY:
        answer = one.call("CHECK", plugin)
        assert answer.status == 0, (plugin, answer.stdout, answer.stderr)
        assert gc(plugin, one, other).status == 0
    one.delete(*EVERY)
    for plugin in EVERY:
        answer = other.call("CHECK", plugin)
        assert answer.status == 0, (plugin, answer.stdout, answer.stderr)
    other.delete(*EVERY)
