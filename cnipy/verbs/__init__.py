# SPDX-License-Identifier: Apache-2.0
"""The register: each verb by what a person wants of it, and the module that has it.

A module has VERB (cnipy/verb.py). That of one verb is imported, and no other: so this
is text.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnipy.verb import Verb

REGISTER: dict[str, dict[str, str]] = {
    "look": {
        "ls": "cnipy.verbs.ls",
        "schema": "cnipy.verbs.schema",
        "show": "cnipy.verbs.show",
        "ports": "cnipy.verbs.ports",
        "rules": "cnipy.verbs.rules",
        "addresses": "cnipy.verbs.addresses",
        "metrics": "cnipy.verbs.metrics",
        "status": "cnipy.verbs.status",
        "version": "cnipy.verbs.version",
    },
    "why": {
        "check": "cnipy.verbs.check",
        "explain": "cnipy.verbs.explain",
        "doctor": "cnipy.verbs.doctor",
        "validate": "cnipy.verbs.validate",
        "why": "cnipy.verbs.why",
    },
    "change": {
        "add": "cnipy.verbs.add",
        "del": "cnipy.verbs.delete",
        "connect": "cnipy.verbs.connect",
        "disconnect": "cnipy.verbs.disconnect",
        "publish": "cnipy.verbs.publish",
        "unpublish": "cnipy.verbs.unpublish",
        "limit": "cnipy.verbs.limit",
        "rename": "cnipy.verbs.rename",
        "alias": "cnipy.verbs.alias",
        "network": "cnipy.verbs.network",
    },
    "many nodes": {
        "net": "cnipy.verbs.net",
    },
    "look after": {
        "repair": "cnipy.verbs.repair",
        "gc": "cnipy.verbs.gc",
        "uninstall": "cnipy.verbs.uninstall",
    },
    "serve": {
        "serve": "cnipy.verbs.serve",
        "dhcp": "cnipy.verbs.dhcp",
    },
    "learn": {
        "help": "cnipy.verbs.help",
        "demo": "cnipy.verbs.demo",
    },
}
MODULES = {verb: path for verbs in REGISTER.values() for verb, path in verbs.items()}


def load(name: str) -> Verb:
    """Return the verb `name`, which is in the register."""
    __import__(MODULES[name])
    verb: Verb = sys.modules[MODULES[name]].VERB
    return verb
