"""Makes envelopes.json: envelopes signed by the real ssh-keygen, put together without any code of Placet.

    python3 envelopes.py > envelopes.json

The keys are made in a temporary directory and thrown away; a new run gives new keys, signatures and digests. FIDO
signatures are computed here as a token computes them, and checked by ssh-keygen before they are written. Needs
ssh-keygen and the Python package cryptography.
"""

import base64
import hashlib
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

NAMESPACE = "approval@placet.dev"
RISK_NAMESPACE = "riskacceptance@placet.dev"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
DIGEST = "sha256:" + "c0de" * 16

APPROVAL = (
    "application/vnd.placet.dev.approval.v1+json",
    {
        "answers": None, "cluster": "prod-eu", "comment": "Refusals by group looked at; \u00e4lter als 18",
        "covers": "Evidence", "decision": "Approve", "digest": DIGEST, "expiresAt": "2027-03-31T00:00:00Z",
        "issuedAt": "2026-11-20T12:00:00Z", "kind": "ModelRelease", "name": "credit-scoring-2.4.0",
        "namespace": "lending", "nonce": "00112233445566778899aabbccddeeff", "role": "risk-officer",
    },
)
RISKS = (
    "application/vnd.placet.dev.riskacceptance.v1+json",
    {
        "assessment": "credit-2026", "cluster": "prod-eu",
        "conditions": ["Monthly review of refusals by group"], "expiresAt": "2027-03-31T00:00:00Z",
        "issuedAt": "2026-11-20T12:00:00Z", "kind": "RiskAcceptance", "level": "High", "name": "r1-r2-frank",
        "namespace": "lending",
        "nonce": "ffeeddccbbaa99887766554433221100", "rationale": "A person reviews each refusal",
        "risks": [{"digest": DIGEST, "id": "R1"}, {"digest": "sha256:" + "0" * 64, "id": "R2"}], "role": "executive",
    },
)
AUTHOR = (
    "application/vnd.placet.dev.author.v1+json",
    {
        "cluster": "prod-eu", "digest": DIGEST, "issuedAt": "2026-11-20T12:00:00Z", "kind": "ModelRelease",
        "name": "credit-scoring-2.4.0", "namespace": "lending", "nonce": "0123456789abcdef0123456789abcdef",
    },
)


def string(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">I", len(data)) + data


