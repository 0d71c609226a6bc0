# SPDX-License-Identifier: Apache-2.0
"""SHA-2 without hashlib, which would load OpenSSL for it."""

from __future__ import annotations

import sys

# Asked for rather than tried: what is nowhere is looked for everywhere.
if sys.version_info >= (3, 12):
    from _sha2 import sha256, sha512
else:
    from _sha256 import sha256  # type: ignore[import-not-found] # no stub
    from _sha512 import sha512  # type: ignore[import-not-found] # no stub


def sha256_hex(text: str) -> str:
    """Return the digest of a text in 64 hexadecimal digits."""
    return str(sha256(_bytes(text)).hexdigest())


def sha512_hex(text: str) -> str:
    """Return the digest of a text in 128 hexadecimal digits."""
    return str(sha512(_bytes(text)).hexdigest())


def _bytes(text: str) -> bytes:
    """Return a text, such as an environment variable, as it came."""
    return text.encode("utf-8", "surrogateescape")
