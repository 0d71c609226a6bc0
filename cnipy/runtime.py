# SPDX-License-Identifier: Apache-2.0
"""What a runtime does with a list of plugins (section 3), as libcni does it.

It goes beyond libcni where libcni leaves things behind: a failed ADD is followed by a
DEL of the whole list, and a DEL goes on past a plugin that fails.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from cni_common.frame.delegate import find
from cni_common.spec import gojson
from cni_common.spec.errors import CNIError, Code, of_os
from cni_common.spec.values import dataclass, replace
from cni_common.spec.versions import CHECK_SINCE, GC_AND_STATUS_SINCE, OLDEST
from cnipy.cache import check_key
from cnipy.network import version_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from cnipy.attachment import Attachment
    from cnipy.cache import Cache, Entry
    from cnipy.invoke import Invoker
    from cnipy.network import Network

ATTACHMENT_KEYS = ("cni.dev/valid-attachments", "cni.dev/attachments")


@dataclass(frozen=True)
class Runtime:
    """Verbs on whole networks; each raises CNIError with the message of a plugin."""

    invoker: Invoker
    cache: Cache

    def add(self, network: Network, attachment: Attachment) -> dict[str, Any]:
        """Attach a container; return the result of the last plugin, now cached."""
        check_key(network.name, attachment)
        with self.cache.locked(alone=False):
            if os.path.lexists(self.cache.path(network.name, attachment)):
                msg = f"add {attachment.ifname} to {network.name}: already attached"
                hint = f"del {network.name} {attachment.netns} comes first"
                raise CNIError(Code.INTERNAL, msg, hint)
            try:
                result = self._add_plugins(network, attachment)
                self.cache.write(network, attachment, result)
            except (CNIError, OSError) as error:
                left = self._delete_plugins(network, attachment, {})
                raise joined([_as_cni_error(error)], undoing=left) from error
        return result

    def delete(self, network: Network, attachment: Attachment) -> None:
        """Detach a container, in reverse order; all errors are reported together."""
        check_key(network.name, attachment)
        with self.cache.locked(alone=False):
            self.detach(network, attachment)

    def check(self, network: Network, attachment: Attachment) -> None:
        """Raise unless the attachment is as its ADD left it."""
        check_key(network.name, attachment)
        if not _since(network, CHECK_SINCE):
            msg = f"check {network.name}: version {network.version!r} has no CHECK"
            raise CNIError(Code.INCOMPATIBLE_VERSION, msg)
        if network.disable_check:
            return
        entry = self.cache.read(network.name, attachment)
        if entry is None:
            msg = f"check {network.name}: no cached result of {attachment.netns}"
            raise CNIError(Code.UNKNOWN_CONTAINER, msg)
        attachment = _as_kept(attachment, entry)
        result = converted(entry.result, network.version)
        for plugin in network.plugins:
            conf = configuration(network, plugin, attachment, result)
            self.invoker.run("CHECK", conf, attachment)

    def gc(self, network: Network, valid: Collection[tuple[str, str]]) -> list[str]:
        """Remove what belongs to the network and to none of the valid attachments.

        `valid` holds (container ID, interface name). Returns "ID/name" of each
        cached attachment that was detached.
        """
        if network.disable_gc:
            return []
        errors: list[CNIError] = []
        deleted = []
        with self.cache.locked(alone=True):
            for entry in self.cache.entries(network.name):
                key = (entry.attachment.container_id, entry.attachment.ifname)
                if key in valid:
                    continue
                failures = len(errors)
                gather(errors, partial(self.detach, network, entry.attachment))
                if len(errors) == failures:
                    deleted.append("/".join(key))
            if _since(network, GC_AND_STATUS_SINCE):
                listed = [{"containerID": c, "ifname": i} for c, i in sorted(valid)]
                keys = dict.fromkeys(ATTACHMENT_KEYS, listed)
                for plugin in network.plugins:
                    conf = {**configuration(network, plugin, None, None), **keys}
                    gather(errors, partial(self.invoker.run, "GC", conf, None))
        if errors:
            raise joined(errors)
        return deleted

    def status(self, network: Network) -> list[tuple[str, str]]:
        """Raise unless every plugin of the list is ready for an ADD.

        Returns type and state of each. A list of before STATUS asks those that know it
        by now; a plugin that does not must at least be there, with its IPAM plugin.
        """
        told = []
        for plugin in network.plugins:
            conf = configuration(network, plugin, None, None)
            kind = str(gojson.member(conf, "type"))
            if not _since(network, GC_AND_STATUS_SINCE):
                speaks = self.invoker.versions(kind)
                if GC_AND_STATUS_SINCE not in speaks:
                    self._find_ipam(plugin)
                    newest = max(speaks, key=version_numbers, default=OLDEST)
                    told.append((kind, f"not asked, it speaks no more than {newest}"))
                    continue
                conf["cniVersion"] = GC_AND_STATUS_SINCE
            self.invoker.run("STATUS", conf, None)
            told.append((kind, "ready"))
        return told

    def versions(self, network: Network) -> dict[str, list[str]]:
        """Return the versions that each plugin of the list supports."""
        kinds = [str(gojson.member(plugin, "type")) for plugin in network.plugins]
        return {kind: self.invoker.versions(kind) for kind in kinds}

    def _find_ipam(self, plugin: Mapping[str, Any]) -> None:
        ipam = gojson.member(dict(plugin), "ipam")
        kind = gojson.member(ipam, "type") if isinstance(ipam, dict) else None
        if kind:
            find(str(kind), self.invoker.path)

    def _add_plugins(self, network: Network, attachment: Attachment) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for plugin in network.plugins:
            conf = configuration(network, plugin, attachment, result)
            stdout = self.invoker.run("ADD", conf, attachment)
            result = gojson.load_object(stdout, f"result of {plugin.get('type')}")
            result.setdefault("cniVersion", network.version)
        return result

    def detach(self, network: Network, attachment: Attachment) -> None:
        """Do what `delete` does, for a caller that holds the lock of the cache."""
        entry = self.cache.read(network.name, attachment)
        result = {}
        if entry and _since(network, CHECK_SINCE):
            result = converted(entry.result, network.version)
        attachment = _as_kept(attachment, entry)
        errors = self._delete_plugins(network, attachment, result)
        if errors:
            raise joined(errors)
        self.cache.delete(network.name, attachment)

    def _delete_plugins(
        self, network: Network, attachment: Attachment, result: Mapping[str, Any]
    ) -> list[CNIError]:
        errors: list[CNIError] = []
        for plugin in reversed(network.plugins):
            conf = configuration(network, plugin, attachment, result)
            gather(errors, partial(self.invoker.run, "DEL", conf, attachment))
        return errors


def configuration(
    network: Network,
    plugin: Mapping[str, Any],
    attachment: Attachment | None,
    result: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return a plugin's own configuration (section 3, "deriving")."""
    conf = {**plugin, "name": network.name, "cniVersion": network.version}
    if result:
        conf["prevResult"] = result
    wanted = gojson.member(dict(plugin), "capabilities")
    given = attachment.capability_args if attachment else {}
    if isinstance(wanted, dict):
        passed = {key: given[key] for key in wanted if wanted[key] and key in given}
        if passed:
            conf["runtimeConfig"] = passed
    conf.pop("capabilities", None)
    return conf


