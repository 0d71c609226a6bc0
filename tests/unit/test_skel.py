# SPDX-License-Identifier: Apache-2.0
"""The order of checks, the codes, and one document on stdout."""

from __future__ import annotations

import io
import os
from typing import Any

import pytest
from protocol import ENV, Probe, addressed, call, text

from cni_common.frame.skel import STDIN_MAX
from cni_common.spec.errors import CNIError
from cni_common.spec.result import Result
from cni_common.spec.versions import SUPPORTED, introduction

OWN = {**ENV, "CNI_NETNS": "/proc/thread-self/ns/net"}


@pytest.fixture
def probe() -> Probe:
    return Probe()


class Broken(io.BytesIO):
    """A stdout that takes nothing."""

    def write(self, _: Any) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("command", [None, ""])
def test_without_command_the_plugin_introduces_itself(
    probe: Probe, command: str | None
) -> None:
    """Started by hand it succeeds: about text on stderr, nothing on stdout."""
    answer = call(probe, command)
    assert (answer.status, answer.stdout) == (0, b"")
    assert answer.stderr == (
        "CNI probe plugin\nCNI protocol versions supported: "
        "0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n"
    )


def test_introduction_has_the_release() -> None:
    """nerdctl and Nomad look for it in the first line."""
    first, second = introduction("x", "1.9.1+y.2", ("1.0.0", "1.1.0")).splitlines()
    assert first == "CNI x plugin v1.9.1+y.2"
    assert second == "CNI protocol versions supported: 1.0.0, 1.1.0"


def test_add_prints_its_result(probe: Probe) -> None:
    """ADD prints the result in the configuration's version, indented by four."""
    answer = call(probe)
    assert (answer.status, answer.stderr) == (0, "")
    assert answer.stdout.startswith(b'{\n    "cniVersion": "1.1.0",')
    assert answer.document == {
        "cniVersion": "1.1.0",
        "ips": [{"address": "10.1.2.3/24"}],
    }


@pytest.mark.parametrize("command", ["DEL", "CHECK", "GC", "STATUS"])
def test_other_verbs_print_nothing(probe: Probe, command: str) -> None:
    """The verbs without a result leave stdout empty."""
    answer = call(probe, command)
    assert (answer.status, answer.stdout, answer.stderr) == (0, b"", "")
    assert probe.verbs == [command]


def test_bad_environment_comes_before_bad_stdin(probe: Probe) -> None:
    """The order is: environment, document, name, version."""
    assert call(probe, stdin=b"garbage", env={}).code == 4
    assert call(probe, stdin=b"garbage").code == 6
    assert call(probe, stdin=text(name="", cniVersion="9")).code == 7
    assert call(probe, stdin=text(cniVersion="9", mtu="x")).code == 1
    assert call(probe, stdin=text(mtu="x"), env=OWN).code == 8
    assert call(probe, stdin=text(mtu="x")).code == 7
    assert probe.calls == []


@pytest.mark.parametrize(
    "stdin",
    [b"", b"{", text(name="../x"), text(cniVersion="1.0"), b"[" * 100_000, b"\xff"],
)
def test_malformed_request_does_not_load_the_plugin(probe: Probe, stdin: bytes) -> None:
    """What is malformed is answered before anything expensive is imported."""
    assert call(probe, stdin=stdin).status == 1
    assert probe.loaded == 0


def test_stdin_may_have_a_mebibyte(probe: Probe) -> None:
    """A document of exactly 1 MiB is read, one byte more is an I/O error."""
    most = text().ljust(STDIN_MAX)
    assert call(probe, stdin=most).status == 0
    answer = call(probe, stdin=most + b" ")
    assert (answer.code, answer.document["msg"]) == (
        5,
        "read stdin: larger than 1048576 bytes",
    )


