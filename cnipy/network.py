# SPDX-License-Identifier: Apache-2.0
"""Network configuration lists on disk, found and read in libcni's order (section 1)."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cni_common.spec import gojson
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass
from cni_common.spec.versions import NEWEST, OLDEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.frame.rollback import Gather

FLAGS = {"true": True, "false": False}
STRANGE = "it is no file, and a runtime may wait for it"
LISTS, SINGLE = (".conflist",), (".conf", ".json")


@dataclass(frozen=True)
class Network:
    """A list of plugins; `text` is the list as it is kept in the cache."""

    name: str
    version: str
    plugins: tuple[dict[str, Any], ...]
    text: bytes
    disable_check: bool = False
    disable_gc: bool = False


class NotFoundError(CNIError):
    """No configuration has the name that was asked for."""


def load(directory: str, name: str) -> Network:
    """Return the network `name` of a configuration directory.

    Files *.conflist come first in the order of their names, then *.conf and *.json,
    which hold a single plugin; the first whose name matches is taken. Raises
    NotFoundError, or Code.DECODE_FAILURE or Code.INVALID_CONFIG for a malformed file
    that comes before it.
    """
    for file in _files(directory, LISTS):
        network = read(file)
        if network.name == name:
            return network
    for file in _files(directory, SINGLE):
        single = _single(file)
        if gojson.member(single, "name") == name:
            return _upconverted(single, file)
    msg = f"find network {name}: no configuration of that name in {directory}"
    there = " ".join(dict.fromkeys(found for found, _ in listed(directory)))
    hint = f"there are: {there or 'none'}"
    if not os.path.isdir(directory):
        hint = "there is no such directory"
    raise NotFoundError(Code.INVALID_CONFIG, msg, hint)


def read(file: str) -> Network:
    """Return the network in a conflist.

    Raises Code.IO_FAILURE, Code.DECODE_FAILURE or Code.INVALID_CONFIG naming the file.
    """
    return parse(content(file), file)


def read_single(file: str) -> Network:
    """Return the network of a file that holds one plugin; raises as `read` does."""
    return _upconverted(_single(file), file)


def faults(directory: str) -> list[str]:
    """Return why files of a directory hold no network, for each that holds none."""
    strange = filter(is_strange, _named(directory, (*LISTS, *SINGLE)))
    found = [f"read {each}: {STRANGE}" for each in strange]
    for file in (*_files(directory, LISTS), *_files(directory, SINGLE)):
        try:
            if file.endswith(LISTS):
                read(file)
            else:
                _single(file)
        except CNIError as error:
            found.append(str(error))
    return found


def is_strange(path: str) -> bool:
    """Tell whether a path is that of a pipe or a device, which has no end."""
    return os.path.exists(path) and not os.path.isfile(path)


def each(directory: str, errors: Gather) -> Iterator[Network]:
    """Yield every network, of several by one name the first.

    Why a file holds none `errors` has.
    """
    seen = set()
    for file in (*_files(directory, LISTS), *_files(directory, SINGLE)):
        reading = read if file.endswith(LISTS) else read_single
        found: Network | None = errors.attempt(reading, file)
        if found is not None and found.name not in seen:
            seen.add(found.name)
            yield found


def _single(file: str) -> dict[str, Any]:
    single = gojson.load_object(content(file), file)
    if gojson.member(single, "type") is None:
        msg = f"read {file}: missing type"
        raise CNIError(Code.INVALID_CONFIG, msg, _hint(single, file))
    return single


def listed(directory: str) -> list[tuple[str, str]]:
    """Return name and file of every network, in the order in which they are looked at.

    A malformed file is passed over: whoever loads what comes after it is told.
    """
    found = []
    for file in (*_files(directory, LISTS), *_files(directory, SINGLE)):
        with suppress(CNIError):
            name = gojson.member(gojson.load_object(content(file), file), "name")
            if isinstance(name, str) and name:
                found.append((name, file))
    return found


def _hint(single: dict[str, Any], file: str) -> str:
    if gojson.member(single, "plugins") is None:
        return ""
    base = os.path.splitext(os.path.basename(file))[0]
    return f"it is a list of plugins: such a file is called {base}.conflist"


def parse(text: bytes, source: str) -> Network:
    """Return the network in a conflist; raises Code.DECODE_FAILURE or
    Code.INVALID_CONFIG naming `source`.
    """
    document = gojson.load_object(text, source)
    name = document.get("name")
    if not isinstance(name, str) or not name:
        raise CNIError(Code.INVALID_CONFIG, f"read {source}: missing name")
    plugins = list(_inlined(document, source))
    if not _flag(document, "loadOnlyInlinedPlugins", source):
        plugins += _beside(source, name)
    if not plugins:
        msg, hint = f"read {source}: no plugins in list", ""
        if gojson.member(document, "type") is not None:
            base = os.path.splitext(os.path.basename(source))[0]
            hint = f"it is a single plugin: such a file is called {base}.conf"
        raise CNIError(Code.INVALID_CONFIG, msg, hint)
    return Network(
        name=name,
        version=_version(document, source),
        plugins=tuple(plugins),
        text=text,
        disable_check=_flag(document, "disableCheck", source),
        disable_gc=_flag(document, "disableGC", source),
    )


def version_numbers(version: str) -> tuple[int, ...]:
    """Return what orders versions; the empty one counts as the oldest.

    Raises ValueError for a text that is no version.
    """
    numbers = tuple(int(part) for part in (version or OLDEST).split("."))
    return (*numbers, 0, 0)[:3]


def _upconverted(single: dict[str, Any], source: str) -> Network:
    wrapped = {
        "name": gojson.member(single, "name"),
        "cniVersion": gojson.member(single, "cniVersion") or "",
        "plugins": [single],
    }
    return parse(json.dumps(wrapped, sort_keys=True).encode(), source)


def _inlined(document: dict[str, Any], source: str) -> list[dict[str, Any]]:
    plugins = document.get("plugins", [])
    if not isinstance(plugins, list):
        raise CNIError(Code.INVALID_CONFIG, f"read {source}: plugins is no list")
    if "plugins" in document and not plugins:
        raise CNIError(Code.INVALID_CONFIG, f"read {source}: no plugins in list")
    for plugin in plugins:
        _check_plugin(plugin, source)
    return plugins


def _beside(source: str, name: str) -> list[dict[str, Any]]:
    """Plugins in DIRECTORY/NAME/*.conf follow those of the list (since 1.1.0)."""
    directory = os.path.join(os.path.dirname(source), name)
    found = []
    for file in _files(directory, (".conf",)) if "/" not in name else []:
        plugin = gojson.load_object(content(file), file)
        _check_plugin(plugin, file)
        found.append(plugin)
    return found


def _check_plugin(plugin: object, source: str) -> None:
    kind = gojson.member(plugin, "type") if isinstance(plugin, dict) else None
    if not isinstance(kind, str) or not kind:
        raise CNIError(Code.INVALID_CONFIG, f"read {source}: plugin without type")


def _version(document: dict[str, Any], source: str) -> str:
    """Return the highest version of cniVersion and cniVersions that we speak."""
    single = document.get("cniVersion", "")
    several = document.get("cniVersions")
    listed = several if isinstance(several, list) else []
    if not all(isinstance(version, str) for version in (single, *listed)):
        raise CNIError(Code.INVALID_CONFIG, f"read {source}: cniVersion is no string")
    if several is None:
        return str(single)
    try:
        ours = [
            version
            for version in (*listed, *([single] if single else []))
            if version_numbers(version) <= version_numbers(NEWEST)
        ]
    except ValueError as error:
        msg = f"read {source}: cniVersions: {error}"
        raise CNIError(Code.INVALID_CONFIG, msg) from error
    return max(ours, key=version_numbers, default=str(single))


def _flag(document: dict[str, Any], key: str, source: str) -> bool:
    value = document.get(key, False)
    if isinstance(value, str):
        value = FLAGS.get(value.lower())
    if not isinstance(value, bool):
        raise CNIError(Code.INVALID_CONFIG, f"read {source}: {key} is no boolean")
    return value


def _files(directory: str, endings: tuple[str, ...]) -> list[str]:
    return [each for each in _named(directory, endings) if not is_strange(each)]


def _named(directory: str, endings: tuple[str, ...]) -> list[str]:
    try:
        names = sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        msg = f"read {directory}: {error.strerror}"
        raise CNIError(Code.IO_FAILURE, msg) from error
    paths = [os.path.join(directory, name) for name in names]
    return [
        path
        for path in paths
        if os.path.splitext(path)[1] in endings and not os.path.isdir(path)
    ]


def content(file: str) -> bytes:
    """Return what is in a file; raises Code.IO_FAILURE."""
    try:
        with open(file, "rb") as opened:
            return opened.read()
    except OSError as error:
        msg = f"read {file}: {error.strerror}"
        raise CNIError(Code.IO_FAILURE, msg) from error
