"""TLS as strict as asked: a server's certificate is checked, or there is no connection.

The packaged server is built without TLS, so one of the system is needed.
"""

from __future__ import annotations

import datetime as dt
import os
import pwd
import tempfile
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from authkit.cluster.timelines import HISTORY
from authkit.errors import Unavailable
from authkit.lab import cluster
from authkit.settings import Settings
from authkit.testing.plugin import memory_folder

SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))

pytestmark = pytest.mark.skipif(
    not SERVERS, reason="no PostgreSQL with TLS (Debian: apt-get install postgresql)"
)


def certificate(folder: Path, name: str) -> None:
    """Write a self-signed certificate for a host name, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = folder / "server.key"
    private.touch(0o600)
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(private, nobody.pw_uid, nobody.pw_gid)


@pytest.fixture(scope="module")
def encrypted():
    """The URL of a server that shows a certificate for `localhost`; its certificate."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as name:
        folder = Path(name)
        folder.chmod(0o755)
        certificate(folder, "localhost")
        tls = {
            "fsync": "off",
            "ssl": "on",
            "ssl_cert_file": str(folder / "server.crt"),
            "ssl_key_file": str(folder / "server.key"),
        }
        with cluster(0, config=tls, bindir=SERVERS[-1], root=memory_folder()) as lab:
            yield lab.url(), folder / "server.crt"


def strict(url: str, **more: str) -> Settings:
    given = {**conninfo_to_dict(url), "host": "localhost", "sslmode": "verify-full"}
    return Settings.load(None, database_url=make_conninfo(**{**given, **more}))


def test_a_certificate_of_the_right_name_is_accepted(drive, encrypted):
    url, root = encrypted
    driver = drive(strict(url, sslrootcert=str(root))).open()
    with driver.writer() as connection:
        assert connection.execute(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        ) == [(True,)]
        assert connection.raw.pgconn.ssl_in_use


def test_the_history_of_timelines_is_read_from_an_older_server_too(encrypted):
    url, _ = encrypted
    with psycopg.connect(url) as connection:
        assert connection.execute(HISTORY, ("00000009",)).fetchall() == [(None,)]


def test_another_name_or_issuer_is_refused_with_the_reason(drive, encrypted, tmp_path):
    url, root = encrypted
    with pytest.raises(Unavailable, match="does not match host name"):
        drive(strict(url, sslrootcert=str(root), host="127.0.0.1")).open()
    certificate(tmp_path, "localhost")
    with pytest.raises(Unavailable, match="certificate verify failed"):
        drive(strict(url, sslrootcert=str(tmp_path / "server.crt"))).open()


def test_a_server_without_tls_is_refused_when_it_is_asked_for(drive, settings):
    url = settings.urls[0].get_secret_value()
    with pytest.raises(Unavailable, match="does not support SSL"):
        drive(strict(url, sslmode="require")).open()
