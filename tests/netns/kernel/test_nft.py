# SPDX-License-Identifier: Apache-2.0
"""libnftables: a transaction is applied as a whole, or refused with its cause."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import pytest
from lab import need, nft_objects, run

from cni_common.kernel import c_library, nft, nft_questions
from cni_common.kernel.nft_sets import Sets
from cni_common.spec.errors import CNIError

pytestmark = pytest.mark.usefixtures("host")
TABLE = "add table inet t\nadd map inet t m { type inet_service : ipv4_addr; }\n"


def refusal(transaction: str) -> nft.RefusedError:
    """Return the refusal of a transaction."""
    with pytest.raises(nft.RefusedError) as raised:
        nft.run(transaction)
    return raised.value


def test_transaction_is_applied() -> None:
    """What was asked for is in the kernel, as nft itself sees it."""
    need("nft")
    nft.run(TABLE + 'add element inet t m { 80 comment "c" : 10.1.2.3 }')
    (element,) = nft_objects("map", "inet", "t", "m")[0]["map"]["elem"]
    assert element == [{"elem": {"val": 80, "comment": "c"}}, "10.1.2.3"]


def test_refused_transaction_changes_nothing() -> None:
    """If the last command is refused, the first has not happened."""
    before = run("nft", "list", "ruleset")
    error = refusal(TABLE + "delete chain inet t absent")
    assert run("nft", "list", "ruleset") == before
    assert (error.code, error.is_missing, error.exists) == (999, True, False)
    assert error.msg.startswith("apply nftables transaction: ")
    assert "\n" not in error.msg
    assert "delete chain inet t absent" in error.details


def test_conflicting_element_exists() -> None:
    """The same key with another value is a conflict; the same value is none."""
    nft.run(TABLE + "add element inet t m { 80 : 10.1.2.3 }")
    nft.run("add element inet t m { 80 : 10.1.2.3 }")
    error = refusal("add element inet t m { 80 : 10.1.2.4 }")
    assert (error.exists, error.is_missing) == (True, False)


def test_syntax_error_is_neither_missing_nor_existing() -> None:
    """What the parser refuses says so in its first line."""
    error = refusal("add nonsense")
    assert (error.exists, error.is_missing) == (False, False)
    assert "syntax error" in error.msg


def test_list_is_given_as_objects() -> None:
    """The same objects that nft prints; an absent table is missing."""
    nft.run(TABLE)
    listed = [next(iter(item)) for item in nft.list_json("list table inet t")]
    assert listed == ["table", "map"]
    with pytest.raises(nft.RefusedError) as raised:
        nft.list_json("list table inet absent")
    assert raised.value.is_missing


def test_writability_is_tried_without_a_trace() -> None:
    """The check leaves no table behind."""
    nft.check_writable()
    assert nft_objects("ruleset") == []


@pytest.mark.parametrize(
    "text", ["plain", 'a"b', "a\\b", "a\nb", "a; flush ruleset", 'x" } flush ruleset #']
)
def test_quoted_text_stays_a_text(text: str) -> None:
    """Whatever is quoted ends up in the comment, and nothing else happens."""
    nft.run(TABLE)
    nft.run(f"add element inet t m {{ 80 comment {nft.quote(text)} : 10.1.2.3 }}")
    (element,) = nft_objects("map", "inet", "t", "m")[0]["map"]["elem"]
    comment = "".join(c for c in text if c not in '"\\\n')
    assert element[0]["elem"] == {"val": 80, "comment": comment}


@pytest.mark.parametrize(
    ("seam", "error"),
    [
        ("cni_common.kernel.c_library.CDLL", OSError("libnftables.so.1: no such file")),
        ("nftables.Nftables", AttributeError("undefined symbol: nft_ctx_new")),
    ],
)
def test_missing_library_names_the_packages(
    monkeypatch: pytest.MonkeyPatch, seam: str, error: Exception
) -> None:
    """Without libnftables, or with one too old, the error says what to install."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise error

    monkeypatch.setattr(seam, refuse)
    with pytest.raises(CNIError) as raised:
        nft.run(TABLE)
    assert raised.value.code == 999
    assert raised.value.msg == f"load libnftables: {error}"
    for package in ("libnftables1", "nftables-libs"):
        assert package in raised.value.details


@pytest.mark.parametrize("cause", ["", "\n", "Error: \nmore", "no such\nthing"])
def test_any_cause_gives_a_message(cause: str) -> None:
    """A refusal has one line of message, whatever libnftables says."""
    error = nft.RefusedError("add table inet t", cause)
    assert error.msg.startswith("apply nftables transaction: ")
    assert len(error.msg.splitlines()) == 1
    assert json.dumps(error.document("1.1.0"))


def test_library_is_loaded_ahead_of_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading opens nothing; without the library it fails as a transaction would."""
    nft.load()

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise OSError("libnftables.so.1: no")

    monkeypatch.setattr(c_library, "CDLL", refuse)
    with pytest.raises(CNIError) as raised:
        nft.load()
    assert "libnftables1" in raised.value.details


def test_sets_listed_once_answer_as_the_kernel_does() -> None:
    """Whoever looks at many is told the same, of elements there and not there."""
    ports = range(1000, 2000)
    elements = ", ".join(f'{port} comment "c" : 10.1.2.3' for port in ports)
    nft.run(TABLE + f"add element inet t m {{ {elements} }}")
    keys = [port.to_bytes(2, "big") for port in (*ports, 999, 2000)]
    value = Sets().of("inet t")
    with nft_questions.about("inet t") as ask:
        asked = [ask.value("m", key) for key in keys]
    assert [value("m", key) for key in keys] == asked
    assert asked[0] == bytes([10, 1, 2, 3])
    assert asked[-1] is None
    assert value("absent", keys[0]) is None
    assert Sets().of("inet absent")("m", keys[0]) is None
