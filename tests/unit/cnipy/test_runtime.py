# SPDX-License-Identifier: Apache-2.0
"""What plugins are asked by each verb, in which order, and what failure does."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cni_common.spec.errors import CNIError
from cnipy.network import Network, load

if TYPE_CHECKING:
    from conftest import Desk  # type: ignore[attr-defined] # pytest loads it by path

    from cnipy.attachment import Attachment


def network(desk: Desk, *kinds: str, **keys: object) -> Network:
    """Return the network n with recording plugins."""
    desk.conflist(*(kinds or ("first", "second", "third")), **keys)
    return load(str(desk.conf_dir), "n")


def test_add_chains_results(desk: Desk, attachment: Attachment) -> None:
    """Each plugin gets the result of the one before; the last one's is returned."""
    result = desk.runtime.add(network(desk), attachment)
    assert desk.order == ["ADD first", "ADD second", "ADD third"]
    given = [
        len(call["conf"].get("prevResult", {}).get("ips", [])) for call in desk.calls
    ]
    assert given == [0, 1, 2]
    assert len(result["ips"]) == 3


def test_add_gives_name_version_and_variables(
    desk: Desk, attachment: Attachment
) -> None:
    """Name and version of the list go into each configuration (section 3)."""
    desk.runtime.add(network(desk, "first"), attachment)
    call = desk.calls[0]
    assert (call["conf"]["name"], call["conf"]["cniVersion"]) == ("n", "1.1.0")
    assert call["env"] == {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/run/netns/c1",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": "IgnoreUnknown=1",
        "CNI_PATH": str(desk.directory / "bin"),
    }


def test_capabilities_select_the_runtime_config(
    desk: Desk, attachment: Attachment
) -> None:
    """A plugin gets the capabilities that it declares, and those only."""
    wanted = {"portMappings": True, "mac": False, "bandwidth": True}
    plugins = [{"type": "first", "capabilities": wanted}, {"type": "second"}]
    desk.runtime.add(network(desk, plugins=plugins), attachment)
    first, second = (call["conf"] for call in desk.calls)
    assert list(first["runtimeConfig"]) == ["portMappings"]
    assert "capabilities" not in first
    assert "runtimeConfig" not in second


def test_failed_add_is_undone_and_not_cached(
    desk: Desk, attachment: Attachment
) -> None:
    """A failing plugin ends the ADD; the whole list is asked to DEL, in reverse."""
    desk.env["FAIL_second"] = "ADD"
    with pytest.raises(CNIError, match="second: not today") as failure:
        desk.runtime.add(network(desk), attachment)
    assert failure.value.code == 42
    undone = ["DEL third", "DEL second", "DEL first"]
    assert desk.order == ["ADD first", "ADD second", *undone]
    assert os.listdir(desk.cache.results) == []


def test_repeated_add_leaves_the_attachment_alone(
    desk: Desk, attachment: Attachment
) -> None:
    """An attachment that exists is neither added again nor torn down by the try."""
    desk.runtime.add(network(desk, "first"), attachment)
    with pytest.raises(CNIError, match="already attached"):
        desk.runtime.add(network(desk, "first"), attachment)
    assert desk.order == ["ADD first"]


def test_delete_goes_back_with_the_cached_result(
    desk: Desk, attachment: Attachment
) -> None:
    """DEL asks in reverse order, each with the final result, then forgets it."""
    desk.runtime.add(network(desk), attachment)
    bare = replace(attachment, capability_args={}, args=())
    desk.runtime.delete(network(desk), bare)
    assert desk.order[3:] == ["DEL third", "DEL second", "DEL first"]
    assert all(len(c["conf"]["prevResult"]["ips"]) == 3 for c in desk.calls[3:])
    assert desk.calls[3]["env"]["CNI_ARGS"] == "IgnoreUnknown=1"
    assert os.listdir(desk.cache.results) == []


def test_delete_goes_on_past_a_failure(desk: Desk, attachment: Attachment) -> None:
    """One failing plugin does not keep the others from cleaning up."""
    desk.runtime.add(network(desk), attachment)
    desk.env["FAIL_third"] = "DEL"
    with pytest.raises(CNIError, match="third: not today"):
        desk.runtime.delete(network(desk), attachment)
    assert desk.order[3:] == ["DEL third", "DEL second", "DEL first"]
    assert len(os.listdir(desk.cache.results)) == 1


def test_delete_of_the_unknown_is_harmless(desk: Desk, attachment: Attachment) -> None:
    """Without a cached result DEL is asked all the same, without prevResult."""
    desk.runtime.delete(network(desk, "first"), attachment)
    assert desk.order == ["DEL first"]
    assert "prevResult" not in desk.calls[0]["conf"]


def test_delete_before_0_4_has_no_previous_result(
    desk: Desk, attachment: Attachment
) -> None:
    """PrevResult on DEL came with 0.4.0."""
    old = network(desk, "first", cniVersion="0.3.1")
    desk.runtime.add(old, attachment)
    desk.runtime.delete(old, attachment)
    assert "prevResult" not in desk.calls[1]["conf"]


def test_delete_survives_a_damaged_cache(desk: Desk, attachment: Attachment) -> None:
    """A cache file that is no JSON does not keep a container attached."""
    found = network(desk, "first")
    desk.runtime.add(found, attachment)
    with open(desk.cache.path("n", attachment), "w") as file:
        file.write("{")
    desk.runtime.delete(found, attachment)
    assert os.listdir(desk.cache.results) == []


