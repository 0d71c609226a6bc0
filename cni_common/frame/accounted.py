# SPDX-License-Identifier: Apache-2.0
"""A call of a plugin in the process of somebody else: the operator's command."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from cni_common.frame import log_file
from cni_common.frame.account import Account
from cni_common.spec.errors import CNIError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cni_common.spec.request import Request


@contextmanager
def accounted(
    request: Request, plugin: str, release: str, say: Callable[[str], None]
) -> Iterator[None]:
    """Have the block be a call of `plugin`: it is counted, traced and logged.

    As one that a runtime makes is; `say` tells what cannot be written.
    """

    def told(text: str) -> None:
        say(text.rstrip("\n"))

    account, failure = Account(plugin, request.env, release, told), None
    account.is_of(request.command)
    account.is_about(request)
    try:
        yield
    except CNIError as error:
        failure = error
        request.log.error(str(error))
        raise
    finally:
        log_file.write(plugin, request, str(failure or ""), told)
        account.close(failure)
