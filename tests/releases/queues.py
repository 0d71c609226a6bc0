# SPDX-License-Identifier: Apache-2.0
"""What limits, redirects and drops at a link, in the words of tc."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lab import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Space

Document = dict[str, Any]


def queues(space: Space, link: str) -> Iterator[str]:
    """Yield disciplines, classes and filters of a link in the words of `tc add`."""
    tc = ("tc", "-n", space.name, "-j", "-d")
    for queue in json.loads(run(*tc, "qdisc", "show", "dev", link)):
        yield from _discipline(link, queue)
        if queue["kind"] == "htb":
            yield from _classes(space, link)
    for where in ("", "ingress"):
        listed = run(*tc, "filter", "show", "dev", link, *filter(None, [where]))
        for item in json.loads(listed or "[]", object_pairs_hook=_with_matches):
            # A line for the kind and one for the table come before the filter itself.
            if {"matches", "bytecode"} & set(item.get("options", {})):
                at = where or f"parent {item['parent']}"
                rank = f"pref {item['pref']} protocol {item['protocol']}"
                words = _filter(item["kind"], item["options"])
                yield f"filter add dev {link} {at} {rank} {words}"


def _with_matches(pairs: list[tuple[str, Any]]) -> Document:
    """Return an object of JSON; tc has the member "match" once for each match."""
    matches = [value for key, value in pairs if key == "match"]
    return {**dict(pairs), **({"matches": matches} if matches else {})}


def _discipline(link: str, queue: Document) -> Iterator[str]:
    kind, options = queue["kind"], queue["options"]
    at = f"parent {queue['parent']}" if "parent" in queue else "root"
    handle = f"qdisc add dev {link} {at} handle {queue['handle']} {kind}"
    if kind == "tbf":
        burst = options["burst"].partition("b")[0]
        limit = f"rate {options['rate'] * 8}bit burst {burst}"
        yield f"{handle} {limit} latency {options['lat']}us"
    elif kind == "htb":
        yield f"{handle} default {options['default'].removeprefix('0x')}"
    elif kind == "bfifo":
        yield f"{handle} limit {options['limit']}"
    elif kind in {"clsact", "ingress"}:
        yield f"qdisc add dev {link} {kind}"
    else:
        assert kind in {"noqueue", "noop", "pfifo_fast"}, queue


def _classes(space: Space, link: str) -> Iterator[str]:
    """Yield the classes, of which tc knows no JSON."""
    tc = ("tc", "-n", space.name, "-d", "class", "show", "dev", link)
    for line in run(*tc).splitlines():
        words = line.split()
        limits = [
            f"{key} {words[words.index(key) + 1].partition('/')[0]}"
            for key in ("quantum", "rate", "ceil", "burst", "cburst")
        ]
        which = f"parent {words[2].partition(':')[0]}: classid {words[2]}"
        yield f"class add dev {link} {which} {words[1]} {' '.join(limits)}"


def _filter(kind: str, options: Document) -> str:
    if kind == "bpf":
        code = options["bytecode"]["insns"]
        words = [f"{one['code']} {one['jt']} {one['jf']} {one['k']}" for one in code]
        text = ",".join([str(len(code)), *words])
        return f"handle {options['handle']} bpf da bytecode '{text}'"
    assert kind == "u32", options
    found = ["u32"]
    found += [
        f"match u32 0x{match['value']} 0x{match['mask']} at {match['off']}"
        for match in options["matches"]
    ]
    if "flowid" in options:
        found.append(f"flowid {options['flowid']}")
    for action in options.get("actions", []):
        what = f"{action['direction']} {action['mirred_action']}"
        found.append(f"action mirred {what} dev {action['to_dev']}")
    return " ".join(found)
