# SPDX-License-Identifier: Apache-2.0
"""Format, lint and types are tests like the others."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lab import lacking, need

TOP = Path(__file__).parents[1]
PACKAGES = ("launcher", "cnipy", "plugins", "cni_common", "benchmarks")
SOURCES = (*PACKAGES, "tests")


def check(*command: str) -> None:
    """Fail with what the tool says unless it is content."""
    ended = subprocess.run(
        command, cwd=TOP, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def module(name: str) -> tuple[str, ...]:
    """Return the command that runs a tool of this environment."""
    if importlib.util.find_spec(name) is None:
        lacking(f"{name} is not installed")
    return sys.executable, "-m", name


def shell_scripts() -> list[str]:
    """Return the tracked shell scripts; those that are known, without git."""
    listed = []
    if shutil.which("git"):
        command = ("git", "-c", f"safe.directory={TOP}", "ls-files")
        listed = subprocess.run(
            command, cwd=TOP, capture_output=True, text=True, check=False
        ).stdout.split()
    scripts = []
    for name in listed or ["build.sh", ".ci/run", "launcher/launcher.sh"]:
        path = TOP / name
        if path.is_file() and path.suffix not in {".py", ".md", ".json"}:
            with path.open("rb") as file:
                first = file.readline(64)
            if first.startswith((b"#!/bin/sh", b"#!/usr/bin/env bash", b"#!/bin/bash")):
                scripts.append(name)
    return scripts


def test_format() -> None:
    """Every Python file is formatted as ruff formats it."""
    check(*module("ruff"), "format", "--check", *SOURCES)


def test_lint() -> None:
    """Ruff finds nothing that pyproject.toml does not excuse with a reason."""
    check(*module("ruff"), "check", *SOURCES)


@pytest.mark.parametrize("package", PACKAGES)
def test_types(package: str) -> None:
    """Mypy agrees, strictly."""
    check(*module("mypy"), "-p", package)


def test_shell() -> None:
    """Shellcheck agrees with every shell script."""
    check(need("shellcheck"), *shell_scripts())
