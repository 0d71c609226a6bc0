# SPDX-License-Identifier: Apache-2.0
"""The private key of WireGuard: /var/lib/cnipy/net/<network>/key, for root alone.

It stays as long as the network's other files do: with another one the node would be
nobody to the others until they have its new record.
"""

from __future__ import annotations

import binascii
import os

from cni_common import state, trusted_path
from cni_common.kernel.wireguards import KEY_SIZE, clamped
from cni_common.own_files import refusal, replace_synced
from cni_common.pool import held

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cnipy.net.records import NetworkConfig

_NAME = "key"


def ensure(config: NetworkConfig) -> bytes:
    """Return the node's key of a network, made if there is none.

    Who calls is the only one to. Raises Code.IO_FAILURE, or Code.TRY_AGAIN_LATER.
    """
    directory = os.path.join(held.ROOT, config.name)
    key = _decoded(state.read_bytes(directory, _NAME) or b"")
    if not key:
        key = clamped(os.urandom(KEY_SIZE))
        with refusal(f"write {os.path.join(directory, _NAME)}"):
            dir_fd = trusted_path.open_directory(directory, create=True)
            try:
                replace_synced(dir_fd, _NAME, binascii.b2a_base64(key))
            finally:
                os.close(dir_fd)
    return key


def delete(config: NetworkConfig) -> None:
    """Delete the key. Raises as `ensure`."""
    state.delete(os.path.join(held.ROOT, config.name), _NAME)


def _decoded(content: bytes) -> bytes:
    """Return the key in a file, or nothing."""
    try:
        key = binascii.a2b_base64(content)
    except ValueError:
        return b""
    return key if len(key) == KEY_SIZE else b""
