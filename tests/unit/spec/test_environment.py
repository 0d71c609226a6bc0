# SPDX-License-Identifier: Apache-2.0
"""Which CNI_* variables a verb needs, and what they may hold."""

from __future__ import annotations

import pytest

from cni_common.spec import environment
from cni_common.spec.errors import CNIError

GOOD = {
    "CNI_CONTAINERID": "c1",
    "CNI_NETNS": "/run/netns/c1",
    "CNI_IFNAME": "eth0",
    "CNI_PATH": "/opt/cni/bin",
}


def refusal(command: str, **changed: str) -> CNIError:
    """Return the error for an environment that is good but for `changed`."""
    with pytest.raises(CNIError) as raised:
        environment.validate({**GOOD, **changed}, command)
    return raised.value


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME"),
        ("CHECK", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME"),
        ("DEL", "CNI_CONTAINERID,CNI_IFNAME"),
        ("GC", "CNI_PATH"),
    ],
)
def test_missing_variables_are_named_together(command: str, missing: str) -> None:
    """One message names all that a verb lacks; empty is as good as absent."""
    for env in ({}, dict.fromkeys(GOOD, "")):
        with pytest.raises(CNIError) as raised:
            environment.validate(env, command)
        assert raised.value.code == 4
        assert raised.value.msg == f"required env variables [{missing}] missing"


@pytest.mark.parametrize("command", ["STATUS", "VERSION"])
def test_status_and_version_need_no_variable(command: str) -> None:
    """STATUS and VERSION are served without any other variable."""
    environment.validate({}, command)


def test_path_is_required_by_gc_only() -> None:
    """The specification has CNI_PATH optional for the verbs of one container."""
    for command in ("ADD", "CHECK", "DEL", "STATUS"):
        environment.validate({**GOOD, "CNI_PATH": ""}, command)
    assert refusal("GC", CNI_PATH="").code == 4


def test_invalid_value_wins_over_a_later_missing_one() -> None:
    """Variables are looked at in order, as the reference does."""
    error = refusal("ADD", CNI_CONTAINERID="a/b", CNI_NETNS="", CNI_IFNAME="")
    assert (error.msg, error.details) == ("invalid characters in containerID", "a/b")
    error = refusal("ADD", CNI_NETNS="", CNI_IFNAME="..")
    assert error.msg == "interface name is . or .."


def test_values_are_looked_at_only_where_required() -> None:
    """GC and STATUS do not stumble over variables of another verb."""
    for command in ("GC", "STATUS"):
        bad = {**GOOD, "CNI_CONTAINERID": "a/b", "CNI_IFNAME": "a/b"}
        environment.validate(bad, command)


@pytest.mark.parametrize(
    "value",
    [
        "a\n",
        "\na",
        "-a",
        ".a",
        "_a",
        "a b",
        "a/b",
        "a@b",
        "ä",
        "a\udcff",
        "a" * 9 + "é",
    ],
)
def test_container_id_of_another_form_is_refused(value: str) -> None:
    """A container ID has letters, digits, dots, dashes and underscores only."""
    error = refusal("DEL", CNI_CONTAINERID=value)
    assert (error.code, error.details) == (4, value)


@pytest.mark.parametrize("value", ["a", "0", "A.b_c-d", "a" * 100_000])
def test_container_id_may_be_of_any_length(value: str) -> None:
    """No length is too long for a container ID."""
    environment.validate({**GOOD, "CNI_CONTAINERID": value}, "ADD")


WHITESPACE = "interface name contains / or : or whitespace characters"
LONG = "interface name is too long"


@pytest.mark.parametrize(
    ("value", "msg"),
    [
        ("a" * 16, LONG),
        ("ä" * 8, LONG),
        (".", "interface name is . or .."),
        ("..", "interface name is . or .."),
        ("a/b", WHITESPACE),
        ("a:b", WHITESPACE),
        ("a b", WHITESPACE),
        ("a\n", WHITESPACE),
        ("a\u2003b", WHITESPACE),
        ("a\u00a0b", WHITESPACE),
        ("a\u0085b", WHITESPACE),
        ("a\0b", WHITESPACE),
        ("à", "interface name contains the byte 0xa0, a space to the kernel"),
        ("eth%d", "interface name contains %, by which the kernel would number it"),
        ("a\udcff", "interface name is not UTF-8"),
    ],
)
def test_interface_name_that_cannot_be_one(value: str, msg: str) -> None:
    """What the kernel would refuse or change, or JSON could not tell, is refused."""
    error = refusal("ADD", CNI_IFNAME=value)
    assert (error.code, error.msg) == (4, msg)


def test_long_interface_name_says_the_limit() -> None:
    """The details of a long name have the reference's words."""
    error = refusal("DEL", CNI_IFNAME="a" * 16)
    assert error.details == "interface name should be less than 16 characters"


@pytest.mark.parametrize("value", ["a" * 15, "ä" * 7, "...", "a.b", "a@b"])
def test_interface_name_that_the_kernel_takes(value: str) -> None:
    """Fifteen bytes of nearly anything are a name."""
    environment.validate({**GOOD, "CNI_IFNAME": value}, "ADD")


@pytest.mark.parametrize("value", ["", "add", "ADD ", "ADD\n", "FOO"])
def test_unknown_command_is_refused(value: str) -> None:
    """CNI_COMMAND is one of the six verbs, letter by letter."""
    with pytest.raises(CNIError) as raised:
        environment.verb({"CNI_COMMAND": value})
    assert (raised.value.code, raised.value.msg) == (4, f"unknown CNI_COMMAND: {value}")


@pytest.mark.parametrize("value", [None, "", 7, ["n"]])
def test_absent_network_name_is_refused(value: object) -> None:
    """Without a name there is no network."""
    with pytest.raises(CNIError) as raised:
        environment.validate_network_name(value)
    assert (raised.value.code, raised.value.msg) == (7, "missing network name")


@pytest.mark.parametrize("value", ["../n", "n\n", "a b", ".n"])
def test_network_name_of_another_form_is_refused(value: str) -> None:
    """A network's name has the form of a container ID."""
    with pytest.raises(CNIError) as raised:
        environment.validate_network_name(value)
    assert (raised.value.code, raised.value.details) == (7, value)
