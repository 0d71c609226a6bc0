# SPDX-License-Identifier: Apache-2.0
"""Delegation: which file is found, what it is given, and what becomes of its answer."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from protocol import ENV, Probe

from cni_common.frame import delegate, execute
from cni_common.spec.errors import CNIError
from cni_common.spec.request import Request
from cni_common.spec.result import Result

if TYPE_CHECKING:
    from pathlib import Path

CONF = (
    b' {"cniVersion": "1.0.0",\n "name": "n", "ipam": {"type": "ipam"}, "x": "\xff"} '
)
# What newer runtimes add, so that a call is seen as a part of what they do.
TRACE = {
    "TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "TRACESTATE": "vendor=t61rcWkgMzE",
    "BAGGAGE": "pod=web",
}
RESULT = {"cniVersion": "1.0.0", "ips": [{"address": "10.1.2.3/24"}]}


class Delegate:
    """An executable called "ipam" in a directory, and the calls that it got."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "ipam"

    def program(self, body: str) -> None:
        """Have an sh script that notes its call and then does `body`."""
        note = (
            f'd="{self.directory}"; echo "$CNI_COMMAND" >>"$d/verbs"\n'
            'cat >"$d/stdin.$CNI_COMMAND"; env -0 >"$d/env.$CNI_COMMAND"\n'
        )
        self.file.write_text(f"#!/bin/sh\n{note}{body}\n")
        self.file.chmod(0o755)

    def answers(self, document: object) -> None:
        """Have it print `document` on ADD."""
        (self.directory / "answer").write_text(json.dumps(document))
        self.program('[ "$CNI_COMMAND" != ADD ] || cat "$d/answer"')

    @property
    def verbs(self) -> list[str]:
        """The verbs that it was called with."""
        noted = self.directory / "verbs"
        return noted.read_text().split() if noted.exists() else []


@pytest.fixture
def ipam(tmp_path: Path) -> Delegate:
    return Delegate(tmp_path)


def request(ipam: Delegate, command: str = "ADD", **env: str) -> Request:
    """Return a request whose CNI_PATH is the delegate's directory."""
    variables = {**ENV, "CNI_PATH": str(ipam.directory), "CNI_COMMAND": command, **env}
    return Request.read(command, variables, CONF)


def refusal(ipam: Delegate, verb: Any = delegate.add, **env: str) -> CNIError:
    """Return the error of a delegation that must fail."""
    with pytest.raises(CNIError) as raised:
        verb("ipam", request(ipam, **env))
    return raised.value


def test_first_regular_file_is_found(tmp_path: Path) -> None:
    """Directories, absent ones and dangling links of the name are passed over."""
    directories = [tmp_path / name for name in "abcd"]
    for directory in directories[1:]:
        directory.mkdir()
    (tmp_path / "b" / "p").mkdir()
    (tmp_path / "c" / "p").symlink_to("nowhere")
    (tmp_path / "d" / "real").write_text("")
    (tmp_path / "d" / "p").symlink_to("real")
    path = tuple(map(str, directories))
    assert delegate.find("p", path) == str(tmp_path / "d" / "p")


@pytest.mark.parametrize("name", ["a/b", "../p", "/bin/sh", ".", "..", "a\0b"])
def test_name_that_is_a_path_is_refused(name: str) -> None:
    """A type is a file's name, and leads nowhere else."""
    with pytest.raises(CNIError) as raised:
        delegate.find(name, ("/bin",))
    assert raised.value.code == 7
    assert "invalid plugin name" in raised.value.msg


@pytest.mark.parametrize("name", ["../ipam", "", "..", "a\0b"])
def test_delete_by_a_name_that_is_none_has_nothing_to_do(
    ipam: Delegate, name: str
) -> None:
    """No ADD can have leased by it, so DEL does not fail, whatever CNI_PATH is."""
    delegate.delete(name, request(ipam, "DEL", CNI_PATH=""))


def test_empty_name_and_path_have_their_codes() -> None:
    """No name is the configuration's fault, no path the environment's."""
    for name, path, code in (
        ("", ("/bin",), 7),
        ("p", (), 4),
        ("p", ("/a", "/b"), 999),
    ):
        with pytest.raises(CNIError) as raised:
            delegate.find(name, path)
        assert raised.value.code == code
    assert raised.value.msg == "find plugin 'p': not in CNI_PATH [/a /b]"


