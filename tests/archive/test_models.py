# SPDX-License-Identifier: Apache-2.0
"""Models in a packed file are what they are in the source: pydantic's, to the word."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from functools import cache
from typing import TYPE_CHECKING, Any

import model_answers
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher import schemas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hypothesis.strategies import SearchStrategy

    Ask = Callable[..., Any]

MODELS = {schemas.path_of(model): model for model in schemas.models()}
WRITTEN = {path: schemas.Writer(model).whole() for path, model in MODELS.items()}

WORDS = st.sampled_from(
    [
        *("", "tcp", "UDP", "info", "open", "Isolated", "nftables", "ready", "/a"),
        *("a\0", "eth0", "\ud800", "\udfff x", "ß", "\u017f", "10.1.2.3", "fe80::1%a"),
    ]
)
ADDRESSES = st.sampled_from(
    [
        *("10.1.2.3", "10.1.2.3/24", "10.1.2.3/33", "::1", "fd00::1/64", "1/2"),
        *("::ffff:10.1.2.3", "::ffff:10.1.2.3/120", "fe80::1%eth0", "010.1.2.3"),
        *("00:11:22:33:44:55", "00-11-22-AA-44-55", "0011.2233.4455"),
    ]
)
NUMBERS = st.sampled_from([0, -1, 1, 31, 32, 65535, 65536, 2**31, 2**64 - 1, 2**64])
OTHERS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    WORDS,
    st.text(max_size=5),
    st.ip_addresses(),
    st.sampled_from([(), (1,), b"x", {1: 2}, {"\ud800": 1}]),
)
JSON = st.recursive(
    OTHERS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4) | WORDS, inner, max_size=3)
    ),
    max_leaves=4,
)


def values(node: dict[str, Any]) -> SearchStrategy[Any]:
    """Draw what a node of a schema takes or nearly takes."""
    kind = node["type"]
    if kind == "model-of":
        return mostly(st.deferred(lambda: documents(node["cls"])))
    if kind in {"nullable", "default", "function-before", "function-after"}:
        return values(node["schema"]) | WORDS
    if kind == "list":
        return mostly(st.lists(mostly(values(node["items_schema"])), max_size=3))
    if kind == "dict":
        inner = mostly(values(node["values_schema"]))
        return mostly(st.dictionaries(st.text(max_size=4) | WORDS, inner, max_size=3))
    plain = {
        "bool": st.booleans(),
        "int": NUMBERS,
        "literal": st.sampled_from(node.get("expected", [""])) | WORDS,
        "function-plain": ADDRESSES,
        "str": WORDS | ADDRESSES,
    }
    return mostly(plain.get(kind, JSON))


def mostly(strategy: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Draw of `strategy`, and one time in eight something else."""
    return st.one_of([strategy] * 7 + [JSON])


@cache
def documents(path: str) -> SearchStrategy[dict[Any, Any]]:
    """Draw documents for a model: its keys in any case, some twice, and others."""
    node = WRITTEN[path]
    while node["type"] != "model-fields":
        node = node["schema"]
    members = [
        st.tuples(st.sampled_from(_spellings(name, field["alias"])), values(inner))
        for name, field in node["fields"].items()
        for inner in [field["schema"]]
    ]
    members.append(st.tuples(st.text(max_size=3), JSON))
    needed = [
        st.tuples(st.just(field["alias"]), values(field["schema"]))
        for field in node["fields"].values()
        if not {"default", "default_at", "default_factory"} & field["schema"].keys()
    ]
    some = st.lists(st.one_of(members), max_size=6)
    return st.tuples(some, st.tuples(*needed)).map(lambda two: dict([*two[1], *two[0]]))


def _spellings(name: str, alias: str) -> list[str]:
    return [alias, alias, alias, name, alias.upper(), alias.lower(), f"{alias}x"]


@pytest.fixture(scope="module")
def ask(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Ask the models of the packed file, in an interpreter that has no others."""
    tree = tmp_path_factory.mktemp("tree")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tree)
    words = [sys.executable, "-I", "-S", model_answers.__file__, tree / "site-packages"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        lines, found = process.stdin, process.stdout

        def answer(function: str, *arguments: Any) -> str:
            lines.write(ascii((function, arguments)) + "\n")
            lines.flush()
            return found.readline().rstrip("\n")

        yield answer
        lines.close()


@pytest.mark.parametrize("path", MODELS)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_packed_model_does_what_pydantic_does(
    ask: Ask, path: str, data: st.DataObject
) -> None:
    """Values, types, fields given, messages, details and dropped keys are the same."""
    document = data.draw(mostly(documents(path)))
    assert ask("answers", path, document) == ascii(
        model_answers.answers(path, document)
    )


@pytest.mark.parametrize(
    "expression",
    [
        "IP(address='10.1.2.3/24')",
        "IP(address=IPv4Interface('10.1.2.3/24'), interface=True)",
        "IP(address=ip_network('10.1.2.0/24'), gateway=IPv4Address('10.1.2.1'))",
        "IP()",
        "IP(1)",
        "IP.address",
        "IP(address='::1/64').nothing",
        "setattr(IP(address='::1/64'), 'gateway', None)",
        "delattr(IP(address='::1/64'), 'gateway')",
        "Interface(name='eth0', pci_id='0', pciID='1', PCIID='2')",
        "Interface.model_construct(name=1, pci_id=2, other=3)",
        "Interface.model_construct().name",
        "{Interface(name='a'), Interface(name='a'), Interface(name='a', mtu=0)}",
        "Result(ips=[IP(address='10.1.2.3/24')], dns=Dns(search=[]))",
        "Result(dns=Route(dst='10.0.0.0/8'))",
        "Result(dns=1, ips=(), routes=[{}])",
        "Result().model_copy(update={'dns': None, 'other': 1})",
        "Result(routes=[{'dst': '10.1.2.3/8', 'gw': ''}]).document('1.1.0')",
        "dict(Dns(domain='x'))",
        "Dns() == {}",
        "Dns() == Dns(domain='')",
        "Dns() == Result()",
    ],
)
def test_packed_values_are_made_and_used_as_in_the_source(
    ask: Ask, expression: str
) -> None:
    """Constructors, copies, comparisons and refusals are the same."""
    assert ask("made", expression) == ascii(model_answers.made(expression))
