"""Whose certificates are believed."""

from __future__ import annotations

import ssl
from pathlib import Path

from imgbake.api import StepError


def context(ca: Path | None) -> ssl.SSLContext:
    """The system's authorities (SSL_CERT_FILE and SSL_CERT_DIR are heard), and those of one more file.

    Raises StepError when that file can't be used.
    """
    found = ssl.create_default_context()
    if ca is not None:
        try:
            found.load_verify_locations(ca)
        except OSError as error:  # also what is no certificate: SSLError is one
            raise StepError(f"`ca` {ca.name} can't be used: {error.strerror or error}") from None
    return found
