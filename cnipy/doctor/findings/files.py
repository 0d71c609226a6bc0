# SPDX-License-Identifier: Apache-2.0
"""Plugins that are not where they are looked for, or of several suites; Python."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cni_common.frame.delegate import find as find_plugin
from cni_common.frame.execute import execute
from cni_common.spec.errors import CNIError
from cnipy.doctor import wanted
from cnipy.doctor.finding import Finding
from cnipy.packed import build_of, python_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnipy.doctor.examination import Examination

# Where distributions and runtimes put plugins.
_USUAL = (
    "/opt/cni/bin",
    "/usr/lib/cni",
    "/usr/libexec/cni",
    "/usr/local/lib/cni",
    "/usr/local/libexec/cni",
    "/var/lib/rancher/k3s/data/current/bin",
)
_OLDEST = (3, 11)
_SHOWN = 100  # bytes of what it says
_ASKED = "import sys; print(*sys.version_info[:2])"


def find_missing(node: Examination) -> Iterator[Finding]:
    """Yield networks of which a plugin is in none of the directories."""
    path = node.runtime.invoker.path
    for network in node.networks:
        for kind in wanted.types(network):
            try:
                find_plugin(kind, path)
            except CNIError:
                yield _missing(kind, path, network.name)


def _missing(kind: str, path: tuple[str, ...], network: str) -> Finding:
    beside = [d for d in _USUAL if d not in path and _is_there(d, kind)]
    what = f"no container can be attached: there is no plugin {kind}"
    cause = f"it is not in {':'.join(path)}"
    first = path[0] if path else _USUAL[0]
    cure: tuple[str, ...] = (f"install {kind} into {first}",)
    if beside:
        cause += f", but in {beside[0]}"
        keys = "bin_dirs of containerd, plugin_dirs of CRI-O, cni_plugin_dirs of Podman"
        cure = (
            f"ln -s {beside[0]}/{kind} {first}/",
            f"or have the runtime look in {beside[0]}, too: {keys}",
        )
    return Finding("plugin-directory", what, cause, cure, network)


def _is_there(directory: str, kind: str) -> bool:
    return "/" not in kind and os.access(os.path.join(directory, kind), os.X_OK)


def find_mixed(node: Examination) -> Iterator[Finding]:
    """Yield networks with plugins of this suite and another, or of two builds."""
    for network in node.networks:
        builds: dict[str, list[str]] = {}
        for kind in wanted.types(network):
            if kind in node.suite.names:
                try:
                    found = find_plugin(kind, node.runtime.invoker.path)
                except CNIError:
                    continue  # `find_missing` tells
                builds.setdefault(build_of(found), []).append(found)
        if len(builds) > 1:
            yield _mixed(builds, network.name)


def _mixed(builds: dict[str, list[str]], network: str) -> Finding:
    what = (
        "what one plugin has made another does not know of: CHECK, DEL and repair "
        "leave things behind"
    )
    told = [
        f"{' '.join(files)} of {f'build {build}' if build else 'another suite'}"
        for build, files in builds.items()
    ]
    ours = next(files for build, files in builds.items() if build)
    directory = os.path.dirname(ours[0])
    cure = (
        f"./build.sh install --force --bin-dir {directory}",
        f"or, for the other suite alone: cnipy uninstall --bin-dir {directory}",
    )
    return Finding("two-suites", what, "; ".join(told), cure, network)


def find_old_python(node: Examination) -> Iterator[Finding]:
    """Yield interpreters that packed files name, and that cannot run them."""
    files: dict[str, str] = {}
    for directory in node.runtime.invoker.path:
        for name in (*node.suite.names, "cnipy"):
            file = os.path.join(directory, name)
            python = python_of(file)
            if python:
                files.setdefault(python, file)
    for python, file in files.items():
        told = _version(python)
        if told:
            what = f"no plugin of {os.path.dirname(file)} runs"
            wanted_version = ".".join(map(str, _OLDEST))
            cause = f"{file} is for {python}, {told}; Python {wanted_version} is needed"
            cure = (
                f"install Python {wanted_version} or newer",
                f"./build.sh install --python PATH --bin-dir {os.path.dirname(file)}",
            )
            yield Finding("old-python", what, cause, cure)


def _version(python: str) -> str:
    """Return what is wrong with an interpreter, or nothing."""
    try:
        status, stdout, _ = execute([python, "-I", "-S", "-c", _ASKED], b"", {})
    except OSError as error:
        return f"which cannot be started: {error.strerror}"
    if status != 0:
        return f"which ends with status {status}"
    try:
        found = tuple(map(int, stdout.split()))
    except ValueError:
        return f"which says {stdout[:_SHOWN]!r} for its version"
    if found < _OLDEST:
        return f"which is Python {'.'.join(map(str, found))}"
    return ""
