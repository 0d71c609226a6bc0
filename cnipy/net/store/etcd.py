# SPDX-License-Identifier: Apache-2.0
"""etcd 3.4 and newer as a store, by its JSON gateway (decision 60)."""

from __future__ import annotations

from base64 import b64decode, b64encode

from cnipy.net.store.errors import StoreError
from cnipy.net.store.gateway import Gateway, RefusedError
from cnipy.net.store.interface import Changes, Entry, Lease, Store

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any

    from cnipy.net.store.settings import Settings

_PAGE = 500  # entries
_COMPACTED = "required revision has been compacted"


class EtcdStore(Store):
    """The keys of an etcd; its era is the cluster's number, new after a restore."""

    def __init__(self, settings: Settings) -> None:
        self._gateway = Gateway(settings)

    def get(self, key: str, *, stale: bool = False) -> Entry | None:
        answer = self._range({"key": _text(key), "serializable": stale})
        found = _entries(answer)
        return found[0] if found else None

    def list(self, prefix: str, *, stale: bool = False) -> tuple[Entry, ...]:
        return self._pages(prefix, 0, stale=stale).entries

    def delete(self, key: str, revision: int = 0) -> bool:
        which = {"key": _text(key)}
        compare = [_has(key, revision)] if revision else []
        question = {"compare": compare, "success": [{"request_delete_range": which}]}
        answer, _ = self._gateway.ask("/v3/kv/txn", question)
        if not answer.get("succeeded"):
            return False
        return _number(_part(answer, "response_delete_range"), "deleted") > 0

    def lease(self, seconds: int) -> Lease:
        answer, _ = self._gateway.ask("/v3/lease/grant", {"TTL": str(seconds)})
        return _EtcdLease(self._gateway, str(answer.get("ID", "")), seconds)

    def changes(self, prefix: str, since: int = 0) -> Changes:
        if since:
            # A range by revision is read through by etcd; most often it need not be.
            answer = self._range({**_below(prefix), "count_only": True})
            revision, era = _header(answer)
            if revision == since:
                return Changes((), revision, _number(answer, "count"), era)
        return self._pages(prefix, since)

    def close(self) -> None:
        self._gateway.close()

    def _range(self, question: dict[str, Any]) -> dict[str, Any]:
        answer, _ = self._gateway.ask("/v3/kv/range", question)
        return answer

    def _pages(self, prefix: str, since: int, *, stale: bool = False) -> Changes:
        """Return what a prefix has, in the moment of its first page."""
        question = {**_below(prefix), "limit": str(_PAGE), "serializable": stale}
        if since:
            question["min_mod_revision"] = str(since + 1)
        first = answer = self._range(question)
        revision, era = _header(first)
        question["revision"] = str(revision)
        entries = _entries(first)
        while answer.get("more") and entries:
            last = entries[-1].key
            question["key"] = _text(f"{last}\0")
            try:
                answer = self._range(question)
            except RefusedError as error:
                if _COMPACTED not in str(error):
                    raise
                return self._pages(prefix, since, stale=stale)
            entries += _entries(answer)
            if entries[-1].key <= last:
                raise StoreError(f"etcd answers a range that goes on behind {last:.80}")
        return Changes(tuple(entries), revision, _number(first, "count"), era)

    def _write(self, key: str, value: bytes, revision: int, lease: Lease | None) -> int:
        put = {"key": _text(key), "value": b64encode(value).decode()}
        if isinstance(lease, _EtcdLease):
            put["lease"] = lease.number
        question = {
            "compare": [_has(key, revision)],
            "success": [{"request_put": put}],
            "failure": [{"request_range": {"key": _text(key)}}],
        }
        answer, repeated = self._gateway.ask("/v3/kv/txn", question)
        if answer.get("succeeded"):
            return _header(answer)[0]
        found = _entries(_part(answer, "response_range"))
        # What another member was asked for before, and did without an answer.
        if repeated and found and found[0].value == value:
            return found[0].revision
        return 0


class _EtcdLease(Lease):
    def __init__(self, gateway: Gateway, number: str, seconds: int) -> None:
        self._gateway = gateway
        self.number = number
        self.seconds = seconds

    def keep(self) -> bool:
        answer, _ = self._gateway.ask("/v3/lease/keepalive", {"ID": self.number})
        return _number(_object(answer, "result"), "TTL") > 0

    def end(self) -> None:
        try:
            self._gateway.ask("/v3/lease/revoke", {"ID": self.number})
        except RefusedError as error:
            if not error.is_absence:
                raise


def _text(key: str) -> str:
    return b64encode(key.encode()).decode()


def _below(prefix: str) -> dict[str, Any]:
    """Return the range of the keys that begin with `prefix`."""
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return {"key": _text(prefix), "range_end": _text(end)}


def _has(key: str, revision: int) -> dict[str, Any]:
    """Return the comparison that is true of a key that has `revision`, 0 for none."""
    compare = {"key": _text(key), "target": "MOD", "result": "EQUAL"}
    return {**compare, "mod_revision": str(revision)}


def _header(answer: dict[str, Any]) -> tuple[int, str]:
    """Return the revision that an answer is of, and the number of the cluster."""
    header = _object(answer, "header")
    return _number(header, "revision"), str(header.get("cluster_id", ""))


def _object(document: dict[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key, {})
    if isinstance(found, dict):
        return found
    raise StoreError(f"etcd answers {key} with {found!r:.40}")


def _part(answer: dict[str, Any], key: str) -> dict[str, Any]:
    """Return what the one request of a transaction was answered."""
    parts = answer.get("responses") or [{}]
    if isinstance(parts, list) and isinstance(parts[0], dict):
        return _object(parts[0], key)
    raise StoreError(f"etcd answers responses with {parts!r:.40}")


def _number(document: dict[str, Any], key: str) -> int:
    try:
        return int(document.get(key, 0))
    except (TypeError, ValueError, OverflowError) as error:
        raise StoreError(f"etcd answers {key} with {document[key]!r:.40}") from error


def _entries(answer: dict[str, Any]) -> list[Entry]:
    try:
        return [
            Entry(
                b64decode(each["key"]).decode("utf-8", "surrogateescape"),
                b64decode(each.get("value", "")),
                _number(each, "mod_revision"),
                _number(each, "lease") != 0,
            )
            for each in answer.get("kvs", ())
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"etcd answers a range without sense: {error}") from error
