"""One key for each subject: personal details are sealed with it until it is destroyed.

The audit chain keeps every byte for as long as it lives, so what is personal goes into
it sealed (crypto-shredding). Destroying the subject's key makes it unreadable wherever
it was copied to, backups of entries included, and changes no byte: the chain verifies.
The keys themselves are sealed under the kit's ring, which rotates (`reseal`).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from secrets import token_bytes
from typing import Any, cast
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from authkit.crypto import KeyRing
from authkit.crypto.sealing import KEY_BYTES
from authkit.errors import InvalidInput
from authkit.hot import inputs
from authkit.relational.canonical import canonical
from authkit.relational.resealing import sealed_by_older
from authkit.schema.relational import SubjectKey

_KEY_ID = "subject"


class Subjects:
    """The subjects' keys, within one transaction."""

    def __init__(self, session: Session, keys: Callable[[], KeyRing]) -> None:
        self._session = session
        self._keys = keys

    def seal(
        self, subject: UUID, details: Mapping[str, object], *, context: str
    ) -> dict[str, object]:
        """Return details as they may stand in the chain; the first ones make a key.

        An erasure waits for this transaction, or this one for it. Of a subject whose
        key was destroyed nothing is kept: `sealed` is null then.

        Args:
            subject: whom they are about.
            details: as JSON.
            context: what binds them to their place, e.g. the action.

        Raises:
            InvalidInput: the details are no JSON, or the subject is no UUID.
            ConfigError: there is no ring to seal keys under.
        """
        plain = canonical(details)
        ring = self._ring(inputs.identifier(subject, "subject"), make=True)
        sealed = ring and ring.seal(plain, context=_context(subject, context))
        return {
            "subject": str(subject),
            "sealed": sealed and base64.b64encode(sealed).decode(),
        }

    def open(
        self, envelope: Mapping[str, Any], *, context: str
    ) -> dict[str, object] | None:
        """Return what was sealed; None if the subject's key was destroyed.

        Raises:
            InvalidInput: the envelope is damaged, or was moved from another place.
            ConfigError: the ring lacks the key that sealed the subject's.
        """
        try:
            subject, kept = UUID(envelope["subject"]), envelope["sealed"]
            sealed = None if kept is None else base64.b64decode(kept, validate=True)
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
            raise InvalidInput("the sealed details have an unknown format") from None
        ring = self._ring(subject, make=False)
        if sealed is None or ring is None:
            return None
        plain = ring.open(sealed, context=_context(subject, context))
        return cast("dict[str, object]", json.loads(plain))

    def destroy(self, subject: UUID) -> None:
        """Destroy the key of a subject, for good; it will never have another one."""
        gone = {
            "key_sealed": None,
            "sealing_key_id": None,
            "destroyed_at": func.clock_timestamp(),
        }
        self._session.execute(
            insert(SubjectKey)
            .values(subject_id=subject, **gone)
            .on_conflict_do_update(
                index_elements=[SubjectKey.subject_id],
                set_=gone,
                where=SubjectKey.destroyed_at.is_(None),
            )
        )

    def reseal(self, *, limit: int = 1000) -> int:
        """Seal under the ring's active key what an older one sealed; returns how many.

        Repeat while it returns anything, once every process seals with the active key;
        then the older one may leave the ring. Rows that others hold come last, and are
        waited for one by one: end the transaction after each call.

        Raises:
            InvalidInput: the limit is not between 1 and 10,000, or a key is damaged.
            ConfigError: an older key is not in the ring any more.
        """
        ring = self._keys()
        found = sealed_by_older(
            self._session,
            SubjectKey,
            SubjectKey.subject_id,
            SubjectKey.sealing_key_id,
            ring,
            limit,
        )
        for row in found:
            if row.key_sealed is not None:
                row.key_sealed = ring.reseal(
                    row.key_sealed, context=_wrapping(row.subject_id)
                )
                row.sealing_key_id = ring.active_id
        self._session.flush()
        return len(found)

    def _ring(self, subject: UUID, *, make: bool) -> KeyRing | None:
        outer, context = self._keys(), _wrapping(subject)
        wanted = select(SubjectKey.key_sealed).where(SubjectKey.subject_id == subject)
        if make:
            # Shared with other writers; an erasure waits, or has been.
            wanted = wanted.with_for_update(read=True)
        found = self._session.execute(wanted).one_or_none()
        if found is None and make:
            fresh = token_bytes(KEY_BYTES)
            self._session.execute(
                insert(SubjectKey)
                .values(
                    subject_id=subject,
                    key_sealed=outer.seal(fresh, context=context),
                    sealing_key_id=outer.active_id,
                )
                .on_conflict_do_nothing()
            )
            # Somebody else may have been first: what is stored counts.
            found = self._session.execute(wanted).one()
        if found is None or found.key_sealed is None:
            return None
        key = outer.open(found.key_sealed, context=context)
        return KeyRing(((_KEY_ID, key),))


def _wrapping(subject: UUID) -> bytes:
    return f"subject_keys/{subject}".encode()


def _context(subject: UUID, context: str) -> bytes:
    return f"subjects/{subject}/{context}".encode()