@pytest.mark.parametrize(
    "version", ["1.0", "1.1", "1.1.0 ", "1.1.0\n", "v1.1.0", "2.0.0"]
)
def test_unknown_version_is_refused(probe: Probe, version: str) -> None:
    """Only the exact words of a version are one, and the details list them all."""
    answer = call(probe, stdin=text(cniVersion=version))
    known = " ".join(f'"{known}"' for known in SUPPORTED)
    assert answer.document == {
        "cniVersion": "1.1.0",
        "code": 1,
        "msg": "incompatible CNI versions",
        "details": f'config is "{version}", plugin supports [{known}]',
    }


@pytest.mark.parametrize("version", SUPPORTED)
@pytest.mark.parametrize(
    ("command", "since"),
    [("CHECK", "0.4.0"), ("GC", "1.1.0"), ("STATUS", "1.1.0"), ("DEL", "0.1.0")],
)
def test_verb_is_allowed_since_its_version(
    probe: Probe, command: str, since: str, version: str
) -> None:
    """CHECK came with 0.4.0, GC and STATUS with 1.1.0."""
    answer = call(probe, command, text(cniVersion=version))
    if version >= since:
        assert (answer.status, probe.verbs) == (0, [command])
    else:
        assert answer.code == 1
        msg = f"config version does not allow {command}"
        assert answer.document["msg"] == msg
        assert answer.document["cniVersion"] == version
        assert probe.calls == []


@pytest.mark.parametrize("version", SUPPORTED)
def test_error_is_in_the_version_of_the_configuration(
    probe: Probe, version: str
) -> None:
    """An error document says the configuration's cniVersion."""
    probe.failure = CNIError(107, "break the probe: asked to", "as a test")
    assert call(probe, stdin=text(cniVersion=version)).document == {
        "cniVersion": version,
        "code": 107,
        "msg": "break the probe: asked to",
        "details": "as a test",
    }


def test_error_without_a_stated_version_is_in_the_oldest(probe: Probe) -> None:
    """An absent cniVersion means 0.1.0, and garbage means nothing: the newest."""
    assert call(probe, stdin=b"{}").document["cniVersion"] == "0.1.0"
    assert call(probe, stdin=b"garbage").document["cniVersion"] == "1.1.0"
    assert call(probe, env={}).document["cniVersion"] == "1.1.0"


def test_unknown_exception_is_code_999(probe: Probe) -> None:
    """The traceback is on stderr only; stdout has the one document."""
    probe.failure = ZeroDivisionError("division by zero")
    answer = call(probe)
    assert answer.document == {
        "cniVersion": "1.1.0",
        "code": 999,
        "msg": "ZeroDivisionError: division by zero",
    }
    assert answer.stderr.startswith("Traceback (most recent call last):")


def test_interrupt_is_an_error_document(probe: Probe) -> None:
    """Ctrl-C in the middle of a call is answered like any failure."""
    probe.failure = KeyboardInterrupt()
    assert call(probe).code == 999


def test_failing_stderr_costs_no_answer(probe: Probe) -> None:
    """Where the traceback cannot be written the document still is."""
    closed = io.StringIO()
    closed.close()
    probe.failure = ZeroDivisionError()
    assert call(probe, stderr=closed).code == 999
    assert call(probe, None, stderr=closed).status == 0


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_add_whose_result_cannot_be_said_is_undone(probe: Probe, version: str) -> None:
    """A result without address has no form before 0.3.0: ADD fails, and is undone."""
    probe.result = Result
    assert call(probe, stdin=text(cniVersion=version)).code == 7
    assert probe.verbs == ["ADD", "DEL"]


def test_add_whose_result_is_not_taken_is_undone(probe: Probe) -> None:
    """A runtime that does not read the result has no container to keep."""
    assert call(probe, stdout=Broken()).status == 1
    assert probe.verbs == ["ADD", "DEL"]
    assert probe.requests[1].env == {**ENV, "CNI_COMMAND": "DEL"}


def test_error_that_cannot_be_printed_is_status_1(probe: Probe) -> None:
    """With a broken stdout the exit status is all that is left."""
    assert call(probe, stdin=b"", stdout=Broken()).status == 1
    assert call(probe, "VERSION", stdout=Broken()).status == 1