def _as_kept(attachment: Attachment, entry: Entry | None) -> Attachment:
    """Return the attachment with the arguments of its ADD, where none are given."""
    kept = entry.attachment if entry else attachment
    return replace(
        attachment,
        args=attachment.args or kept.args,
        capability_args=attachment.capability_args or kept.capability_args,
    )


def converted(result: dict[str, Any], version: str) -> dict[str, Any]:
    """Return a cached result in the version that the list has now."""
    if not result or result.get("cniVersion") == version:
        return result
    from cni_common.spec.result import Result  # noqa: PLC0415 - pydantic is expensive

    own = str(result.get("cniVersion") or version)
    return Result.read(result, own).document(version)


def _since(network: Network, version: str) -> bool:
    return version_numbers(network.version) >= version_numbers(version)


def gather(errors: list[CNIError], step: Callable[[], object]) -> None:
    """Run `step`; its failure is one more of `errors`."""
    try:
        step()
    except (CNIError, OSError) as error:
        errors.append(_as_cni_error(error))


def _as_cni_error(error: CNIError | OSError) -> CNIError:
    if isinstance(error, CNIError):
        return error
    return of_os(f"use {error.filename}" if error.filename else "keep results", error)


def joined(errors: list[CNIError], undoing: Collection[CNIError] = ()) -> CNIError:
    """Return the first error with the others as details, each cause once."""
    first, *more = errors
    told = str(first)
    parts = [first.details] if first.details else []
    for error, prefix in [(e, "") for e in more] + [(e, "undo: ") for e in undoing]:
        if error.msg not in told:
            parts.append(f"{prefix}{error}")
            told += str(error)
    return CNIError(first.code, first.msg, "; ".join(parts))
