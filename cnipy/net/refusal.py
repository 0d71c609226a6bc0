# SPDX-License-Identifier: Apache-2.0
"""What a store or a record refuses, as the error that everybody knows."""

from __future__ import annotations

from contextlib import contextmanager

from cni_common.spec.errors import CNIError, Code
from cnipy.net.documents import RecordError
from cnipy.net.store import AwayError, DeniedError, StoreError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

_RIGHTS = "who may do what: docs/many-nodes.md#users-and-rights"


@contextmanager
def store_refusal(doing: str) -> Iterator[None]:
    """Raise what store and records refuse in the block as CNIError, saying `doing`.

    That nobody answers is Code.TRY_AGAIN_LATER.
    """
    try:
        yield
    except AwayError as error:
        raise CNIError(Code.TRY_AGAIN_LATER, f"{doing}: {error}") from error
    except DeniedError as error:
        raise CNIError(Code.IO_FAILURE, f"{doing}: {error}", _RIGHTS) from error
    except StoreError as error:
        raise CNIError(Code.IO_FAILURE, f"{doing}: {error}") from error
    except RecordError as error:
        raise CNIError(Code.INVALID_CONFIG, f"{doing}: {error}") from error
