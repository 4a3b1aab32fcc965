"""Accounts: identities at issuers that a user can get in with.

Provider tokens are sealed under the kit's key ring and bound to their row and column:
moved elsewhere they do not open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from authkit.crypto import KeyRing
from authkit.errors import AlreadyExists, InvalidInput, NotFound
from authkit.hot import inputs
from authkit.hot.oauth_providers import MAX_TOKEN_CHARS
from authkit.ids import uuid7
from authkit.relational.event import entity
from authkit.relational.journal import Journal
from authkit.relational.presence import hold
from authkit.relational.resealing import sealed_by_older
from authkit.relational.ways_in import Removal, lock_and_count
from authkit.schema.relational import Account
from authkit.schema.vocabulary import ACCOUNT_TYPES, AccountType

_TOKENS = ("access_token", "refresh_token", "id_token")


@dataclass(frozen=True, slots=True)
class ProviderTokens:
    """Tokens of a provider, in clear; no repr shows them."""

    access_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    token_type: str | None = None
    expires_at: datetime | None = None
    scope: str | None = None
    session_state: str | None = None


class Accounts:
    """The linked accounts, within one transaction."""

    def __init__(self, session: Session, journal: Journal) -> None:
        self._session = session
        self._journal = journal

    def link(
        self,
        user_id: UUID,
        *,
        provider: str,
        issuer: str,
        subject: str,
        kind: AccountType = "oidc",
        tokens: ProviderTokens | None = None,
        ring: KeyRing | None = None,
    ) -> Account:
        """Let a user get in with an identity at an issuer.

        Args:
            user_id: whom.
            provider: what it is called, e.g. `google`.
            issuer: the `iss` of its tokens.
            subject: the `sub`: the issuer's own id of the user, never an e-mail.
            kind: of account.
            tokens: to be sealed and kept.
            ring: `kit.key_ring`; needed with tokens.

        Raises:
            InvalidInput: a part is not acceptable, or tokens came without a ring.
            NotFound: there is no such user, or the user was erased.
            AlreadyExists: the identity is linked already, to this user or another; the
                transaction is still good.
        """
        if kind not in ACCOUNT_TYPES:
            raise InvalidInput("the type of the account is not a known one")
        account_id = uuid7()
        columns: dict[str, object] = {
            "id": account_id,
            "user_id": user_id,
            "type": kind,
            "provider": inputs.text(provider, "provider", limit=100),
            "issuer": inputs.text(issuer, "issuer", limit=2048),
            "subject": inputs.text(subject, "subject", limit=255),
            **_sealed(account_id, tokens, ring),
        }
        hold(self._session, user_id)
        statement = (
            insert(Account)
            .values(columns)
            .on_conflict_do_nothing(index_elements=[Account.issuer, Account.subject])
            .returning(Account)
        )
        account = self._session.scalars(statement).one_or_none()
        if account is None:
            raise AlreadyExists(
                "this identity is linked already",
                constraint="accounts_issuer_subject_key",
            )
        self._journal.record(
            "account.link",
            target=entity("user", user_id),
            details={"account": str(account_id), "provider": provider},
        )
        return account

    def find(self, issuer: str, subject: str) -> Account | None:
        """Return the account of an identity: what a login with a provider asks."""
        statement = select(Account).where(
            Account.issuer == issuer, Account.subject == subject
        )
        return self._session.scalars(statement).one_or_none()

    def of(
        self, user_id: UUID, *, after: UUID | None = None, limit: int = 100
    ) -> list[Account]:
        """Return a user's accounts, the oldest first, in pages: hand the last id back.

        Raises:
            InvalidInput: the limit is not between 1 and 1,000.
        """
        statement = (
            select(Account)
            .where(Account.user_id == user_id)
            .order_by(Account.id)
            .limit(inputs.count(limit, "limit", low=1, high=1000))
        )
        if after is not None:
            statement = statement.where(Account.id > after)
        return list(self._session.scalars(statement))

    def unlink(self, account_id: UUID) -> Removal:
        """Take an account from its user, unless it is the last way in.

        Of two who take away the last two ways at once, one is told that it stays.
        """
        account = self._session.get(Account, account_id)
        if account is None:
            return Removal.NOT_THERE
        user_id, provider = account.user_id, account.provider
        ways = lock_and_count(self._session, user_id)
        still_there = select(Account.id).where(Account.id == account_id)
        if self._session.scalar(still_there) is None:
            return Removal.NOT_THERE
        if ways.count < 2:
            return Removal.LAST_WAY_IN
        gone = self._session.scalar(
            delete(Account).where(Account.id == account_id).returning(Account.id)
        )
        if gone is None:
            return Removal.NOT_THERE
        self._journal.record(
            "account.unlink",
            target=entity("user", user_id),
            details={"account": str(account_id), "provider": provider},
        )
        return Removal.REMOVED

    def keep_tokens(
        self, account_id: UUID, tokens: ProviderTokens, *, ring: KeyRing
    ) -> Account:
        """Seal and keep newer tokens of a provider in place of the old ones.

        Raises:
            InvalidInput: a part is not acceptable.
            NotFound: there is no such account.
        """
        statement = (
            update(Account)
            .where(Account.id == account_id)
            .values(_sealed(account_id, tokens, ring))
            .returning(Account)
        )
        account = self._session.scalars(
            statement, execution_options={"populate_existing": True}
        ).one_or_none()
        if account is None:
            raise NotFound("there is no such account")
        return account

    def open_tokens(self, account: Account, *, ring: KeyRing) -> ProviderTokens:
        """Return the tokens of an account in clear.

        Raises:
            InvalidInput: a sealed value is damaged, or was moved from another row.
            ConfigError: its key is not in the ring.
        """
        clear: dict[str, str | None] = {}
        for name in _TOKENS:
            sealed: bytes | None = getattr(account, f"{name}_sealed")
            context = _context(account.id, name)
            clear[name] = (
                None if sealed is None else ring.open(sealed, context=context).decode()
            )
        return ProviderTokens(
            **clear,
            token_type=account.token_type,
            expires_at=account.expires_at,
            scope=account.scope,
            session_state=account.session_state,
        )

    def reseal(self, *, ring: KeyRing, limit: int = 1000) -> int:
        """Seal under the ring's active key what an older one sealed; returns how many.

        Repeat while it returns anything, once every process seals with the active key;
        then the older one may leave the ring. Rows that others hold come last, and are
        waited for one by one: end the transaction after each call.

        Raises:
            InvalidInput: the limit is not between 1 and 10,000, or a value is damaged.
            ConfigError: an older key is not in the ring any more.
        """
        accounts = sealed_by_older(
            self._session, Account, Account.id, Account.sealing_key_id, ring, limit
        )
        for account in accounts:
            clear = self.open_tokens(account, ring=ring)
            for name, value in _sealed(account.id, clear, ring).items():
                setattr(account, name, value)
        self._session.flush()
        return len(accounts)


def _context(account_id: UUID, name: str) -> bytes:
    return f"accounts/{account_id}/{name}".encode()


def _sealed(
    account_id: UUID, tokens: ProviderTokens | None, ring: KeyRing | None
) -> dict[str, object]:
    if tokens is None:
        return {}
    if ring is None:
        raise InvalidInput("provider tokens are kept sealed: a key ring is needed")
    columns: dict[str, object] = {"sealing_key_id": ring.active_id}
    for name in _TOKENS:
        clear: str | None = getattr(tokens, name)
        columns[f"{name}_sealed"] = (
            None
            if clear is None
            else ring.seal(
                inputs.text(
                    clear, name.replace("_", " "), limit=MAX_TOKEN_CHARS
                ).encode(),
                context=_context(account_id, name),
            )
        )
    for name, limit in (("token_type", 100), ("scope", 4096), ("session_state", 4096)):
        said: str | None = getattr(tokens, name)
        columns[name] = (
            None
            if said is None
            else inputs.text(said, name.replace("_", " "), limit=limit)
        )
    expires = tokens.expires_at
    columns["expires_at"] = (
        None if expires is None else inputs.moment(expires, "expiry")
    )
    return columns
