"""A certificate authority of our own, for TLS on 127.0.0.1."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Certificates(msgspec.Struct, frozen=True):
    """PEM files: the authority that a client must trust, and what a server shows."""

    authority: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """How a server of ours answers a client's TLS greeting."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def trusting(self) -> ssl.SSLContext:
        """How a client of ours believes a server of ours."""
        return ssl.create_default_context(cafile=self.authority)


def certificates(folder: Path) -> Certificates:
    """Make an authority and a certificate for 127.0.0.1 and localhost, valid for one day."""
    folder.mkdir(parents=True, exist_ok=True)
    authority, private = ec.generate_private_key(_CURVE), ec.generate_private_key(_CURVE)
    root = _name("Tidemill test authority")
    constraint = x509.BasicConstraints(ca=True, path_length=0)
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    made = Certificates(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    made.authority.write_bytes(
        _builder(root, root, authority)
        .add_extension(constraint, critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(_SIGNS, critical=True)
        .sign(authority, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    made.certificate.write_bytes(
        _builder(_name("Tidemill test server"), root, private)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(signer, critical=False)
        .sign(authority, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    made.key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return made


_CURVE = ec.SECP256R1()
_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )
