"""Signs attestations as Sigstore does for GitHub, so that the real ``gh`` can verify them.

The certificate of a signature says which workflow of which repository asked for it, at which ref
(https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md), and an authority for timestamps
says when. Both are of this machine: gh gets them as its root of trust.
"""

import base64
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

TRUSTED = Path("sigstore", "trusted_root.jsonl")  # in the folder of the local GitHub
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO = "application/vnd.in-toto+json"
ISSUER = "https://token.actions.githubusercontent.com"
HOUR = timedelta(hours=1)
# What is in the certificate, by the last number of 1.3.6.1.4.1.57264.1.N.
CLAIMS = {
    8: "issuer",
    9: "workflow",  # the signer's
    11: "runner",
    12: "repository",
    14: "ref",
    16: "owner",
    18: "workflow",  # the one that was started
}
TIMESTAMPS = """
[tsa]
default_tsa = it
[it]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""


class Authority:
    """Who signs; ``trusted`` is the file for ``gh attestation verify --custom-trusted-root``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.key, self.certificate = _authority("Attestations")
        clock, self.clock_authority = _authority("Timestamps")
        self.clock_key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        self.clock = (
            _certificate("Clock", self.clock_key, self.clock_authority)
            .add_extension(usage, critical=True)
            .sign(clock, hashes.SHA256())
        )
        (folder / "clock.pem").write_bytes(self.clock.public_bytes(serialization.Encoding.PEM))
        (folder / "clock.key").write_bytes(
            self.clock_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        (folder / "tsa.cnf").write_text(TIMESTAMPS.format(folder=folder), encoding="utf-8")
        self.trusted = folder / TRUSTED.name
        self.trusted.write_text(json.dumps(self._trusted_root()) + "\n", encoding="utf-8")

    def bundle(self, statement: dict[str, Any], claims: dict[str, str]) -> dict[str, Any]:
        """Sign a statement in the name of a run: ``repository``, ``workflow`` and ``ref``."""
        key = ec.generate_private_key(ec.SECP256R1())
        payload = json.dumps(statement).encode()
        envelope = b"DSSEv1 %d %s %d %s" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload)
        signature = key.sign(envelope, ec.ECDSA(hashes.SHA256()))
        certificate = self._for_a_run(key, claims)
        return {
            "mediaType": BUNDLE,
            "verificationMaterial": {
                "certificate": {"rawBytes": _base64(_der(certificate))},
                "timestampVerificationData": {
                    "rfc3161Timestamps": [{"signedTimestamp": _base64(self._stamp(signature))}]
                },
            },
            "dsseEnvelope": {
                "payload": _base64(payload),
                "payloadType": IN_TOTO,
                "signatures": [{"sig": _base64(signature)}],
            },
        }

    def _for_a_run(self, key: ec.EllipticCurvePrivateKey, claims: dict[str, str]) -> Any:
        site = "https://github.com"
        repository, ref = claims["repository"], claims["ref"]
        workflow = f"{site}/{repository}/{claims['workflow']}@{ref}"
        texts = {
            "issuer": ISSUER,
            "runner": "github-hosted",
            "workflow": workflow,
            "repository": f"{site}/{repository}",
            "owner": f"{site}/{repository.partition('/')[0]}",
            "ref": ref,
        }
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(workflow)])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
        made = _certificate("", key, self.certificate)
        made = made.add_extension(names, critical=True).add_extension(usage, critical=False)
        for number, claim in CLAIMS.items():
            text = texts[claim].encode()
            value = b"\x0c" + bytes([len(text)] if len(text) < 128 else [0x81, len(text)]) + text
            kind = x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}")
            made = made.add_extension(x509.UnrecognizedExtension(kind, value), critical=False)
        return made.sign(self.key, hashes.SHA256())

    def _stamp(self, signature: bytes) -> bytes:
        """Answer when a signature was there, by RFC 3161."""
        signed, question, answer = (self.folder / it for it in ("signed", "question", "answer"))
        signed.write_bytes(signature)
        openssl = ["openssl", "ts"]
        asked = ["-query", "-data", str(signed), "-sha256", "-cert", "-out", str(question)]
        subprocess.run([*openssl, *asked], check=True, capture_output=True)
        settings = ["-config", str(self.folder / "tsa.cnf"), "-queryfile", str(question)]
        keys = ["-signer", str(self.folder / "clock.pem"), "-inkey", str(self.folder / "clock.key")]
        answered = ["-reply", *settings, *keys, "-out", str(answer)]
        subprocess.run([*openssl, *answered], check=True, capture_output=True)
        return answer.read_bytes()

    def _trusted_root(self) -> dict[str, Any]:
        def trusted(*chain: x509.Certificate) -> list[dict[str, Any]]:
            start = {"start": (datetime.now(UTC) - HOUR).strftime("%Y-%m-%dT%H:%M:%SZ")}
            certificates = [{"rawBytes": _base64(_der(it))} for it in chain]
            name = {"organization": "GitHub, Inc.", "commonName": "local"}
            return [
                {"subject": name, "certChain": {"certificates": certificates}, "validFor": start}
            ]

        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "certificateAuthorities": trusted(self.certificate),
            "timestampAuthorities": trusted(self.clock, self.clock_authority),
        }


def _authority(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    rights = x509.BasicConstraints(ca=True, path_length=1)
    made = _certificate(name, key, None).add_extension(rights, critical=True)
    return key, made.sign(key, hashes.SHA256())


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate | None
) -> x509.CertificateBuilder:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "GitHub, Inc.")
    common = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else []
    subject = x509.Name([organization, *common])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - HOUR)
        .not_valid_after(now + 24 * HOUR)
    )


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
