# SPDX-License-Identifier: Apache-2.0
"""Bad input is refused by both, and by ours with a code of the specification."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.differential.bad_inputs import BAD_INPUTS, BadInput
from tests.differential.pair import Pair, machines
from tests.runtimes.sandbox import remains
from tests.runtimes.sandbox.chain import Answer, Plugins

GOOD = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "c1",
    "CNI_NETNS": "/run/netns/c1",
    "CNI_IFNAME": "eth0",
}


@pytest.fixture(scope="module")
def both() -> Iterator[Pair]:
    """Two machines with a namespace to attach; refused calls leave them equal."""
    with machines() as pair:
        for plugins in (pair.reference, pair.ours):
            plugins.sandbox.run("ip", "netns", "add", "c1")
        yield pair


def refuse(plugins: Plugins, bad: BadInput) -> Answer:
    """Make the call and return its answer."""
    env = {**GOOD, "CNI_PATH": plugins.directory, **bad.env}
    given = {key: value for key, value in env.items() if value is not None}
    path = f"{plugins.directory}/{bad.plugin}"
    done = plugins.sandbox.run(path, stdin=bad.text, env=given, check=False)
    return Answer(done.returncode, done.stdout, done.stderr)


def last_document(text: str) -> dict[str, Any]:
    """Return the last of several JSON documents; the reference may print two."""
    decoder = json.JSONDecoder()
    documents: list[dict[str, Any]] = []
    while text := text.strip():
        document, end = decoder.raw_decode(text)
        documents.append(document)
        text = text[end:]
    return documents[-1]


def state(plugins: Plugins) -> list[str]:
    """Return what an ADD could have left on the host and in the container."""
    sandbox = plugins.sandbox
    return [
        *remains.layout(sandbox),
        *remains.layout(sandbox, netns="c1"),
        *remains.leases(sandbox),
        sandbox.run("nft", "list", "ruleset").stdout,
    ]


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=lambda bad: bad.name)
def test_reference_code(both: Pair, bad: BadInput) -> None:
    """The table tells the truth about the reference."""
    answer = refuse(both.reference, bad)
    code = last_document(answer.stdout).get("code", 0)
    assert (answer.status, code) == (int(bad.reference > 0), bad.reference)


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=lambda bad: bad.name)
def test_our_code(both: Pair, bad: BadInput) -> None:
    """Ours gives the reference's code, or the better one that the table names."""
    answer = refuse(both.ours, bad)
    assert (answer.status, answer.document["code"]) == (1, bad.expected)


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=lambda bad: bad.name)
def test_refused_call_changes_nothing(both: Pair, bad: BadInput) -> None:
    """After a refusal of ours the host and the container are as before."""
    before = state(both.ours)
    refuse(both.ours, bad)
    assert state(both.ours) == before


def test_every_difference_has_a_reason() -> None:
    """A code that differs from the reference's is explained in the table."""
    unexplained = [
        bad.name
        for bad in BAD_INPUTS
        if bad.expected != bad.reference and not bad.reason
    ]
    assert unexplained == []
