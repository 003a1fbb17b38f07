"""Private CAs of hubs: the certificates of a file beside the spec, believed besides the system's. Asks nobody."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from deployer.weights.access import failure

MOST = 1 << 20  # bytes of the file
CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


def read_authority(hub: str, written: str, folder: Path) -> str:
    """The certificates in PEM and nothing else of the file: a key that lies in it goes nowhere. OperationError."""
    path = folder / Path(written).expanduser()
    named = f"`{path}`, the CA of hub `{hub}`,"
    hint = f"correct `hubs.{hub}.ca`: a PEM file of certificates on the machine that deployer runs on"
    try:
        with path.open("rb") as file:
            text = file.read(MOST + 1)
    except OSError as error:
        raise failure("bad-ca", f"{named} cannot be read here: {error.strerror}", hint) from None
    found = b"\n".join(CERTIFICATE.findall(text)).decode("ascii")
    if not found or len(text) > MOST:
        raise failure("bad-ca", f"{named} {'is too large' if len(text) > MOST else 'holds no certificates'}", hint)
    try:
        trusting(found)
    except ssl.SSLError as error:
        raise failure("bad-ca", f"{named} holds a certificate that cannot be read", hint, (str(error),)) from None
    return found


def trusting(ca: str) -> ssl.SSLContext:
    """Believes it besides the system's, wherever a hub redirects to. SSLError."""
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=ca)
    return context
