# SPDX-License-Identifier: Apache-2.0
"""Whatever comes in, one JSON document or nothing comes out."""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from protocol import ENV, Probe, Reply, call

from cni_common.spec.environment import VERBS
from cni_common.spec.versions import SUPPORTED


def faults(answer: Reply, command: str) -> list[str]:
    """Describe what is wrong with an answer in any case."""
    if answer.status == 0:
        silent = command not in {"ADD", "VERSION"}
        return [] if bool(answer.stdout) != silent else ["stdout"]
    document = answer.document
    found = []
    if answer.status != 1:
        found.append("status")
    if document["cniVersion"] not in SUPPORTED:
        found.append("cniVersion")
    if document["code"] not in {1, 4, 5, 6, 7, 8}:
        found.append(f"code {document['code']}")
    if not isinstance(document["msg"], str) or not document["msg"]:
        found.append("msg")
    return found


def variables() -> st.SearchStrategy[dict[str, str]]:
    """Return environments as the kernel may hand them over: bytes without NUL."""
    value = st.binary(max_size=20).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"")))
    names = (*ENV, "CNI_ARGS", "CNI_NETNS_OVERRIDE")
    return st.dictionaries(st.sampled_from(names), value | st.sampled_from(VERBS))


@given(st.binary(max_size=300), st.sampled_from(VERBS))
def test_any_bytes_on_stdin(stdin: bytes, command: str) -> None:
    """Arbitrary bytes give a success or one error document."""
    assert faults(call(Probe(), command, stdin), command) == []


@given(variables(), st.sampled_from((*VERBS, "FOO")))
def test_any_environment(env: dict[str, str], command: str) -> None:
    """Arbitrary variables give a success or one error document."""
    assert faults(call(Probe(), command, env=env), command) == []


KEYS = st.sampled_from(
    (
        "cniVersion",
        "CNIVERSION",
        "name",
        "type",
        "ipam",
        "IPAM",
        "dns",
        "args",
        "runtimeConfig",
        "prevResult",
        "mtu",
        "bridge",
        "logLevel",
        "cni.dev/valid-attachments",
    )
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(SUPPORTED),
    lambda part: (
        st.lists(part, max_size=3)
        | st.dictionaries(KEYS | st.text(max_size=5), part, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES), st.sampled_from(VERBS))
def test_any_document(document: dict[str, Any], command: str) -> None:
    """Arbitrary values under the known keys give a success or one error document."""
    stdin = json.dumps({"name": "n", "cniVersion": "1.1.0"} | document).encode()
    answer = call(Probe(), command, stdin)
    if command != "VERSION" or answer.status:
        assert faults(answer, command) == []
