# SPDX-License-Identifier: Apache-2.0
"""The verbs about attachments that are on record: show."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cni_common.log import remarks
from cni_common.rollback import Gather
from cnipy import network as networks
from cnipy import recorded
from cnipy import show as shown

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from cnipy.recorded import Recorded
    from cnipy.suite import Suite


def show(
    options: argparse.Namespace,
    directory: str,
    suite: Suite,
    tell: Callable[[str], None],
) -> str:
    """Return the attachments that are meant as text, or as JSON.

    What cannot be read is told.
    """
    each = Gather()
    found = chosen(options, directory, suite, each)
    if options.json:
        text = json.dumps(shown.documents(found), indent=4) + "\n"
    else:
        text = "".join(f"{line}\n" for line in shown.lines(found))
    tell_doubts(each, tell)
    return text


def chosen(
    options: argparse.Namespace, directory: str, suite: Suite, each: Gather
) -> list[Recorded]:
    """Return the attachments that the command line means."""
    names = {name for name, _ in networks.listed(directory)}
    found = recorded.recorded(suite, each)
    return recorded.chosen(found, options.network, options.container, names)


def tell_doubts(each: Gather, tell: Callable[[str], None]) -> None:
    """Tell what could not be read, and what was passed over."""
    for text in (*map(str, each.errors), *remarks()):
        tell(text)