@pytest.mark.parametrize("verb", ["ADD", "DEL", "CHECK", "GC", "STATUS"])
def test_executed_delegate_gets_the_same_call(ipam: Delegate, verb: str) -> None:
    """The bytes of stdin and the environment are ours, CNI_COMMAND excepted."""
    ipam.answers(RESULT)
    name = {"DEL": "delete"}.get(verb, verb.lower())
    given = {"CNI_ARGS": "K=\udcff", "ODD": "x\ny", "PATH": os.environ["PATH"], **TRACE}
    getattr(delegate, name)("ipam", request(ipam, "FROM", **given))
    assert (ipam.directory / f"stdin.{verb}").read_bytes() == CONF
    raw = (ipam.directory / f"env.{verb}").read_bytes().rstrip(b"\0").split(b"\0")
    got = dict(os.fsdecode(item).split("=", 1) for item in raw)
    for key in ("PWD", "OLDPWD", "SHLVL", "_"):  # the shell's own
        got.pop(key, None)
    path = {"CNI_PATH": str(ipam.directory), "CNI_COMMAND": verb}
    assert got == {**ENV, **given, **path}


@pytest.mark.parametrize("version", ["0.2.0", "0.4.0", "1.1.0"])
def test_result_in_another_version_is_understood(ipam: Delegate, version: str) -> None:
    """A delegate may answer in any version that it says."""
    ipam.answers(Result.read(RESULT, "1.0.0").document(version))
    result = delegate.add("ipam", request(ipam))
    assert [str(ip.address) for ip in result.ips] == ["10.1.2.3/24"]
    assert ipam.verbs == ["ADD"]


def test_result_without_version_is_in_ours(ipam: Delegate) -> None:
    """A result that states no version has the configuration's."""
    ipam.answers({"ips": RESULT["ips"]})
    assert delegate.add("ipam", request(ipam)).document("1.0.0") == RESULT


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"cniVersion": "9.9.9"}, 1),
        ({"cniVersion": "x"}, 1),
        ({"cniVersion": 1}, 6),
        ([], 6),
        ({"cniVersion": "1.0.0", "ips": 7}, 7),
    ],
)
def test_result_that_is_none_is_undone(
    ipam: Delegate, answer: object, code: int
) -> None:
    """What cannot be understood is an error, and the delegate releases again."""
    ipam.answers(answer)
    assert refusal(ipam).code == code
    assert ipam.verbs == ["ADD", "DEL"]


@pytest.mark.parametrize("output", ["", "garbage", "{}{}"])
def test_garbage_instead_of_a_result_is_undone(ipam: Delegate, output: str) -> None:
    """Nothing or no JSON on stdout is a decode error that names the delegate."""
    ipam.program(f"printf '%s' '{output}'")
    error = refusal(ipam)
    assert error.code == 6
    assert error.msg.startswith("decode result of ipam: ")
    assert ipam.verbs == ["ADD", "DEL"]


def test_failing_add_is_followed_by_delete(ipam: Delegate) -> None:
    """The delegate's own error is the one that is told, whatever its DEL says."""
    document = {"cniVersion": "1.0.0", "code": 11, "msg": "wait", "details": "d"}
    ipam.program(f"echo '{json.dumps(document)}'; echo words >&2; exit 1")
    one = request(ipam)
    with pytest.raises(CNIError) as raised:
        delegate.add("ipam", one)
    error = raised.value
    assert (error.code, error.msg, error.details) == (11, "wait", "d")
    assert ipam.verbs == ["ADD", "DEL"]
    assert one.log.warnings() == ["undo ADD of ipam: wait: d"]


@pytest.mark.parametrize(
    "output",
    [
        "",
        "garbage",
        "[]",
        '{"code": true, "msg": "m"}',
        '{"code": "1", "msg": "m"}',
        '{"code": 0, "msg": "m"}',
        '{"code": 7, "msg": 7}',
        '{"code": 7}',
    ],
)
def test_failure_without_error_document_has_the_words(
    ipam: Delegate, output: str
) -> None:
    """Exit status and stderr stand for an error that is none."""
    ipam.program(f"echo '{output}'; echo some words >&2; exit 3")
    error = refusal(ipam, delegate.check)
    assert (error.code, error.msg) == (999, "execute plugin ipam: exit status 3")
    assert error.details == "some words"


