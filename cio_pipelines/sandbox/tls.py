"""A certificate made at start, for clients that speak https only."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cio_pipelines.sandbox.options import SandboxError, SandboxOptions


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """`certificate` holds the server's key and chain, `authority` what a client must trust (both PEM)."""

    certificate: Path
    authority: Path


@contextmanager
def tls_files(options: SandboxOptions) -> Generator[TlsFiles | None]:
    """Make an authority and a certificate for this host; the private key is gone when the block ends.

    Yields None without TLS. Raises SandboxError when `ca_file` cannot be written.
    """
    if not options.tls:
        yield None
        return
    import trustme  # slow to import, and only TLS needs it

    authority = trustme.CA()
    names = {options.host, "127.0.0.1", "::1", "localhost"}
    certificate = authority.issue_cert(*sorted(names))
    with tempfile.TemporaryDirectory(prefix="cio-sandbox-") as folder:
        private = Path(folder, "server.pem")
        certificate.private_key_and_cert_chain_pem.write_to_path(str(private))
        private.chmod(0o600)
        public = options.ca_file or Path(folder, "authority.pem")
        try:
            public.parent.mkdir(parents=True, exist_ok=True)
            authority.cert_pem.write_to_path(str(public))
        except OSError as error:
            raise SandboxError(
                f"cannot write the certificate authority to {public}: {error.strerror}"
            ) from None
        yield TlsFiles(private, public.absolute())
