# SPDX-License-Identifier: Apache-2.0
"""Spans of calls, read by the strict parser of OTLP's own protocol description."""

from __future__ import annotations

import base64
import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import json_format
from lab import run
from netns.bridge.helpers import conf
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from cni_common.frame import trace

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Space

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
STATE = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
TRACED = {"TRACEPARENT": PARENT, "TRACESTATE": STATE}
RELAY = """#!/bin/sh
echo "$CNI_COMMAND $TRACEPARENT $TRACESTATE" >>"$(dirname "$0")/told"
[ "$CNI_COMMAND" = ADD ] || exit 0
echo '{"cniVersion": "1.1.0", "ips": [{"address": "10.4.0.9/24"}]}'
"""


@pytest.fixture
def file(host: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that an administrator names for spans."""
    del host
    place = tmp_path / "traces"
    file = tmp_path / "spans.jsonl"
    place.write_text(f"{file}\n")
    place.chmod(0o644)
    monkeypatch.setattr(trace, "PLACE", str(place))
    return file


def spans(file: Path) -> list[Span]:
    """Return all spans; each line is what OTLP's JSON is, and nothing more."""
    found = []
    for line in file.read_text().splitlines():
        document = json.loads(line)
        for resource in document["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for each in scope["spans"]:
                    _as_protobuf(each)
        data = json_format.ParseDict(
            document, TracesData(), ignore_unknown_fields=False
        )
        for one in data.resource_spans:
            named = {a.key: a.value.string_value for a in one.resource.attributes}
            assert named["service.name"] == "cnipy"
            for scope in one.scope_spans:
                found += scope.spans
    return found


def _as_protobuf(span: dict[str, Any]) -> None:
    """Have the identifiers as protobuf's own JSON has them; OTLP's are hexadecimal."""
    for key, size in (("traceId", 16), ("spanId", 8), ("parentSpanId", 8)):
        raw = bytes.fromhex(span[key])
        assert len(raw) == size
        assert span[key] == span[key].lower()
        span[key] = base64.b64encode(raw).decode()
    for key in ("startTimeUnixNano", "endTimeUnixNano"):
        assert isinstance(span[key], str)


def named(found: list[Span], name: str) -> Span:
    """Return the one span of that name."""
    (span,) = [each for each in found if each.name == name]
    return span


def told(span: Span) -> dict[str, Any]:
    """Return the attributes of a span."""
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


def test_call_continues_the_trace(cni: Cni, container: Space, file: Path) -> None:
    """A call is a child of the caller's span; steps and delegates are its own."""
    began = time.time_ns()
    document = conf(ipMasq=True)
    cni.ok("bridge", "ADD", document, netns=container, env=TRACED)
    ended = time.time_ns()
    found = spans(file)
    assert {each.trace_id.hex() for each in found} == {TRACE}
    assert {each.trace_state for each in found} == {STATE}
    assert len({each.span_id for each in found}) == len(found)
    call = named(found, "bridge")
    assert call.parent_span_id.hex() == SPAN
    assert call.kind == Span.SPAN_KIND_SERVER
    assert call.status.code == Status.STATUS_CODE_UNSET
    assert told(call) == {
        "cni.plugin": "bridge",
        "cni.command": "ADD",
        "cni.containerid": "c1",
        "cni.ifname": "eth0",
        "cni.network": document["name"],
    }
    delegate = named(found, "host-local")
    assert delegate.parent_span_id == call.span_id
    steps = [each for each in found if each.name.startswith("ensure ")]
    assert len(steps) > 2
    assert {each.parent_span_id for each in steps} == {call.span_id}
    above = {each.span_id: each for each in found}
    for each in found:
        whole = above.get(each.parent_span_id)
        low = whole.start_time_unix_nano if whole else began
        high = whole.end_time_unix_nano if whole else ended
        start, end = each.start_time_unix_nano, each.end_time_unix_nano
        assert low <= start <= end <= high, each.name
    assert (os.stat(file).st_mode & 0o777) == 0o600


def test_removal_has_steps_too(cni: Cni, container: Space, file: Path) -> None:
    """DEL tells of each part that it removes; the rest goes with the link."""
    document = conf(ipMasq=True)
    cni.ok("bridge", "ADD", document, netns=container)
    cni.ok("bridge", "DEL", document, netns=container, env=TRACED)
    found = spans(file)
    call = named(found, "bridge")
    for name in ("remove Masqueraded", "remove Veth", "host-local"):
        assert named(found, name).parent_span_id == call.span_id


def test_failure_is_the_status(cni: Cni, container: Space, file: Path) -> None:
    """The call has its code and message, and so has the part that failed."""
    run("ip", "link", "add", "br0", "type", "veth", "peer", "name", "other")
    answer = cni.refused("bridge", "ADD", conf(), netns=container, env=TRACED)
    found = spans(file)
    call = named(found, "bridge")
    assert call.status.code == Status.STATUS_CODE_ERROR
    assert answer["msg"] in call.status.message
    assert told(call)["cni.error_code"] == answer["code"]
    failed = [each for each in found if each.status.code == Status.STATUS_CODE_ERROR]
    steps = [each.name for each in failed if each.name.startswith("ensure ")]
    assert len(steps) == 1


def test_malformed_call_is_a_span(cni: Cni, file: Path) -> None:
    """One that ends before there is a request has an error, too."""
    cni.refused("bridge", "ADD", b"no JSON", netns="/run/netns/x", env=TRACED)
    call = named(spans(file), "bridge")
    assert told(call)["cni.error_code"] == 6
    assert call.status.code == Status.STATUS_CODE_ERROR


def test_program_is_told_of_our_span(
    cni: Cni, container: Space, file: Path, tmp_path: Path
) -> None:
    """A delegate of somebody else continues the trace below a span of its own."""
    relay = tmp_path / "relay"
    relay.write_text(RELAY)
    relay.chmod(0o755)
    document = conf(ipam={"type": "relay"})
    path = f"{cni.plugin_path}:{tmp_path}"
    cni.ok("bridge", "ADD", document, netns=container, path=path, env=TRACED)
    found = spans(file)
    span = named(found, "relay")
    assert span.kind == Span.SPAN_KIND_CLIENT
    assert span.parent_span_id == named(found, "bridge").span_id
    (line,) = (tmp_path / "told").read_text().splitlines()
    assert line == f"ADD 00-{TRACE}-{span.span_id.hex()}-01 {STATE}"


@pytest.mark.parametrize(
    "parent",
    [
        "",
        f"00-{TRACE}-{SPAN}-00",  # not sampled
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
        "00-../../../../etc/passwd-x-01",
        "x" * 100_000,
    ],
)
def test_nothing_is_written_unless_somebody_traces(
    cni: Cni, file: Path, parent: str
) -> None:
    """What is no parent by W3C's recommendation, or wants no spans, makes none."""
    env = {"TRACEPARENT": parent}
    answer = cni("bridge", "GC", b'{"cniVersion": "1.1.0", "name": "n"}', env=env)
    assert (answer.status, answer.stderr) == (0, "")
    assert not file.exists()


def test_later_version_is_read_as_this_one(cni: Cni, file: Path) -> None:
    """W3C has a later version begin as this one does."""
    env = {"TRACEPARENT": f"01-{TRACE}-{SPAN}-01-what-comes-later"}
    cni.ok("bridge", "GC", b'{"cniVersion": "1.1.0", "name": "n"}', env=env)
    assert named(spans(file), "bridge").trace_id.hex() == TRACE


def test_state_that_is_none_is_left_out(cni: Cni, file: Path) -> None:
    """A state with control characters is no part of our lines."""
    env = {"TRACEPARENT": PARENT, "TRACESTATE": "a=b\n{}"}
    cni.ok("bridge", "GC", b'{"cniVersion": "1.1.0", "name": "n"}', env=env)
    assert named(spans(file), "bridge").trace_state == ""


@pytest.mark.parametrize("fault", ["writable", "relative", "link", "full", "absent"])
def test_call_goes_on_without_its_spans(
    cni: Cni, file: Path, tmp_path: Path, fault: str
) -> None:
    """Where they cannot be written as they should, stderr says so, and no more."""
    place = tmp_path / "traces"
    victim = tmp_path / "victim"
    match fault:
        case "writable":
            place.chmod(0o666)
        case "relative":
            place.write_text("spans.jsonl\n")
        case "link":
            victim.write_text("mine")
            file.symlink_to(victim)
        case "full":
            place.write_text("/dev/full\n")
        case "absent":
            place.write_text(f"{tmp_path}/nowhere/spans\n")
    answer = cni("bridge", "GC", b'{"cniVersion": "1.1.0", "name": "n"}', env=TRACED)
    assert (answer.status, answer.stdout) == (0, "")
    assert "trace" in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert not victim.exists() or victim.read_text() == "mine"


def test_off_unless_a_file_is_named(
    cni: Cni, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the administrator's file nothing is told, nor said."""
    monkeypatch.setattr(trace, "PLACE", str(tmp_path / "no-such-file"))
    answer = cni("bridge", "GC", b'{"cniVersion": "1.1.0", "name": "n"}', env=TRACED)
    assert (answer.status, answer.stdout, answer.stderr) == (0, "", "")
