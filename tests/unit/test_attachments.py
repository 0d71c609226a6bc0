# SPDX-License-Identifier: Apache-2.0
"""Records of attachments: found by their key, gone without a trace."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cni_common import attachments, shapes, state
from cni_common.frame import log
from cni_common.frame.rollback import Gather
from cni_common.naming import Attachment

ONE = Attachment("n", "c1", "eth0")
TABLE = {"a": (shapes.number, 0)}
HUGE = Attachment("n" * 500, "c" * 10_000, "é" * 7)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Records lie in a directory of the test's own."""
    monkeypatch.setattr(state, "ROOT", str(tmp_path / "cnipy"))
    return Path(state.ROOT)


def stale(network: str, *valid: tuple[str, str]) -> list[Attachment]:
    """Return whose records GC would find, where nothing is refused."""
    with Gather() as errors:
        return attachments.stale("p", network, valid, errors)


def files(root: Path) -> list[str]:
    """Return everything below the state directory."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_record_lies_where_an_operator_looks(root: Path) -> None:
    """Plugin, network, container and interface are the path."""
    attachments.write("bridge", ONE, {"bridge": "cni0"})
    assert files(root) == ["bridge", "bridge/n", "bridge/n/c1@eth0"]
    assert json.loads((root / "bridge/n/c1@eth0").read_text()) == {
        "network": "n",
        "containerID": "c1",
        "ifname": "eth0",
        "bridge": "cni0",
    }


@pytest.mark.parametrize("one", [ONE, HUGE, Attachment("n", "c", "a@b")])
def test_record_is_read_and_deleted(root: Path, one: Attachment) -> None:
    """Names of any length have a record, and after delete no file mentions them."""
    assert attachments.read("p", one, TABLE) is None
    attachments.write("p", one, {"a": 1})
    record = attachments.read("p", one, TABLE)
    assert record is not None
    assert (record["a"], record["containerID"]) == (1, one.container_id)
    assert list(attachments.of_plugin("p", TABLE)) == [(one, record)]
    assert stale(one.network) == [one]
    attachments.delete("p", one)
    attachments.delete("p", one)
    assert attachments.read("p", one, TABLE) is None
    assert files(root) == ["p"]


def test_plugins_and_networks_are_apart() -> None:
    """The same container in another plugin or network is another attachment."""
    attachments.write("p", ONE, {})
    assert attachments.read("q", ONE, {}) is None
    other = Attachment("m", "c1", "eth0")
    assert attachments.read("p", other, {}) is None
    attachments.delete("p", other)
    attachments.delete("q", ONE)
    assert attachments.read("p", ONE, {}) is not None


def test_stale_are_those_that_are_not_valid() -> None:
    """Only attachments of the asked network, and none that is listed as valid."""
    for cid in ("a", "b"):
        for ifname in ("eth0", "eth1"):
            attachments.write("p", Attachment("n", cid, ifname), {})
    attachments.write("p", Attachment("other", "a", "eth0"), {})
    valid = {("a", "eth0"), ("b", "eth1")}
    assert stale("n", *valid) == [
        Attachment("n", "a", "eth1"),
        Attachment("n", "b", "eth0"),
    ]
    assert len(stale("n")) == 4
    assert stale("absent") == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "7",
        "{}",
        '{"network": "n"}',
        '{"network": "n", "containerID": 7, "ifname": "eth0"}',
        '{"network": "other", "containerID": "c", "ifname": "eth0"}',
        "[" * 100_000,
    ],
)
def test_hostile_record_is_passed_over(root: Path, content: str) -> None:
    """A record of another shape, or of another attachment, is told and not believed.

    Whose it is can be seen by its name, so that GC removes what is left of it.
    """
    attachments.write("p", ONE, {})
    (root / "p/n/c2@eth0").write_text(content)
    os.mkdir(root / "p/n/directory")
    other = Attachment("n", "c2", "eth0")
    assert stale("n") == [ONE, other]
    assert stale("n", ("c2", "eth0")) == [ONE]
    assert attachments.read("p", other, {}) is None
    assert [owner for owner, _ in attachments.of_plugin("p", {})] == [ONE]
    told = log.remarks()
    assert any("c2@eth0" in text for text in told)
    assert any("n/directory" in text for text in told)


def test_record_that_is_no_object_is_none(root: Path) -> None:
    """A list where a record should be is no record."""
    attachments.write("p", ONE, {})
    (root / "p/n/c1@eth0").write_text("[]")
    assert attachments.read("p", ONE, {}) is None


def test_any_record_is_noticed() -> None:
    """Whether a plugin has a record of anything is told, of whatever network."""
    assert not attachments.any_of("p")
    attachments.write("p", ONE, {})
    attachments.write("p", HUGE, {})
    attachments.delete("p", ONE)
    assert attachments.any_of("p")
    attachments.delete("p", HUGE)
    assert not attachments.any_of("p")
