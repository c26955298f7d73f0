"""What the network raises, as errors that say whether another try is worth it."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from collections.abc import Iterator

from imgbake.api import StepError
from imgbake_tasks.retry import Transient


@contextlib.contextmanager
def network(what: str, *, undone: bool = False) -> Iterator[None]:
    """Turns errors of names, connections and TLS into Transient and StepError that begin with `what`."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        hint = 'trust its authority with `ca = "file.pem"`, or for all programs with SSL_CERT_FILE'
        message = f"{what}: the server's certificate is not trusted: {error.verify_message}"
        raise StepError(message, hint=hint) from None
    except socket.gaierror as error:
        message = f"{what}: {error.strerror}"
        if error.errno == socket.EAI_AGAIN:
            raise Transient(message, hint="check the network", undone=undone) from None
        raise StepError(message, hint="check the host's name and the network") from None
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        raise Transient(f"{what}: the server ended the connection", undone=undone) from None
    except ssl.SSLError as error:
        raise StepError(f"{what}: TLS failed: {error.reason or error}") from None
    except (ConnectionError, TimeoutError) as error:
        reason = error.strerror or str(error) or "the server ended the connection"
        raise Transient(f"{what}: {reason}", undone=undone) from None
    except OSError as error:
        if error.errno is None:  # said by a library, as of a proxy that refuses
            raise StepError(f"{what}: {error}") from None
        if error.filename is not None or error.errno not in _UNREACHABLE:
            raise
        raise Transient(f"{what}: {error.strerror}", hint="check the network", undone=undone) from None


_UNREACHABLE = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}
)
