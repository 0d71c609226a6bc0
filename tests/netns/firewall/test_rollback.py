# SPDX-License-Identifier: Apache-2.0
"""firewall: an ADD that fails, or is killed, leaves the host as it was."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from faults import (
    KILLED,
    REQUESTS,
    Refusal,
    die_at_request,
    refuse_function,
    refuse_request,
)
from netns.firewall.helpers import (
    Guarded,
    drop_forwarded,
    left,
    needs_variant,
    request,
    saved,
    touched,
)

from cni_common import iptables_command, marks
from cni_common.spec.errors import CNIError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import Cni, Host

ISOLATED = {"ingressPolicy": "isolated"}


@pytest.fixture
def node(host: Host, cni: Cni) -> Guarded:
    """A node with two bridges."""
    return Guarded(host, cni)


def refused_command() -> Exception:
    return CNIError(999, "another program holds the lock")


def refuse_command(patch: pytest.MonkeyPatch, refusal: Refusal) -> None:
    """Count every run of iptables, and every mark."""
    for owner, name in (
        (iptables_command, "attempt"),
        (iptables_command, "run"),
        (marks, "add"),
    ):
        counted = refusal.around(getattr(owner, name), name, refused_command)
        patch.setattr(owner, name, counted)


WAYS = pytest.mark.parametrize("refuse", (refuse_function, refuse_request))
BEFORE = pytest.mark.parametrize("earlier", ("nothing", "same", "other"))


def walk(
    node: Guarded,
    patches: pytest.MonkeyPatch,
    refuse: Any,
    earlier: str,
    seen: Callable[[], dict[str, Any]] = touched,
) -> list[str]:
    """Have ADD fail at each call in turn, compare, and return where it failed."""
    space = node.container(2)
    node.ok("ADD", node.container(3), 3, **ISOLATED)
    if earlier != "nothing":
        node.ok("ADD", space, 2, **(ISOLATED if earlier == "same" else {}))
    before, failed, n = seen(), [], 0
    while True:
        n += 1
        refusal = Refusal(n)
        with patches.context() as patch:
            refuse(patch, refusal)
            answer = node.call("ADD", space, 2, **ISOLATED)
        if refusal.left > 0:
            break
        if answer.status == 0:
            node.ok("DEL", space, 2)
            if earlier != "nothing":
                node.ok("ADD", space, 2, **(ISOLATED if earlier == "same" else {}))
        else:
            failed.append(refusal.where)
        assert comparable(seen()) == comparable(before), (n, refusal.where)
    assert answer.status == 0, answer.stdout
    node.ok("CHECK", space, 2, **ISOLATED)
    return failed


def comparable(seen: dict[str, Any]) -> dict[str, Any]:
    """Return what may be compared: rules without handles, in no particular order.

    A rule that was taken away and put back has another number and another place.
    """
    rules = [str(strip(item)) for item in seen["rules"]]
    return {"rules": sorted(rules), "files": seen["files"]}


def strip(value: Any) -> Any:
    """Return a listing without handles and counters, sets in order."""
    if isinstance(value, dict):
        hidden = ("handle", "packets", "bytes")
        return {key: strip(v) for key, v in value.items() if key not in hidden}
    if isinstance(value, list):
        return sorted((strip(item) for item in value), key=str)
    return value


@WAYS
@BEFORE
def test_add_that_fails_anywhere_leaves_the_host_as_it_was(
    node: Guarded, monkeypatch: pytest.MonkeyPatch, refuse: Any, earlier: str
) -> None:
    """Whichever call fails, rules and files are as before, and a retry works."""
    failed = walk(node, monkeypatch, refuse, earlier)
    assert len(failed) >= 4


@pytest.mark.parametrize(
    ("variant", "earlier"),
    (("nft", "nothing"), ("nft", "same"), ("nft", "other"), ("legacy", "nothing")),
)
def test_add_that_fails_with_iptables_leaves_the_host_as_it_was(
    node: Guarded, monkeypatch: pytest.MonkeyPatch, variant: str, earlier: str
) -> None:
    """Whichever run of iptables fails, no rule, chain or file is left of it."""
    needs_variant(variant)
    drop_forwarded(variant)

    def seen() -> dict[str, Any]:
        shown = touched()
        return {**shown, "rules": [*shown["rules"], *saved(variant)]}

    failed = walk(node, monkeypatch, refuse_command, earlier, seen)
    assert len(failed) > 10


def test_first_add_that_fails_takes_its_tables_along(
    node: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody else is attached, a failed ADD leaves no table and no chain."""
    drop_forwarded()
    space = node.container(2)
    before, n = touched(), 0
    while True:
        n += 3
        refusal = Refusal(n)
        with monkeypatch.context() as patch:
            refuse_command(patch, refusal)
            answer = node.call("ADD", space, 2, **ISOLATED)
        if refusal.left > 0:
            break
        if answer.status == 0:
            node.ok("DEL", space, 2)
        assert comparable(touched()) == comparable(before), (n, refusal.where)
    assert n > 20


@pytest.mark.parametrize(("variant", "again"), (("", False), ("", True), ("nft", True)))
def test_killed_add_is_undone_by_delete_or_repeated(
    node: Guarded, variant: str, monkeypatch: pytest.MonkeyPatch, *, again: bool
) -> None:
    """However early or late ADD is killed, DEL leaves nothing, and ADD again works."""
    if variant:
        drop_forwarded(variant)
    space = node.container(2)
    earlier = {"ingressPolicy": "isolated"}
    asked = {"ingressPolicy": "same-bridge", "families": (4,)} if again else earlier
    conf, options = request(space, 2, **asked)
    node.ok("ADD", node.container(3), 3)
    before, n = touched(), 0
    while True:
        n += 1
        if again:
            node.ok("ADD", space, 2, **earlier)
        child = os.fork()
        if child == 0:
            refusal = Refusal(n)
            die_at_request(monkeypatch, refusal)
            die_at_command(monkeypatch, refusal)
            node.cni("firewall", "ADD", conf, **options)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            break
        assert status == KILLED
        if n % 2:
            node.cni.ok("firewall", "ADD", conf, **options)
            node.cni.ok("firewall", "CHECK", conf, **options)
        node.cni.ok("firewall", "DEL", conf, **options)
        assert comparable(touched()) == comparable(before), n
    assert n > len(REQUESTS)
    node.cni.ok("firewall", "DEL", conf, **options)
    node.ok("DEL", "", 3)
    assert left() == []


def die_at_command(patch: pytest.MonkeyPatch, refusal: Refusal) -> None:
    """End the process before the counted run of iptables, or mark."""
    for owner, name in ((iptables_command, "attempt"), (marks, "add")):
        counted = refusal.around(getattr(owner, name), name, _end)
        patch.setattr(owner, name, counted)


def _end() -> Exception:
    os._exit(KILLED)