def mpint(number):
    return string(number.to_bytes(number.bit_length() // 8 + 1, "big") if number else b"")


def strings(blob):
    while blob:
        (length,) = struct.unpack(">I", blob[:4])
        yield blob[4 : 4 + length]
        blob = blob[4 + length :]


def pae(payload_type, body):
    return b"DSSEv1 %d %s %d %s" % (len(payload_type.encode()), payload_type.encode(), len(body), body)


def signed_data(message, hash_name):
    return b"SSHSIG" + string(NAMESPACE) + string("") + string(hash_name) + string(hashlib.new(hash_name, message).digest())


def sshsig(key, hash_name, signature, namespace=NAMESPACE):
    return b"SSHSIG" + struct.pack(">I", 1) + string(key) + string(namespace) + string("") + string(hash_name) + string(signature)


class Signer:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)

    def run(self, *args, stdin=None):
        return subprocess.run(["ssh-keygen", *args], input=stdin, check=True, capture_output=True, cwd=self.directory).stdout

    def key(self, name, *options):
        self.run("-q", "-N", "", "-C", "made for a test", "-f", name, *options)
        return name

    def public(self, name):
        return (self.directory / f"{name}.pub").read_text().split()

    def sign(self, name, message, namespace=NAMESPACE, hash_name="sha512"):
        text = self.run("-Y", "sign", "-n", namespace, "-O", f"hashalg={hash_name}", "-f", name, stdin=message).decode()
        return base64.b64decode("".join(line for line in text.splitlines() if not line.startswith("-")))

    def check(self, blob, public, message):
        """The real ssh-keygen finds the signature good."""
        lines = "\n".join(base64.b64encode(blob).decode()[i : i + 70] for i in range(0, len(base64.b64encode(blob)), 70))
        (self.directory / "sig").write_text(f"-----BEGIN SSH SIGNATURE-----\n{lines}\n-----END SSH SIGNATURE-----\n")
        (self.directory / "allowed").write_text(f"erin {' '.join(public[:2])}\n")
        self.run("-Y", "verify", "-f", "allowed", "-I", "erin", "-n", NAMESPACE, "-s", "sig", stdin=message)


def main():
    cases = []
    with tempfile.TemporaryDirectory() as directory:
        signer = Signer(directory)

        def case(name, public, payload, blob, refused=None, armored=True):
            payload_type, value = payload
            body = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            key = base64.b64decode(public[1])
            fingerprint = "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
            message = pae(payload_type, body)
            digest = hashlib.sha256(b"placet.dev/envelope/v1\n" + string(key) + message).hexdigest()
            envelope = {
                "payload": base64.b64encode(body).decode(), "payloadType": payload_type,
                "signatures": [{"keyid": fingerprint, "sig": base64.b64encode(blob(message)).decode()}],
            }
            entry = {
                "name": name, "key": " ".join(public[:2]), "payload": value, "fingerprint": fingerprint,
                "digest": f"sha256:{digest}", "envelope": json.dumps(envelope, separators=(",", ":")),
            }
            if refused:
                entry["refused"] = refused
            cases.append(entry)

        ed25519_key = signer.key("ed25519", "-t", "ed25519")
        for hash_name in ["sha512", "sha256"]:
            case(f"ed25519, {hash_name}", signer.public("ed25519"), APPROVAL,
                 lambda message, h=hash_name: signer.sign(ed25519_key, message, hash_name=h))
        case("a risk acceptance", signer.public("ed25519"), RISKS,
             lambda m: signer.sign(ed25519_key, m, namespace=RISK_NAMESPACE))
        for namespace in ["git", "file", NAMESPACE]:
            case(f"a risk acceptance, namespace {namespace}", signer.public("ed25519"), RISKS,
                 lambda m, n=namespace: signer.sign(ed25519_key, m, namespace=n), refused=f"found {namespace};")
        case("an author", signer.public("ed25519"), AUTHOR, lambda m: signer.sign(ed25519_key, m))
        for bits in ["256", "384", "521"]:
            name = signer.key(f"p{bits}", "-t", "ecdsa", "-b", bits)
            case(f"ecdsa-sha2-nistp{bits}", signer.public(name), APPROVAL, lambda m, n=name: signer.sign(n, m),
                 refused="found ecdsa-sha2-nistp521" if bits == "521" else None)

        def other_s(message):
            *head, signature = strings(signer.sign("p256", message)[10:])
            algorithm, numbers = strings(signature)
            r, s = (int.from_bytes(n, "big") for n in strings(numbers))
            other = string(algorithm) + string(mpint(r) + mpint(P256_ORDER - s))
            blob = sshsig(head[0], head[3], other)
            signer.check(blob, signer.public("p256"), message)
            return blob

        case("ecdsa-sha2-nistp256, the other s", signer.public("p256"), APPROVAL, other_s)
        case("rsa", signer.public(signer.key("rsa", "-t", "rsa", "-b", "3072")), APPROVAL,
             lambda m: signer.sign("rsa", m), refused="found ssh-rsa")
        for namespace in ["git", "file", "approval@placet.de", "Approval@placet.dev"]:
            case(f"namespace {namespace}", signer.public("ed25519"), APPROVAL,
                 lambda m, n=namespace: signer.sign(ed25519_key, m, namespace=n), refused=f"found {namespace};")
        signer.key("ca", "-t", "ed25519")
        signer.run("-q", "-s", "ca", "-I", "erin", "-n", "erin", "ed25519.pub")
        case("a certificate", (signer.directory / "ed25519-cert.pub").read_text().split(), APPROVAL,
             lambda m: signer.sign("ed25519-cert.pub", m), refused="found a certificate")

        # FIDO: what is signed is the hash of the application, flags, counter, and the hash of the message.
        def fido(algorithm, key, sign, flags, check=True):
            def blob(message):
                data = signed_data(message, "sha512")
                trailer = struct.pack(">BI", flags, 7)
                inner = hashlib.sha256(b"ssh:").digest() + trailer + hashlib.sha256(data).digest()
                made = sshsig(key, "sha512", string(algorithm) + string(sign(inner)) + trailer)
                if check:
                    signer.check(made, [algorithm, base64.b64encode(key).decode()], message)
                return made
            return [algorithm, base64.b64encode(key).decode()], blob

        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        token = ed25519.Ed25519PrivateKey.generate()
        algorithm = "sk-ssh-ed25519@openssh.com"
        key = string(algorithm) + string(token.public_key().public_bytes(*raw)) + string("ssh:")
        public, blob = fido(algorithm, key, token.sign, 1)
        case(algorithm, public, APPROVAL, blob)
        public, blob = fido(algorithm, key, token.sign, 0, check=False)
        case(f"{algorithm}, not touched", public, APPROVAL, blob, refused="wanted the touch of a person")

        token_p256 = ec.generate_private_key(ec.SECP256R1())
        point = token_p256.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        algorithm = "sk-ecdsa-sha2-nistp256@openssh.com"
        key = string(algorithm) + string("nistp256") + string(point) + string("ssh:")

        def sign_p256(data):
            r, s = decode_dss_signature(token_p256.sign(data, ec.ECDSA(hashes.SHA256())))
            return mpint(r) + mpint(s)

        public, blob = fido(algorithm, key, sign_p256, 5)
        case(algorithm, public, APPROVAL, blob)
        public, blob = fido(algorithm, key, sign_p256, 4, check=False)
        case(f"{algorithm}, not touched", public, APPROVAL, blob, refused="wanted the touch of a person")
    json.dump(cases, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
