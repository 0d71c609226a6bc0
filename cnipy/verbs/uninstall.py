# SPDX-License-Identifier: Apache-2.0
"""`cnipy uninstall`: the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.places import PLUGIN_DIRECTORY, SHARE_DIRECTORY, UNIT_DIRECTORY
from cnipy.verb import Answer, Lines, Verb

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bin-dir", metavar="DIR", help="the plugin directory (where cnipy lies)"
    )
    parser.add_argument(
        "--unit-dir",
        metavar="DIR",
        default=UNIT_DIRECTORY,
        help=f"where install put units for systemd ({UNIT_DIRECTORY})",
    )
    parser.add_argument(
        "--share-dir",
        metavar="DIR",
        help=f"where install put man page and completions ({SHARE_DIRECTORY} with "
        f"{PLUGIN_DIRECTORY}, else none)",
    )


def _run(context: Context, options: argparse.Namespace) -> Answer:
    import os  # noqa: PLC0415 - the parser needs none
    from contextlib import suppress  # noqa: PLC0415 - the same

    from cni_common.spec.errors import CNIError  # noqa: PLC0415 - the same
    from cnipy import manual  # noqa: PLC0415 - the same
    from cnipy.net import cache  # noqa: PLC0415 - the same
    from cnipy.uninstall import uninstall  # noqa: PLC0415 - the same

    done: list[str] = []

    def tell(line: str) -> None:
        done.append(line)
        context.tell(line)

    directory = os.path.realpath(options.bin_dir or context.own_directory)
    share = options.share_dir
    if share is None and directory == os.path.realpath(PLUGIN_DIRECTORY):
        share = SHARE_DIRECTORY
    if share:
        manual.remove(share, tell)
    joined: list[str] = []
    with suppress(CNIError):  # whatever lies there, it does not hold this up
        joined = cache.joined()
    uninstall(directory, options.unit_dir, context.suite.names, tell)
    if joined:
        context.tell(
            f"warning: this node is still in networks {' '.join(joined)}, and others "
            "keep their ways to it: install again for `cnipy net leave`"
        )
    return Lines(done)


VERB = Verb(
    sentence="have the plugin directory as it was before install",
    run=_run,
    changes=True,
    add_arguments=_add_arguments,
)
