# SPDX-License-Identifier: Apache-2.0
"""One call: the environment and the document on stdin."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cni_common.spec.errors import CNIError
from cni_common.spec.request import Request

ENV = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "c1",
    "CNI_NETNS": "/run/netns/c1",
    "CNI_IFNAME": "eth0",
    "CNI_ARGS": "K=v",
    "CNI_PATH": "/a::/b:",
}


def request(env: dict[str, str] | None = None, **keys: Any) -> Request:
    """Return the request of a document with `keys`."""
    text = json.dumps({"cniVersion": "1.1.0", "name": "n", **keys}).encode()
    return Request.read("ADD", ENV if env is None else env, text)


def test_variables_are_named_after_what_they_are() -> None:
    """The environment is read as it is; empty parts of CNI_PATH are passed over."""
    one = request()
    assert (one.container_id, one.netns, one.ifname) == ("c1", "/run/netns/c1", "eth0")
    assert (one.args, one.path) == ("K=v", ("/a", "/b"))
    none = request({})
    assert (none.container_id, none.netns, none.ifname, none.args) == ("",) * 4
    assert none.path == ()


@pytest.mark.parametrize(
    ("value", "override"), [("1", True), ("TRUE", True), ("0", False), ("yes", False)]
)
def test_override_is_one_or_true(value: str, *, override: bool) -> None:
    """CNI_NETNS_OVERRIDE is on for 1 and true, in any case."""
    assert request({"CNI_NETNS_OVERRIDE": value}).netns_override is override


@pytest.mark.parametrize("key", ["cniVersion", "CNIVERSION"])
@pytest.mark.parametrize("value", [None, ""])
def test_absent_version_is_the_oldest(key: str, value: str | None) -> None:
    """A configuration without a version is of 0.1.0."""
    text = json.dumps({key: value, "Name": "n"}).encode()
    one = Request.read("ADD", ENV, text)
    assert (one.cni_version, one.network) == ("0.1.0", "n")


@pytest.mark.parametrize(
    "keys", [{"cniVersion": 1}, {"name": 7}, {"name": None, "NAME": []}]
)
def test_version_and_name_are_texts(keys: dict[str, Any]) -> None:
    """Another type is a decode error, as in the reference."""
    with pytest.raises(CNIError) as raised:
        request(**keys)
    assert raised.value.code == 6


def test_absent_previous_result_is_none() -> None:
    """Without prevResult, or with null, there is none."""
    assert request().prev_result is None
    assert request(prevResult=None).prev_result is None


def test_previous_result_is_read_in_the_version_of_the_configuration() -> None:
    """The key's case does not matter; the version does."""
    previous = {"cniVersion": "1.1.0", "ips": [{"address": "10.1.2.3/24"}]}
    one = request(PrevResult=previous)
    assert one.prev_result is not None
    assert one.prev_result.document("1.1.0") == previous
    with pytest.raises(CNIError):
        _ = request(prevResult=previous, cniVersion="1.0.0").prev_result


@pytest.mark.parametrize("key", ["cni.dev/valid-attachments", "cni.dev/attachments"])
def test_either_key_lists_the_valid_attachments(key: str) -> None:
    """The specification's text and libcni disagree about the key: both are read."""
    listed = [
        {"containerID": "a", "ifname": "eth0"},
        {"containerID": "b", "ifname": ""},
    ]
    assert request(**{key: listed}).valid_attachments == {("a", "eth0"), ("b", "")}


def test_missing_and_empty_list_of_attachments_differ() -> None:
    """No list says nothing; an empty one says that nothing is valid."""
    assert request().valid_attachments is None
    assert request(**{"cni.dev/attachments": []}).valid_attachments == frozenset()


def test_null_is_the_empty_list_of_attachments() -> None:
    """libcni writes an empty list as null; a list under the other key prevails."""
    keys = ("cni.dev/valid-attachments", "cni.dev/attachments")
    assert request(**{keys[1]: None}).valid_attachments == frozenset()
    both: dict[str, Any] = dict.fromkeys(keys)
    assert request(**both).valid_attachments == frozenset()
    both[keys[1]] = [{"containerID": "a", "ifname": "eth0"}]
    assert request(**both).valid_attachments == {("a", "eth0")}


@pytest.mark.parametrize(
    "listed",
    [
        {},
        "x",
        [7],
        [{"containerID": "a"}],
        [{"containerID": "a", "ifname": 7}],
        [{"containerID": "a", "ifname": "eth0"}, None],
    ],
)
def test_malformed_list_of_attachments_is_refused(listed: object) -> None:
    """A part of a list is never taken for the whole."""
    with pytest.raises(CNIError) as raised:
        _ = request(**{"cni.dev/valid-attachments": listed}).valid_attachments
    assert raised.value.code == 7


def test_another_verb_changes_nothing_but_the_verb() -> None:
    """A delegate gets the same bytes and variables, CNI_COMMAND excepted."""
    one = request()
    other = one.as_verb("DEL")
    assert (other.command, other.stdin) == ("DEL", one.stdin)
    assert other.env == {**ENV, "CNI_COMMAND": "DEL"}
    assert one.env["CNI_COMMAND"] == "ADD"


def test_name_of_the_network_can_be_replaced() -> None:
    """The new one is in document and bytes, in place of any spelling of the key."""
    one = request(NAME="N", other=1).on_network("m")
    expected = {"cniVersion": "1.1.0", "name": "m", "other": 1}
    assert one.network == "m"
    assert one.document == expected
    assert json.loads(one.stdin) == expected
