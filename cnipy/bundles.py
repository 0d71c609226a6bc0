# SPDX-License-Identifier: Apache-2.0
"""Containers as runtimes wrote them down: their OCI bundles, and names beside these.

containerd (ctr, nerdctl, Kubernetes) has a bundle a task, Podman and CRI-O one a
container. They are files of others: what is not as expected there tells nothing.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cni_common.spec.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Where containerd keeps its tasks, and k3s that of its own.
TASKS = tuple(
    f"{state}/io.containerd.runtime.v2.task"
    for state in ("/run/containerd", "/run/k3s/containerd")
)
# nerdctl has a directory for each containerd, in it a file for each name.
NERDCTL = "/var/lib/nerdctl"
STORAGE_CONF = ("/etc/containers/storage.conf", "/usr/share/containers/storage.conf")
RUN_ROOT, GRAPH_ROOT = "/run/containers/storage", "/var/lib/containers/storage"
# Annotations that name a container, and its pod's namespace and name.
_NAMES = (
    "nerdctl/name",
    "io.kubernetes.cri.container-name",
    "io.kubernetes.container.name",
)
_PODS = (
    ("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.cri.sandbox-name"),
    ("io.kubernetes.pod.namespace", "io.kubernetes.pod.name"),
)


class Bundle(NamedTuple):
    """A container's ID, where its config.json and its pid are, names from beside."""

    container_id: str
    directories: tuple[str, ...]
    beside: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Return by what its runtime calls it, which may be nothing."""
        told = _mapping(self._config().get("annotations"))
        found = [*self.beside, *(told.get(key) for key in _NAMES)]
        for namespace, pod in _PODS:
            found += pod_names(told.get(namespace), told.get(pod))
        return tuple(
            dict.fromkeys(
                n for n in found if isinstance(n, str) and n and n.isprintable()
            )
        )

    @property
    def identity(self) -> str:
        """Nothing: no runtime writes down which namespace it was."""
        return ""

    @property
    def netns(self) -> str:
        """Return the path of its network namespace, which may be nothing."""
        spaces = _mapping(self._config().get("linux")).get("namespaces")
        for space in spaces if isinstance(spaces, list) else ():
            if _mapping(space).get("type") == "network" and space.get("path"):
                return str(space["path"])
        for file in ("init.pid", "pidfile"):
            process = self._text(file).strip()
            if process.isdecimal():
                return f"/proc/{process}/ns/net"
        return ""

    def _config(self) -> dict[str, Any]:
        return _mapping(_parsed(self._text("config.json")))

    def _text(self, file: str) -> str:
        texts = (_text(os.path.join(each, file)) for each in self.directories)
        return next(filter(None, texts), "")


def pod_names(namespace: object, pod: object) -> list[str]:
    """Return by what a pod is called: its name, alone and behind its namespace.

    Nothing that a terminal would act on.
    """
    if not isinstance(pod, str) or not pod or not f"{namespace}{pod}".isprintable():
        return []
    return [pod, f"{namespace}/{pod}"] if namespace else [pod]


def bundles(env: Mapping[str, str]) -> Iterator[Bundle]:
    """Yield the containers of the node; `env` may say where Podman's are."""
    named = dict(_of_nerdctl())
    for tasks in TASKS:
        for namespace in _names(tasks):
            for container in _names(f"{tasks}/{namespace}"):
                directory = f"{tasks}/{namespace}/{container}"
                name = named.get((namespace, container))
                yield Bundle(container, (directory,), (name,) if name else ())
    run_root, graph_root = _storage(env)
    for room in _names(run_root):
        if room.endswith("-containers"):
            beside = _of_podman(f"{graph_root}/{room}", f"{run_root}/{room}")
            for container in _names(f"{run_root}/{room}"):
                # CRI-O has the bundle where it runs, Podman where the container lies.
                roots = (run_root, graph_root)
                places = tuple(f"{root}/{room}/{container}/userdata" for root in roots)
                yield Bundle(container, places, beside.get(container, ()))


def _of_nerdctl() -> Iterator[tuple[tuple[str, str], str]]:
    """Yield (namespace, container ID) and the name that nerdctl has for it."""
    for each in _names(NERDCTL):
        for namespace in _names(f"{NERDCTL}/{each}/names"):
            directory = f"{NERDCTL}/{each}/names/{namespace}"
            for name in _names(directory):
                yield (namespace, _text(f"{directory}/{name}").strip()), name


def _of_podman(*directories: str) -> dict[str, tuple[str, ...]]:
    """Return the names in the lists of containers/storage, by container ID."""
    found: dict[str, tuple[str, ...]] = {}
    for directory in directories:
        for file in ("containers.json", "volatile-containers.json"):
            listed = _parsed(_text(os.path.join(directory, file)))
            for each in map(_mapping, listed if isinstance(listed, list) else ()):
                names = each.get("names")
                if isinstance(names, list):
                    found[str(each.get("id"))] = tuple(map(str, names))
    return found


def _storage(env: Mapping[str, str]) -> tuple[str, str]:
    """Return where Podman and CRI-O have what runs, and what stays."""
    import tomllib  # noqa: PLC0415 - for names of theirs alone

    for path in filter(None, (env.get("CONTAINERS_STORAGE_CONF"), *STORAGE_CONF)):
        with suppress(ValueError):
            told = _mapping(tomllib.loads(_text(path)).get("storage"))
            run_root, graph_root = told.get("runroot"), told.get("graphroot")
            if run_root or graph_root:
                return str(run_root or RUN_ROOT), str(graph_root or GRAPH_ROOT)
    return RUN_ROOT, GRAPH_ROOT


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _parsed(text: str) -> object:
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return None


def _text(path: str) -> str:
    with suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
        return file.read()
    return ""


def _names(directory: str) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(directory))
    return []
