# SPDX-License-Identifier: Apache-2.0
"""Models take what Go takes, and on DEL whatever of it is valid."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field, model_validator

from cni_common.spec.errors import CNIError
from cni_common.spec.model import GoModel, parse, parse_leniently
from cni_common.spec.netconf import NetConf


class Inner(GoModel):
    data_dir: str = ""
    numbers: list[int] = Field(default_factory=list)


class Conf(NetConf):
    mtu: int = 0
    is_gateway: bool = False
    pci_id: str = Field(default="", alias="pciID")
    inner: Inner = Field(default_factory=Inner)


class Whole(NetConf):
    mtu: int = 0
    vlan: int = 0

    @model_validator(mode="after")
    def refuse_both(self) -> Whole:
        if self.mtu and self.vlan:
            raise ValueError("not both")
        return self


def read(**keys: Any) -> Conf:
    return parse(Conf, keys, "network configuration")


@pytest.mark.parametrize("key", ["isGateway", "ISGATEWAY", "isgateway", "IsGateway"])
def test_keys_match_without_regard_to_case(key: str) -> None:
    """A key is the same in any case, as runtimes really write it."""
    assert read(**{key: True}).is_gateway is True


@pytest.mark.parametrize("other", ["MTU", "Mtu"])
def test_exact_spelling_wins(other: str) -> None:
    """Of two spellings the exact one counts, in whatever order they are written."""
    for keys in ({"mtu": 1, other: 2}, {other: 2, "mtu": 1}, {"mtu": None, other: 1}):
        assert read(**keys).mtu == 1
        assert read(inner={"dataDir": "/d", "datadir": "/e"}).inner.data_dir == "/d"


def test_lenient_parsing_falls_back_to_the_other_spelling() -> None:
    """The spelling that counts is the one that is dropped for its value."""
    for document in ({"mtu": "x", "MTU": 2}, {"MTU": 2, "mtu": "x"}):
        conf, dropped = parse_leniently(Conf, document)
        assert (conf.mtu, dropped) == (2, ["mtu"])


@pytest.mark.parametrize("key", ["is_gateway", "pci_id", "data_dir"])
def test_python_name_of_a_field_is_no_key(key: str) -> None:
    """A document cannot set a field by the name that only the source knows."""
    assert read(**{key: True, "inner": {key: True}}) == Conf()
    assert Conf.unknown_keys({key: True}) == [key]


def test_fields_are_given_by_name_in_the_source() -> None:
    """The plugins themselves write fields by their names."""
    assert Conf(is_gateway=True, pci_id="x").is_gateway is True


def test_null_is_absence() -> None:
    """A key with null has its default, inside of sections too."""
    assert read(mtu=None, inner=None) == read(inner={"dataDir": None}) == Conf()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mtu", "1500"),
        ("mtu", 1500.0),
        ("mtu", True),
        ("mtu", [1500]),
        ("isGateway", "true"),
        ("isGateway", 1),
        ("pciID", 7),
        ("inner", []),
        ("args", "x"),
        ("runtimeConfig", []),
    ],
)
def test_another_type_is_code_7_with_the_key(key: str, value: object) -> None:
    """Types are strict, and the message begins with the key that was written."""
    with pytest.raises(CNIError) as raised:
        read(**{key: value})
    assert raised.value.code == 7
    assert raised.value.msg.startswith(f"parse network configuration: {key}: ")


def test_further_causes_are_details() -> None:
    """The first cause is the message, the others are the details."""
    with pytest.raises(CNIError) as raised:
        read(mtu="x", isGateway="y")
    assert raised.value.details.startswith("isGateway: ")


def test_lenient_parsing_drops_only_the_offending_key() -> None:
    """What surrounds an invalid value is kept, inside of sections too."""
    document = {
        "name": "n",
        "MTU": "x",
        "isGateway": True,
        "inner": {"dataDir": "/d", "Numbers": [1, "two"]},
    }
    conf, dropped = parse_leniently(Conf, document)
    assert (conf.name, conf.is_gateway, conf.inner.data_dir) == ("n", True, "/d")
    assert (conf.mtu, conf.inner.numbers) == (0, [])
    assert dropped == ["MTU", "inner.Numbers"]


def test_lenient_parsing_drops_every_spelling_of_an_offending_key() -> None:
    """A key that is invalid in two spellings does not come back."""
    conf, dropped = parse_leniently(Conf, {"mtu": "x", "MTU": "y"})
    assert (conf.mtu, sorted(dropped)) == (0, ["MTU", "mtu"])


def test_error_of_no_key_keeps_the_identity() -> None:
    """Keys that only contradict each other leave network and IPAM plugin known."""
    document = {"name": "n", "mtu": 1, "vlan": 2, "ipam": {"type": "t"}}
    conf, dropped = parse_leniently(Whole, document)
    assert (conf.name, conf.ipam.type) == ("n", "t")
    assert dropped == ["mtu", "vlan"]


def test_nothing_valid_leaves_the_defaults() -> None:
    """Even a wholly invalid document gives a configuration."""
    conf, dropped = parse_leniently(Conf, {"name": 7, "ipam": 7, "mtu": []})
    assert conf == Conf()
    assert dropped == ["ipam", "mtu", "name"]
