"""Passkeys and security keys: the credential records of WebAuthn Level 3.

Verifying signatures is the application's, with a library of its choice; here is what it
must remember between ceremonies (section 4, "credential record"; sections 7.1, 7.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from authkit.errors import AlreadyExists, InvalidInput, NotFound
from authkit.hot import inputs
from authkit.ids import uuid7
from authkit.relational.event import entity
from authkit.relational.journal import Journal
from authkit.relational.presence import hold
from authkit.relational.ways_in import Removal, lock_and_count
from authkit.schema.relational import WebauthnCredential

MAX_CREDENTIAL_ID_BYTES = 1023
MAX_SIGN_COUNT = 2**32 - 1
_NO_AAGUID = UUID(int=0)
_FRESH = {"populate_existing": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCredential:
    """A credential as a registration ceremony verified it.

    `public_key` is the COSE_Key; `credential_id` up to 1,023 bytes.

    Raises:
        InvalidInput: a part is out of range, or `backup_state` stands without
            `backup_eligible`.
    """

    rp_id: str
    credential_id: bytes
    public_key: bytes
    sign_count: int = 0
    uv_initialized: bool = False
    backup_eligible: bool = False
    backup_state: bool = False
    transports: Iterable[str] = ()
    aaguid: UUID = _NO_AAGUID
    attestation_object: bytes | None = None
    attestation_client_data: bytes | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        inputs.text(self.rp_id, "relying party id", limit=253)
        if not 1 <= len(self.credential_id) <= MAX_CREDENTIAL_ID_BYTES:
            raise InvalidInput("a credential id has 1 to 1,023 bytes")
        if not 1 <= len(self.public_key) <= 4096:
            raise InvalidInput("a public key has 1 to 4,096 bytes")
        inputs.count(self.sign_count, "sign count", low=0, high=MAX_SIGN_COUNT)
        if self.backup_state and not self.backup_eligible:
            raise InvalidInput("a credential that is not eligible has no backup")
        if self.name is not None:
            inputs.text(self.name, "name", limit=200)


class Refusal(Enum):
    """Why a credential may not be used."""

    UNKNOWN = "no such credential is registered"
    RETIRED = "the credential was retired"
    ELIGIBILITY_CHANGED = "its backup eligibility is not what it was registered with"


@dataclass(frozen=True, slots=True)
class Used:
    """A credential that was used.

    `clone_suspected`: its sign count did not increase. A signal for risk and no
    refusal: a passkey may well count nothing, or be restored from a backup.
    """

    credential: WebauthnCredential
    clone_suspected: bool


class Credentials:
    """The credentials, within one transaction."""

    def __init__(self, session: Session, journal: Journal) -> None:
        self._session = session
        self._journal = journal

    def register(self, user_id: UUID, new: NewCredential) -> WebauthnCredential:
        """Remember a credential of a user.

        Raises:
            NotFound: there is no such user, or the user was erased.
            AlreadyExists: the credential id is registered already, for whomever and
                retired or not (section 7.1 step 25); the transaction is still good.
        """
        hold(self._session, user_id)
        statement = (
            insert(WebauthnCredential)
            .values(
                id=uuid7(),
                user_id=user_id,
                rp_id=new.rp_id,
                credential_id=new.credential_id,
                public_key=new.public_key,
                sign_count=new.sign_count,
                uv_initialized=new.uv_initialized,
                backup_eligible=new.backup_eligible,
                backup_state=new.backup_state,
                transports=inputs.labels(
                    new.transports, "transport", limit=16, chars=32
                ),
                aaguid=new.aaguid,
                attestation_object=new.attestation_object,
                attestation_client_data=new.attestation_client_data,
                name=new.name,
            )
            .on_conflict_do_nothing(
                index_elements=[
                    WebauthnCredential.rp_id,
                    WebauthnCredential.credential_id,
                ]
            )
            .returning(WebauthnCredential)
        )
        made = self._session.scalars(statement).one_or_none()
        if made is None:
            raise AlreadyExists(
                "this credential is registered already",
                constraint="webauthn_credentials_rp_id_credential_id_key",
            )
        self._record("credential.register", made)
        return made

    def find(self, rp_id: str, credential_id: bytes) -> WebauthnCredential | None:
        """Return a credential by its id, retired ones too."""
        statement = self._by_id(rp_id, credential_id)
        return self._session.scalars(statement).one_or_none()

    def of(
        self,
        user_id: UUID,
        *,
        retired: bool = False,
        after: UUID | None = None,
        limit: int = 100,
    ) -> list[WebauthnCredential]:
        """Return a user's credentials, the oldest first, in pages.

        Args:
            user_id: whose.
            retired: retired ones too.
            after: `id` of the last one of the page before.
            limit: of the page, 1 to 1,000.

        Raises:
            InvalidInput: the limit is out of range.
        """
        statement = (
            select(WebauthnCredential)
            .where(WebauthnCredential.user_id == user_id)
            .order_by(WebauthnCredential.id)
            .limit(inputs.count(limit, "limit", low=1, high=1000))
        )
        if not retired:
            statement = statement.where(WebauthnCredential.retired_at.is_(None))
        if after is not None:
            statement = statement.where(WebauthnCredential.id > after)
        return list(self._session.scalars(statement))

    def use(
        self,
        rp_id: str,
        credential_id: bytes,
        *,
        sign_count: int,
        backup_eligible: bool,
        backup_state: bool,
        user_verified: bool,
    ) -> Used | Refusal:
        """Note that a credential was used, after its assertion was verified.

        Under a lock on its row: of assertions that race with one sign count, the first
        increases it and the others are suspected (section 7.2 steps 21 to 24).

        Args:
            rp_id: the relying party.
            credential_id: as the assertion named it.
            sign_count: of the authenticator data.
            backup_eligible: its BE flag, which must not change.
            backup_state: its BS flag.
            user_verified: its UV flag.

        Raises:
            InvalidInput: the sign count is out of range, or BS stands without BE.
        """
        inputs.count(sign_count, "sign count", low=0, high=MAX_SIGN_COUNT)
        if backup_state and not backup_eligible:
            raise InvalidInput("a credential that is not eligible has no backup")
        known = self._session.scalars(
            self._by_id(rp_id, credential_id).with_for_update(key_share=True),
            execution_options=_FRESH,
        ).one_or_none()
        if known is None:
            return Refusal.UNKNOWN
        if known.retired_at is not None:
            return Refusal.RETIRED
        if known.backup_eligible != backup_eligible:
            return Refusal.ELIGIBILITY_CHANGED
        # Both zero: the authenticator does not count.
        suspected = max(known.sign_count, sign_count) > 0 and (
            sign_count <= known.sign_count
        )
        changes: dict[str, object] = {
            "sign_count": max(known.sign_count, sign_count),
            "backup_state": backup_state,
            "uv_initialized": known.uv_initialized or user_verified,
            "last_used_at": func.clock_timestamp(),
        }
        if suspected:
            changes["clone_suspected_at"] = func.clock_timestamp()
        used = self._change(known.id, changes)
        return Used(known if used is None else used, suspected)

    def _by_id(self, rp_id: str, credential_id: bytes) -> Select[WebauthnCredential]:
        return select(WebauthnCredential).where(
            WebauthnCredential.rp_id == rp_id,
            WebauthnCredential.credential_id == credential_id,
        )

    def _change(
        self, credential: UUID, changes: dict[str, object]
    ) -> WebauthnCredential | None:
        statement = (
            update(WebauthnCredential)
            .where(WebauthnCredential.id == credential)
            .values(changes)
            .returning(WebauthnCredential)
        )
        return self._session.scalars(statement, execution_options=_FRESH).one_or_none()

    def rename(self, credential: UUID, name: str) -> WebauthnCredential:
        """Give a credential another name.

        Raises:
            InvalidInput: the name is empty or longer than 200 characters.
            NotFound: there is no such credential, or its user was erased.
        """
        changes: dict[str, object] = {"name": inputs.text(name, "name", limit=200)}
        found = self._session.get(WebauthnCredential, credential)
        if found is not None:
            hold(self._session, found.user_id)
            found = self._change(credential, changes)
        if found is None:
            raise NotFound("there is no such credential")
        self._record("credential.rename", found)
        return found

    def retire(self, credential: UUID) -> Removal:
        """Accept a credential no more, unless it is the user's last way in.

        Its record stays, so that its id is never taken again.
        """
        found = self._session.get(WebauthnCredential, credential)
        if found is None:
            return Removal.NOT_THERE
        ways = lock_and_count(self._session, found.user_id)
        self._session.refresh(found)
        if found.retired_at is not None:
            return Removal.NOT_THERE
        if ways.count < 2:
            return Removal.LAST_WAY_IN
        # Under the user's lock: nobody else retires one of the user's meanwhile.
        retired = self._change(credential, {"retired_at": func.clock_timestamp()})
        if retired is None:
            return Removal.NOT_THERE
        self._record("credential.retire", retired)
        return Removal.REMOVED

    def _record(self, action: str, credential: WebauthnCredential) -> None:
        self._journal.record(
            action,
            target=entity("user", credential.user_id),
            details={"credential": str(credential.id)},
        )
