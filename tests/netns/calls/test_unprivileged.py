# SPDX-License-Identifier: Apache-2.0
"""Who may not configure networks is told so, once."""

from __future__ import annotations

import json
import os
from ctypes import CDLL, Structure, byref, c_int, c_uint32
from typing import TYPE_CHECKING

import chains
import pytest
from chains import EVERY, Container
from lab import need

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host

HINT = "run as root: plugins need CAP_NET_ADMIN and CAP_SYS_ADMIN"


@pytest.mark.parametrize(
    ("plugin", "uid"),
    # dnsname needs no capability: its files are root's, and dnsmasq does without.
    [(name, 65534) for name in EVERY]
    + [(name, 0) for name in EVERY if name != "dnsname"],
)
def test_refusal_says_who_may(
    host: Host, cni: Cni, tmp_path: Path, plugin: str, uid: int
) -> None:
    """Without privileges, as nobody or as a root that has none, ADD says what to do."""
    need("dnsmasq")
    chains.prepare(host)
    it = Container(cni, host.space(), 1)
    it.add(*chains.earlier(plugin))
    with open(tmp_path / "answer", "w", encoding="utf-8") as file:
        child = os.fork()
        if child == 0:
            try:
                os.setresuid(65534, 65534, 65534) if uid else drop_capabilities()
                answer = it.call("ADD", plugin)
                json.dump([answer.status, answer.stdout, answer.stderr], file)
                file.flush()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
    status, stdout, stderr = json.loads((tmp_path / "answer").read_text())
    assert status == 1
    assert "Traceback" not in stderr
    error = json.loads(stdout)
    told = f"{error['msg']}; {error.get('details', '')}".lower()
    assert error.get("details", "").endswith(HINT), told
    causes = told.count("operation not permitted") + told.count("permission denied")
    assert causes == 1, told


def drop_capabilities() -> None:
    """Have no capability in force, as root of a container."""

    class Header(Structure):
        _fields_ = (("version", c_uint32), ("pid", c_int))

    nothing = (c_uint32 * 6)()
    assert CDLL(None).capset(byref(Header(0x20080522, 0)), nothing) == 0