@pytest.mark.parametrize("command", ["ADD", "CHECK"])
def test_own_namespace_is_refused_before_any_work(probe: Probe, command: str) -> None:
    """A CNI_NETNS that is the plugin's own gives code 8, and nothing was called."""
    answer = call(probe, command, env=OWN)
    assert (answer.code, answer.document["details"]) == (8, OWN["CNI_NETNS"])
    msg = "plugin's netns and netns from CNI_NETNS should not be the same"
    assert answer.document["msg"] == msg
    assert probe.calls == []


def test_own_namespace_is_none_on_delete(probe: Probe) -> None:
    """On DEL the container's namespace is gone when its path leads to the host's."""
    answer = call(probe, "DEL", env=OWN)
    assert (answer.status, probe.verbs) == (0, ["DEL"])


@pytest.mark.parametrize("value", ["1", "true", "True"])
def test_override_allows_the_own_namespace(probe: Probe, value: str) -> None:
    """CNI_NETNS_OVERRIDE says that it is meant."""
    assert call(probe, env={**OWN, "CNI_NETNS_OVERRIDE": value}).status == 0


@pytest.mark.parametrize("command", ["GC", "STATUS"])
def test_verbs_without_container_do_not_look_at_netns(
    probe: Probe, command: str
) -> None:
    """A CNI_NETNS that happens to be set does not concern GC and STATUS."""
    assert call(probe, command, env=OWN).status == 0


@pytest.mark.parametrize("command", ["DEL", "GC"])
def test_delete_and_gc_drop_what_is_invalid(probe: Probe, command: str) -> None:
    """A broken key does not keep the valid ones from being used."""
    assert call(probe, command, text(mtu="x", bridge="br7")).status == 0
    conf: Any = probe.calls[0][1]
    assert (conf.mtu, conf.bridge) == (0, "br7")
    assert probe.requests[0].log.warnings() == [
        f"ignore invalid key 'mtu' on {command}"
    ]


@pytest.mark.parametrize("command", ["ADD", "CHECK", "STATUS"])
def test_other_verbs_refuse_what_is_invalid(probe: Probe, command: str) -> None:
    """A broken key is an error where something is to be made or promised."""
    assert call(probe, command, text(mtu="x")).code == 7
    assert probe.calls == []


def test_ipam_plugin_keeps_route_fields(probe: Probe) -> None:
    """The result of an IPAM plugin says all of its routes in any version."""
    route = {"dst": "10.9.0.0/16", "mtu": 1300}
    probe.result = lambda: Result.read(
        {"ips": [{"address": "10.1.2.3/24"}], "routes": [route]}, "1.1.0"
    )
    stdin = text(cniVersion="0.4.0")
    assert call(probe, stdin=stdin).document["routes"] == [{"dst": "10.9.0.0/16"}]
    probe.is_ipam = True
    assert call(probe, stdin=stdin).document["routes"] == [route]


def test_exit_status_is_never_another(probe: Probe) -> None:
    """SystemExit of a library does not choose the exit status of a success."""
    probe.result = addressed
    assert {call(probe, c).status for c in ("ADD", "FOO", "VERSION", None)} == {0, 1}


def test_undo_of_an_unprinted_add_does_not_hide_its_error(probe: Probe) -> None:
    """Where the undoing fails as well, the details say so."""

    def conversion_fails() -> Result:
        probe.failure = CNIError(999, "delete probe: no")
        return Result()

    probe.result = conversion_fails
    answer = call(probe, stdin=text(cniVersion="0.2.0"))
    assert answer.code == 7
    assert answer.document["details"] == "undo: delete probe: no"


def test_gone_namespace_is_left_to_the_plugin(probe: Probe) -> None:
    """Whether a namespace must exist is for the verb to say."""
    env = {**ENV, "CNI_NETNS": "/run/netns/" + os.urandom(8).hex()}
    assert call(probe, "DEL", env=env).status == 0
