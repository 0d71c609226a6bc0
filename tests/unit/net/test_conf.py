# SPDX-License-Identifier: Apache-2.0
"""/etc/cnipy/net.toml: what is taken, what is refused, and by which words."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from cni_common.spec.errors import CNIError, Code
from cnipy import schema
from cnipy.net import conf
from launcher import keys

if TYPE_CHECKING:
    from pathlib import Path

ETCD = '[store]\nkind = "etcd"\nendpoints = ["http://192.0.2.1:2379"]\n'
FILES = '[store]\nkind = "file"\ndirectory = "/srv/net"\n'


def read(directory: Path, text: str) -> conf.NetFile:
    """Return what is read of such a file."""
    file = directory / "net.toml"
    file.write_text(text)
    return conf.read(str(file))


def test_a_node_of_each_kind_of_store(tmp_path: Path) -> None:
    """What is written is what is read, and the rest is left to the node."""
    found = read(tmp_path, f'node = "alpha"\nunderlay = ["eth0"]\n{ETCD}')
    assert (found.node, found.underlay, found.networks) == ("alpha", ["eth0"], [])
    assert found.store.endpoints == ["http://192.0.2.1:2379"]
    assert read(tmp_path, FILES).store.directory == "/srv/net"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "store"),
        ("[store", "at end of document"),
        ('[store]\nkind = "consul"\n', "store.kind"),
        ('[store]\nkind = "etcd"\n', "endpoints: there are none"),
        ('[store]\nkind = "etcd"\nendpoints = ["x"]\n', "is not https://HOST:PORT"),
        ('[store]\nkind = "file"\ndirectory = "net"\n', "'net' is no absolute path"),
        ('[store]\nkind = "file"\n', "directory: it is missing"),
        (f'{ETCD}key = "/k"\n', "certificate: it goes with key"),
        (f'{ETCD}ca = "ca.pem"\n', "'ca.pem' is no absolute path"),
        (f"nodes = 3\n{ETCD}", "no such key: nodes"),
        (f"{ETCD}users = 3\n", "no such key: store.users"),
        (f'{ETCD}cert = "/c"\n', "in [store] kind endpoints ca certificate key user"),
        (f'node = "my node"\n{ETCD}', "node: 'my node' is no label of the DNS"),
        (f"node = 3\n{ETCD}", "node"),
        (f'underlay = "eth0"\n{ETCD}', "underlay"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    text: str, cause: str, tmp_path: Path
) -> None:
    """The file, the key and the cause stand in one line."""
    with pytest.raises(CNIError) as refusal:
        read(tmp_path, text)
    assert refusal.value.code == Code.INVALID_CONFIG
    assert f"{tmp_path}/net.toml" in str(refusal.value)
    assert cause in str(refusal.value)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    """The way out is the page that says what is in it."""
    with pytest.raises(CNIError, match=r"no such file: .*many-nodes\.md") as refusal:
        conf.read(f"{tmp_path}/net.toml")
    assert refusal.value.code == Code.INVALID_CONFIG


@pytest.mark.parametrize("mode", [0o602, 0o620, 0o666])
def test_a_file_that_others_may_write_is_not_believed(
    mode: int, tmp_path: Path
) -> None:
    """Whoever writes it says whom root asks, and for which links."""
    read(tmp_path, ETCD)
    (tmp_path / "net.toml").chmod(mode)
    with pytest.raises(CNIError, match="others may write it") as refusal:
        conf.read(f"{tmp_path}/net.toml")
    assert refusal.value.code == Code.IO_FAILURE


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    """Root does not read what somebody else has it read."""
    (tmp_path / "other").write_text(ETCD)
    (tmp_path / "net.toml").symlink_to(tmp_path / "other")
    with pytest.raises(CNIError) as refusal:
        conf.read(f"{tmp_path}/net.toml")
    assert refusal.value.code == Code.IO_FAILURE


def test_schema_takes_what_is_read() -> None:
    """An editor has nothing against the page's own example, and names a wrong key."""
    judge = Draft202012Validator(schema.document(keys.known(), "net"))
    assert [*judge.iter_errors(tomllib.loads(ETCD))] == []
    wrong = tomllib.loads(f"nodes = 3\n{ETCD}")
    assert any("nodes" in each.message for each in judge.iter_errors(wrong))