def test_check_asks_in_order(desk: Desk, attachment: Attachment) -> None:
    """CHECK goes forward, with the final result for everybody."""
    desk.runtime.add(network(desk), attachment)
    desk.runtime.check(network(desk), attachment)
    assert desk.order[3:] == ["CHECK first", "CHECK second", "CHECK third"]
    assert all(len(c["conf"]["prevResult"]["ips"]) == 3 for c in desk.calls[3:])


def test_check_can_be_disabled(desk: Desk, attachment: Attachment) -> None:
    """DisableCheck makes CHECK succeed without asking."""
    desk.runtime.check(network(desk, disableCheck=True), attachment)
    assert desk.order == []


def test_check_before_0_4_is_refused(desk: Desk, attachment: Attachment) -> None:
    """A list of before 0.4.0 has no CHECK."""
    with pytest.raises(CNIError, match="no CHECK"):
        desk.runtime.check(network(desk, cniVersion="0.3.1"), attachment)


def test_check_of_the_unknown_is_an_error(desk: Desk, attachment: Attachment) -> None:
    """Without a cached result nothing can be compared."""
    with pytest.raises(CNIError, match="no cached result"):
        desk.runtime.check(network(desk), attachment)


def test_gc_deletes_the_invalid_and_tells_the_valid(
    desk: Desk, attachment: Attachment
) -> None:
    """Stale attachments get DEL; then each plugin gets the valid ones in both keys."""
    found = network(desk, "first", "second")
    for container_id in ("c1", "c2"):
        desk.runtime.add(found, replace(attachment, container_id=container_id))
    assert desk.runtime.gc(found, {("c2", "eth0")}) == ["c1/eth0"]
    assert desk.order[4:] == ["DEL second", "DEL first", "GC first", "GC second"]
    valid = [{"containerID": "c2", "ifname": "eth0"}]
    conf = desk.calls[-1]["conf"]
    assert conf["cni.dev/valid-attachments"] == valid
    assert conf["cni.dev/attachments"] == valid
    assert "runtimeConfig" not in conf


def test_gc_goes_on_past_a_failure(desk: Desk) -> None:
    """A plugin that fails does not keep the next from collecting (section 3)."""
    desk.env["FAIL_first"] = "GC"
    with pytest.raises(CNIError, match="first: not today"):
        desk.runtime.gc(network(desk), set())
    assert desk.order == ["GC first", "GC second", "GC third"]


def test_gc_before_1_1_only_deletes(desk: Desk, attachment: Attachment) -> None:
    """Plugins of before 1.1.0 know no GC; cached attachments are deleted still."""
    found = network(desk, "first", cniVersion="1.0.0")
    desk.runtime.add(found, attachment)
    desk.runtime.gc(found, set())
    assert desk.order == ["ADD first", "DEL first"]


def test_gc_can_be_disabled(desk: Desk, attachment: Attachment) -> None:
    """DisableGC leaves everything as it is."""
    found = network(desk, "first", disableGC=True)
    desk.runtime.add(found, attachment)
    assert desk.runtime.gc(found, set()) == []
    assert desk.order == ["ADD first"]


def test_gc_leaves_other_networks_alone(desk: Desk, attachment: Attachment) -> None:
    """Cached attachments of another network are not touched."""
    other = replace(network(desk, "first"), name="other")
    desk.runtime.add(other, attachment)
    desk.runtime.gc(network(desk, "first"), set())
    assert desk.order == ["ADD first", "GC first"]


def test_status_returns_the_first_error(desk: Desk) -> None:
    """STATUS asks in order, and the first plugin that is not ready ends it."""
    desk.env["FAIL_second"] = "STATUS"
    with pytest.raises(CNIError, match="second: not today"):
        desk.runtime.status(network(desk))
    assert desk.order == ["STATUS first", "STATUS second"]


def test_versions_of_every_plugin(desk: Desk) -> None:
    """Each plugin of the list is asked which versions it supports."""
    versions = desk.runtime.versions(network(desk, "first", "second"))
    assert versions == {k: ["0.4.0", "1.0.0"] for k in ("first", "second")}


def test_missing_plugin_is_named_with_the_path(
    desk: Desk, attachment: Attachment
) -> None:
    """A type that no file has is an error with the directories searched."""
    with pytest.raises(CNIError, match="absent"):
        desk.runtime.add(network(desk, "absent"), attachment)


def test_plugin_without_error_document_is_quoted(
    desk: Desk, attachment: Attachment
) -> None:
    """What a broken plugin wrote to stderr reaches the operator."""
    (desk.directory / "bin/first").write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    with pytest.raises(CNIError, match="broken"):
        desk.runtime.add(network(desk, "first"), attachment)


def test_cache_is_as_libcni_writes_it(desk: Desk, attachment: Attachment) -> None:
    """Keys, name, mode and content of the cache file are libcni's."""
    found = network(desk, "first")
    result = desk.runtime.add(found, attachment)
    path = desk.directory / "cache/results/n-c1-eth0"
    document = json.loads(path.read_text())
    assert list(document) == [
        "kind",
        "containerId",
        "config",
        "ifName",
        "networkName",
        "netns",
        "cniArgs",
        "capabilityArgs",
        "result",
    ]
    assert document["kind"] == "cniCacheV1"
    assert document["cniArgs"] == [["IgnoreUnknown", "1"]]
    assert document["result"] == result
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_cached_result_is_converted_to_the_lists_version(
    desk: Desk, attachment: Attachment
) -> None:
    """When the list was changed meanwhile, DEL gets the result in the new version."""
    desk.runtime.add(network(desk, "first", cniVersion="1.0.0"), attachment)
    desk.runtime.delete(network(desk, "first", cniVersion="0.4.0"), attachment)
    assert desk.calls[1]["conf"]["prevResult"]["ips"][0]["version"] == "4"