def test_code_and_words_without_details(ipam: Delegate) -> None:
    """Details of another type are left out, and keys match in any case."""
    ipam.program("""echo '{"Code": 107, "MSG": "m", "details": 7}'; exit 1""")
    error = refusal(ipam, delegate.delete)
    assert (error.code, error.msg, error.details) == (107, "m", "")


def test_killed_delegate_is_an_error(ipam: Delegate) -> None:
    """The signal that ended it is named."""
    ipam.program("kill -9 $$")
    error = refusal(ipam, delegate.status)
    assert error.msg == "execute plugin ipam: ended by signal 9"
    assert error.details == "no error message"


def test_stderr_of_a_delegate_is_forwarded(
    ipam: Delegate, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it says to the administrator arrives, even on success."""
    ipam.program(r"printf 'warning \377\n' >&2")
    delegate.delete("ipam", request(ipam))
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "warning \ufffd\n")


def test_delegate_that_does_not_read_its_stdin(ipam: Delegate) -> None:
    """A delegate may ignore its input, however long that is."""
    ipam.file.write_text("#!/bin/sh\nexec true\n")
    ipam.file.chmod(0o755)
    one = Request.read("DEL", request(ipam).env, CONF.ljust(1 << 20))
    delegate.delete("ipam", one)


def test_file_that_cannot_be_executed_is_an_error(ipam: Delegate) -> None:
    """The executable bit is not part of the search, as in the reference."""
    ipam.file.write_text("")
    error = refusal(ipam, delegate.gc)
    assert (error.code, error.msg) == (999, "execute plugin ipam: permission denied")
    ipam.file.chmod(0o755)
    ipam.file.write_bytes(b"\x7fELF")
    assert refusal(ipam, delegate.gc).msg == "execute plugin ipam: exec format error"


def test_busy_file_is_tried_again(
    ipam: Delegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An executable that is being written is waited for."""
    ipam.answers(RESULT)
    writing = ipam.file.open("ab")
    monkeypatch.setattr(time, "sleep", lambda _: writing.close())
    assert delegate.add("ipam", request(ipam)).document("1.0.0") == RESULT


def test_file_that_stays_busy_is_an_error(
    ipam: Delegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After five attempts the error is told."""
    ipam.answers(RESULT)
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with ipam.file.open("ab"):
        error = refusal(ipam, delegate.delete)
    assert error.msg == "execute plugin ipam: text file busy"
    assert pauses == [0.05] * 4


def test_our_own_plugin_is_called_in_process(ipam: Delegate) -> None:
    """Nothing is executed, and the plugin sees the verb, bytes and variables."""
    ipam.file.write_text("")
    probe = Probe()
    asked = []

    def ours(path: str) -> Any:
        asked.append(path)
        return probe.load()

    one = Request.read("ADD", request(ipam).env, CONF, in_process=ours)
    assert delegate.add("ipam", one).document("1.0.0") == RESULT
    for verb in (delegate.check, delegate.delete):
        verb("ipam", one)
    assert probe.verbs == ["ADD", "CHECK", "DEL"]
    assert set(asked) == {str(ipam.file)}
    assert [r.stdin for r in probe.requests] == [CONF] * 3
    assert probe.requests[1].env == {**one.env, "CNI_COMMAND": "CHECK"}


@pytest.mark.parametrize("failure", [CNIError(11, "m"), OSError(28, "full")])
def test_failing_add_in_process_is_followed_by_delete(
    ipam: Delegate, failure: Exception
) -> None:
    """The same holds for a plugin of ours, whatever it raises, and twice over."""
    ipam.file.write_text("")
    probe = Probe(failure=failure)
    env = request(ipam).env
    one = Request.read("ADD", env, CONF, in_process=lambda _: probe.load())
    with pytest.raises(type(failure)) as raised:
        delegate.add("ipam", one)
    assert raised.value is failure
    assert probe.verbs == ["ADD", "DEL"]


def test_other_descriptors_stay_with_us(tmp_path: Path) -> None:
    """A child gets its three streams and nothing else that is open here."""
    kept = os.open(tmp_path, os.O_RDONLY)
    _, output, _ = execute.execute(["/bin/ls", "-l", "/proc/self/fd"], b"", {})
    os.close(kept)
    assert str(tmp_path).encode() not in output
