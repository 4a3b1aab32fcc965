"""The credentials of the specification's test vectors are kept, found and used.

Web Authentication Level 3, section 16 (https://www.w3.org/TR/webauthn-3/), "Test
Vectors": registrations and, where the section has one that is signed, the assertion.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.hashes import SHA256

from authkit.relational import NewCredential, Refusal, Used

RP = "example.org"


@dataclass(frozen=True, slots=True)
class Vector:
    """Hexadecimal, as the section prints them."""

    attestation_object: str
    registration_client_data: str
    authenticator_data: str = ""
    client_data: str = ""
    signature: str = ""


VECTORS = {
    "none, ES256": Vector(
        "a363666d74646e6f6e656761747453746d74a068617574684461746158a4bfabc37432958b063360"
        "d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b559000000008446ccb9ab1db374750b2367ff"
        "6f3a1f0020f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4a50102"
        "03262001215820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df6122"
        "5820930a56b87a2fca66334b03458abf879717c12cc68ed73290af2e2664796b9220",
        "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a2241"
        "4d4d507434557878475453746e63647134313759447742466938767049612d7077386f4f75565734"
        "5441222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73"
        "734f726967696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a53"
        "4f4e206d617920626520657874656e6465642077697468206164646974696f6e616c206669656c64"
        "7320696e20746865206675747572652c207375636820617320746869733a20426b5165446a646354"
        "427258426941774a544c453551227d",
        "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000",
        "7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a224f63446e"
        "55685158756c5455506f334a5558543049393770767a7a59425039745a63685879617630314167222c"
        "226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f7269"
        "67696e223a66616c73657d",
        "3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd38022100"
        "8480ac0f0b93538174f575bf11a1dd5d78c6e486013f937295ea13653e331e87",
    ),
    "packed self-attestation, ES256": Vector(
        "a363666d74667061636b65646761747453746d74a263616c67266373696758463044022006"
        "7a20754ab925005dbf378097c92120031581c73228d1fb4f5b881bcd7da98302207fc7b147558c7c"
        "0eba3af18bd9d121fa3d3a26d17fe3f220272178f473b6006d68617574684461746158a4bfabc374"
        "32958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b55d00000000df850e09db6afb"
        "dfab51697791506cfc0020455ef34e2043a87db3d4afeb39bbcb6cc32df9347c789a865ecdca129c"
        "bef58ca5010203262001215820eb151c8176b225cc651559fecf07af450fd85802046656b34c18f6"
        "cf193843c5225820927b8aa427a2be1b8834d233a2d34f61f13bfd44119c325d5896e183fee484f2",
        "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a2265"
        "476e4374334c55745936366b336a506a796e6962506b31716e666644616966715a774c3341703239"
        "2d55222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73"
        "734f726967696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a53"
        "4f4e206d617920626520657874656e6465642077697468206164646974696f6e616c206669656c64"
        "7320696e20746865206675747572652c207375636820617320746869733a205539685458764b4532"
        "55526b4d6e625f307859485667227d",
        "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b50900000000",
        "7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a2252486968"
        "43784e534e493352594d45314f7731476d3132786e726b634a5f6666707637546e2d4a71386773222c"
        "226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f7269"
        "67696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a534f4e206d"
        "617920626520657874656e6465642077697468206164646974696f6e616c206669656c647320696e"
        "20746865206675747572652c207375636820617320746869733a206754623533727a36456853576f"
        "6d58477a696d433151227d",
        "304402203310b9431903c401f1be2bdc8d23a4007682dbbddcf846994947b7f465daf84002204e94"
        "dd00047b316061b3b99772b7efd95994a83ef584b3b6b825ea3550251b66",
    ),
    "none, ES256, another top origin": Vector(
        "a363666d74646e6f6e656761747453746d74a068617574684461746158a4bfabc37432958b063360"
        "d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b5410000000097586fd09799a76401c2004550"
        "99ef2a0020b8ad59b996047ab18e2ceb57206c362da57458793481f4a8ebf101c7ca7cc0f1a50102"
        "03262001215820a1c47c1d82da4ebe82cd72207102b380670701993bc35398ae2e5726427fe01d22"
        "582086c1080d82987028c7f54ecb1b01185de243b359294a0ed210cd47480f0adc88",
        "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a2254"
        "68394d595a68706e6a504254786b68555f53646667364f4e58665672454673587a72636b7151664a"
        "2d55222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73"
        "734f726967696e223a747275652c22746f704f726967696e223a2268747470733a2f2f6578616d70"
        "6c652e636f6d227d",
    ),
}
BACKUP_STATE, BACKUP_ELIGIBLE, USER_VERIFIED = 0x10, 0x08, 0x04


def flags(authenticator_data: bytes) -> dict[str, bool]:
    found = authenticator_data[32]
    return {
        "backup_state": bool(found & BACKUP_STATE),
        "backup_eligible": bool(found & BACKUP_ELIGIBLE),
        "user_verified": bool(found & USER_VERIFIED),
    }


def registered(vector: Vector) -> NewCredential:
    """Read what a registration ceremony would remember (section 6.1)."""
    whole = bytes.fromhex(vector.attestation_object)
    data = whole[whole.index(sha256(RP.encode()).digest()) :]
    id_ends = 55 + int.from_bytes(data[53:55], "big")
    said = flags(data)
    return NewCredential(
        rp_id=RP,
        credential_id=data[55:id_ends],
        public_key=data[id_ends:],
        sign_count=int.from_bytes(data[33:37], "big"),
        uv_initialized=said["user_verified"],
        backup_eligible=said["backup_eligible"],
        backup_state=said["backup_state"],
        aaguid=UUID(bytes=data[37:53]),
        attestation_object=whole,
        attestation_client_data=bytes.fromhex(vector.registration_client_data),
    )


@pytest.mark.parametrize("name", VECTORS)
def test_a_credential_of_the_specification_is_kept_and_used(kit, user, name):
    vector = VECTORS[name]
    new = registered(vector)
    assert len(new.credential_id) == 32
    with kit.unit_of_work() as uow:
        uow.credentials.register(user.id, new)
    with kit.unit_of_work(read_only=True) as uow:
        kept = uow.credentials.find(RP, new.credential_id)
    for part in (
        "public_key",
        "sign_count",
        "uv_initialized",
        "backup_eligible",
        "backup_state",
        "aaguid",
        "attestation_object",
        "attestation_client_data",
    ):
        assert getattr(kept, part) == getattr(new, part), part
    if not vector.signature:
        return
    data = bytes.fromhex(vector.authenticator_data)
    # A COSE_Key of ES256 ends with its coordinates (RFC 9053 section 7.1.1): what was
    # kept is the key that signed the assertion.
    x, y = kept.public_key[-67:-35], kept.public_key[-32:]
    numbers = EllipticCurvePublicNumbers(
        int.from_bytes(x, "big"), int.from_bytes(y, "big"), SECP256R1()
    )
    signed = data + sha256(bytes.fromhex(vector.client_data)).digest()
    signature = bytes.fromhex(vector.signature)
    numbers.public_key().verify(signature, signed, ECDSA(SHA256()))
    said = flags(data)
    with kit.unit_of_work() as uow:
        used = uow.credentials.use(RP, new.credential_id, sign_count=0, **said)
        # Both count nothing: no clone is suspected.
        assert isinstance(used, Used)
        assert used.clone_suspected is False
        assert used.credential.backup_state == said["backup_state"]
        changed = said | {"backup_eligible": False, "backup_state": False}
        refused = uow.credentials.use(RP, new.credential_id, sign_count=0, **changed)
        assert refused is Refusal.ELIGIBILITY_CHANGED


def test_the_server_itself_refuses_to_change_eligibility(kit, user, superuser):
    new = registered(VECTORS["none, ES256"])
    with kit.unit_of_work() as uow:
        if uow.credentials.find(RP, new.credential_id) is None:
            uow.credentials.register(user.id, new)
    with pytest.raises(psycopg.errors.CheckViolation, match="eligibility"):
        superuser.execute(
            "UPDATE authkit.webauthn_credentials SET backup_eligible = false,"
            " backup_state = false WHERE credential_id = %s",
            (new.credential_id,),
        )
