# SPDX-License-Identifier: Apache-2.0
"""Everything about a host and its containers that a plugin may change.

Seen by ip, tc, nft and in files, the kernel's own under /proc among them.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import nft_objects, run
from pictures import steady

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lab import Space

World = dict[str, Any]

_MAC = re.compile("[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_TOPS = ("/run/cni", "/var/lib/cni")
# What may be thrown away at any time, only counts, or is for all networks.
_PASSING = re.compile(
    r"/run/cni/cnipy/(locks|host-local)\b|/(lock|last_reserved_ip.*|pid|\.unfinished)$"
)
# Handles that the kernel counts up, and timers.
_UNSTEADY = re.compile(r"\.(handle|packets|bytes|ifindex|index|expires|used|age)$")


def world(parameters: Iterable[str], *spaces: Space) -> World:
    """Return what there is, by path, comparable with what there was.

    `parameters` are paths below /proc/sys.
    """
    found: World = {"rules": rules(), **files()}
    for space in (None, *spaces):
        where = space.name if space else "host"
        at = ["-n", space.name] if space else []
        for path, value in _links(at, where):
            if not _UNSTEADY.search(path):
                found[path] = value
        with space.entered() if space else nullcontext():
            found |= values(where, parameters)
    return found | {"processes": processes()}


def _links(at: list[str], where: str) -> Iterator[tuple[str, Any]]:
    """Yield what ip and tc show of links, addresses, routes and disciplines."""
    commands = (
        "addr show\nroute show table all\nrule show\n",
        "route show table all\n",
    )
    for family, text in zip(("-4", "-6"), commands, strict=True):
        # Links are shown with addresses of one family each, so all are asked for.
        words = ["-d"] if family == "-4" else ["-6"]
        shown = run("ip", "-j", *words, *at, "-batch", "-", input=text)
        for number, items in enumerate(_documents(shown)):
            what = f"{where} {family} {number}"
            for key, item in _named(items):
                if not _is_passing(item):
                    yield from steady(item, f"{what} {key}").items()
    shown = json.loads(run("tc", "-j", *at, "qdisc", "show") or "[]")
    qdiscs = [each for each in shown if each.get("kind") not in {"noqueue", "noop"}]
    lines = []
    for item in qdiscs:
        link = item.get("dev", "")
        yield f"{where} qdisc {link} {item.get('parent', 'root')}", _plain(item)
        lines += [f"filter show dev {link}", f"filter show dev {link} ingress"]
        lines += [f"class show dev {link}"]
    if lines:
        text = run(
            "tc", *at, "-force", "-batch", "-", input="\n".join(lines), check=False
        )
        yield f"{where} filters", re.sub(r"\bindex \d+", "", text)


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    counted = {"refcnt", "direct_packets_stat"}
    return {
        key: _plain(value) if isinstance(value, dict) else value
        for key, value in item.items()
        if key not in counted
    }


def _is_passing(item: dict[str, Any]) -> bool:
    """Tell whether the kernel makes and removes a thing by itself, somewhat later."""
    target, kind = str(item.get("dst", "")), item.get("type")
    if kind == "local" and ":" in target:
        return True  # follows its address, which is compared, once that is usable
    return target.startswith(("fe80", "ff00", "multicast")) or kind in {
        "multicast",
        "anycast",
    }


def _named(items: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield items by a name that does not depend on what else there is."""
    for item in items:
        if "ifname" in item:
            yield item["ifname"], item
        elif item:
            words = ("type", "dst", "gateway", "dev", "table", "metric", "priority")
            yield " ".join(str(item.get(word, "")) for word in words), item


def _documents(text: str) -> Iterator[Any]:
    decoder, offset = json.JSONDecoder(), 0
    while (offset := offset + len(text[offset:]) - len(text[offset:].lstrip())) < len(
        text
    ):
        document, offset = decoder.raw_decode(text, offset)
        yield document


def rules() -> list[str]:
    """Return the rules of nftables in no particular order, without handles.

    And those of iptables-legacy, which nft does not show.
    """
    found = [json.dumps(_comparable(item)) for item in nft_objects("ruleset")]
    return sorted([*found, *_legacy_rules()])


def _legacy_rules() -> Iterator[str]:
    """Yield rules, chains and policies of the tables that there are already.

    To ask for another one would make it.
    """
    for family in ("ip", "ip6"):
        program = f"{family}tables-legacy-save"
        names = Path(f"/proc/thread-self/net/{family}_tables_names")
        for table in names.read_text().split() if names.exists() else ():
            for line in run(program, "-t", table).splitlines():
                told = re.sub(r" \[\d+:\d+\]$", "", line)
                if told.startswith("-A ") or re.match(r":.* (?!ACCEPT$)", told):
                    yield f"{program} {table}: {told}"


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        hidden = ("handle", "packets", "bytes")
        return {key: _comparable(v) for key, v in value.items() if key not in hidden}
    if isinstance(value, list):
        items = [_comparable(item) for item in value]
        return (
            sorted(items, key=json.dumps)
            if all(isinstance(i, list) for i in items)
            else items
        )
    return value


def files() -> World:
    """Return the modes and contents of what lies in the plugins' directories."""
    found: World = {}
    for top in _TOPS:
        for directory, _, names in os.walk(top):
            for name in names:
                path = os.path.join(directory, name)
                if not _PASSING.search(path):
                    with open(path, "rb") as file:
                        mode = os.fstat(file.fileno()).st_mode
                        found[path] = (oct(mode), file.read())
    return found


def all_parameters(*spaces: Space) -> set[str]:
    """Return the paths of all parameters of networks, of the host or in `spaces`."""
    found: set[str] = set()
    for space in (None, *spaces):
        with space.entered() if space else nullcontext():
            for directory, _, names in os.walk("/proc/sys/net"):
                found |= {os.path.join(directory, name) for name in names}
    return found


def values(where: str, parameters: Iterable[str]) -> World:
    """Return the values of parameters in the calling thread's namespace."""
    found: World = {}
    for path in parameters:
        with suppress(OSError):
            fd = os.open(path, os.O_RDONLY)
            try:
                found[f"{where} {path}"] = os.read(fd, 256)
            finally:
                os.close(fd)
    return found


def processes() -> list[str]:
    """Return what runs in the namespace of the calling thread beside the test."""
    own = os.readlink("/proc/thread-self/ns/net")
    test = _command("self")
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                if os.readlink(f"/proc/{name}/ns/net") == own:
                    command = _command(name)
                    if command and command != test:
                        found.append(command)
    return sorted(found)


def _command(process: str) -> str:
    with open(f"/proc/{process}/cmdline", "rb") as file:
        return file.read().replace(b"\0", b" ").decode(errors="replace")


def plain(seen: World) -> World:
    """Return what can be compared where links are new, and so their MACs."""
    return {key: _MAC.sub("", repr(value)) for key, value in seen.items()}


def difference(before: World, after: World) -> str:
    """Return what differs, line by line; "" where nothing does."""
    lines = []
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        if was == now:
            continue
        if isinstance(was, list) and isinstance(now, list):
            lines += [f"- {item}" for item in was if item not in now]
            lines += [f"+ {item}" for item in now if item not in was]
        else:
            lines.append(f"{key}: {was!r} -> {now!r}")
    return "\n".join(lines)
