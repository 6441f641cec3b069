"""TLS: the certificate of the settings, and streams that speak it."""

from __future__ import annotations

import ssl

from engine.access.keys import AccessError
from engine.settings import Server


def context(server: Server) -> ssl.SSLContext | None:
    """What new connections are wrapped in, None without a certificate. Raises AccessError."""
    if server.certificate == "none":
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    key = None if server.private_key == "none" else server.private_key
    try:
        # A password would be asked for on the terminal, where nobody sits.
        made.load_cert_chain(server.certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "strerror", None) or str(error)
        raise AccessError(
            f"server.certificate {server.certificate} or its private key cannot be used: {reason}."
        ) from None
    return made
