# SPDX-License-Identifier: Apache-2.0
"""TLS to a member of etcd, and in whose words it fails."""

from __future__ import annotations

import ssl
import stat
from contextlib import ExitStack

from cnipy.net.store.errors import StoreError
from cnipy.net.store.settings import opened

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cnipy.net.store.settings import Settings

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})


def context(settings: Settings) -> ssl.SSLContext:
    """Return what a connection is made with; read anew, for certificates change.

    Raises StoreError, naming the file that is not what it should be.
    """
    with ExitStack() as files:
        ca = _file(files, settings.ca) if settings.ca else None
        try:
            made = ssl.create_default_context(cafile=ca)
        except ssl.SSLError as error:
            raise StoreError(f"read {settings.ca}: no certificate in PEM") from error
        if settings.certificate:
            certificate = _file(files, settings.certificate)
            key = _file(files, settings.key, others=stat.S_IRWXO)
            try:
                made.load_cert_chain(certificate, key, lambda: _refuse(settings.key))
            except ssl.SSLError as error:
                raise StoreError(_unread(settings, error)) from error
    return made


def _file(files: ExitStack, path: str, *, others: int = 0) -> str:
    """Return where a file is for OpenSSL, which would follow and wait for anything."""
    return f"/proc/self/fd/{files.enter_context(opened(path, others=others))}"


def _refuse(path: str) -> str:
    raise StoreError(f"read {path}: it is encrypted, and nobody is here to be asked")


def _unread(settings: Settings, error: ssl.SSLError) -> str:
    """Return which of certificate and key is at fault, as far as the library says."""
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"read {settings.key}: it is the key of another certificate"
    both = f"{settings.certificate} and {settings.key}"
    return f"read {both}: no certificate and its key in PEM"


def words(error: Exception, settings: Settings) -> str:
    """Return why a member could not be asked."""
    if isinstance(error, ssl.SSLCertVerificationError):
        ca = settings.ca or "the system's authorities"
        return f"its certificate is refused: {error.verify_message} (by {ca})"
    if isinstance(error, ssl.SSLError):
        return _of_tls(error, settings)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _of_tls(error: ssl.SSLError, settings: Settings) -> str:
    reason = error.reason or ""
    if reason in _NO_TLS:
        return "it does not speak TLS: http:// instead of https://?"
    if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason:
        if not settings.certificate:
            return "it asks for a certificate, and [store] has none"
        return f"it refuses the certificate {settings.certificate}"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        if settings.certificate:
            return "it ended the connection, as one does that speaks no TLS"
        return "it ended the connection; [store] has no certificate for it"
    return reason.lower().replace("_", " ") or str(error)
