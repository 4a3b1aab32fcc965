"""The tour of the API behind `authkit example`: it runs what it shows.

Each chapter does something on the real cluster and checks what came of it. Users are
erased and never deleted, and audit entries stay: on a database that is no throw-away
the tour leaves a row that names nobody, and its trail.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Protocol

from authkit import errors
from authkit.demo.mistakes import ELSEWHERE, mistakes
from authkit.hot import AttemptRecord, Cap, NewSession
from authkit.kit import Kit
from authkit.schema.relational import User
from authkit.settings import Settings


class Teller(Protocol):
    """Shows the tour, on a screen or elsewhere."""

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        ...

    def line(self, code: str, result: object) -> None:
        """Show what was called, and what came of it."""
        ...

    def fault(self, what: str) -> None:
        """Show an expectation that did not hold."""
        ...


@dataclass(slots=True)
class Tour:
    """One run through every chapter; `faults` names what did not hold."""

    kit: Kit
    settings: Settings
    teller: Teller
    mark: str = field(default_factory=lambda: token_hex(4))
    faults: list[str] = field(default_factory=list[str])

    def run(self) -> bool:
        """Take every chapter in turn; True when everything held."""
        status = self.kit.cluster.status()
        self.teller.chapter("Connect: which node is what is found out")
        self.teller.line("kit = authkit.connect()", repr(self.kit))
        for node in status.nodes:
            self.teller.line(
                "kit.cluster.status()", f"{node.name} is {node.role.value}"
            )
        user = self.people()
        try:
            self.sessions(user)
            self.attempts(user)
            self.both_layers(user)
            self.named_errors(user)
            self.audit_trail(user)
        finally:
            self.clean_up(user)
        return not self.faults

    def expect(self, holds: object, what: str) -> None:
        """Note and show what does not hold."""
        if not holds:
            self.faults.append(what)
            self.teller.fault(what)

    # --- create, read, update, delete: the relational layer ---------------------------

    def people(self) -> User:
        """Make a user, find, change and authorise it."""
        say = self.teller.line
        self.teller.chapter("Users, roles and permissions: the relational layer")
        email = f"Ann.{self.mark}@Example.com"
        with self.kit.unit_of_work(actor="system:example", token=True) as uow:
            user = uow.users.create(email, name="Ann")
            say("uow.users.create('Ann...@Example.com')", user.email)
            uow.roles.grant(user.id, "moderator")
            say("uow.roles.grant(user.id, 'moderator')", uow.roles.of(user.id))
        say("uow.token, for reads elsewhere", uow.token)
        with self.kit.unit_of_work(read_only=True, after=uow.token) as uow:
            found = uow.users.find_by_email(email.upper())
            self.expect(found and found.id == user.id, "any writing finds the user")
            say("uow.users.find_by_email('ANN...')", f"found, on {uow.node.role.value}")
        with self.kit.unit_of_work(actor="system:example") as uow:
            user = uow.users.update(user.id, name="Ann Example")
            say("uow.users.update(user.id, name=...)", user.name)
            allowed = uow.roles.check(user.id, "session:revoke")
            say("uow.roles.check(user.id, 'session:revoke')", allowed.reason.value)
            self.expect(allowed, "a moderator may end sessions")
            why = uow.roles.explain(user.id, "audit:read")
            say("uow.roles.explain(user.id, 'audit:read')", why.decision.reason.value)
            self.expect(not why.decision, "a moderator may not read the audit trail")
            uow.roles.revoke(user.id, "moderator")
            say("uow.roles.revoke(user.id, 'moderator')", uow.roles.of(user.id))
        return user

    # --- create, read, update, delete: the hot layer ----------------------------------

    def sessions(self, user: User) -> None:
        """Begin, check, rotate and end sessions."""
        sessions, say = self.kit.sessions, self.teller.line
        self.teller.chapter("Sessions: the hot layer")
        new = sessions.create(user.id, ip="::ffff:192.0.2.7", methods=["pwd"])
        assert isinstance(new, NewSession)  # noqa: S101 # narrows; a refusal is the tour's end
        say(
            "kit.sessions.create(user.id, ip=...)",
            f"a token, once, good for {_left(new)}",
        )
        live = sessions.validate(new.token)
        self.expect(live, "a new session is valid")
        say(
            "kit.sessions.validate(token)",
            live and f"live, level {live.assurance_level}",
        )
        rotated = sessions.rotate(new.token, authenticated=True, assurance_level=2)
        self.expect(sessions.validate(new.token) is None, "the old token is none")
        say(
            "kit.sessions.rotate(token, authenticated=True)",
            "a new token, the old: none",
        )
        token = rotated.token if rotated else new.token
        longer = sessions.extend(new.id, idle_timeout=timedelta(minutes=20))
        until = f"ends at {_utc(longer.idle_until)} if it is not used" if longer else ""
        say("kit.sessions.extend(id, idle_timeout=...)", until)
        say("kit.sessions.touch(id)", f"{sessions.touch(new.id)}: too soon to note")
        say("kit.sessions.set_risk(id, 0.2)", sessions.set_risk(new.id, 0.2))
        capped = sessions.create(user.id, cap=Cap(1))
        evicted = capped.evicted if isinstance(capped, NewSession) else ()
        say("kit.sessions.create(user.id, cap=Cap(1))", f"{len(evicted)} evicted")
        self.expect(sessions.validate(token) is None, "an evicted session is over")
        ended = sessions.revoke_all(user.id)
        say("kit.sessions.revoke_all(user.id)", f"{len(ended.ended)} ended")
        left = sessions.list(user.id, max_lag=timedelta(seconds=5), after=ended.token)
        say("kit.sessions.list(user.id, after=ended.token)", left)
        self.expect(left == [], "a read with the token sees the revocation")

    def attempts(self, user: User) -> None:
        """Record attempts and look back on them."""
        attempts, say = self.kit.attempts, self.teller.line
        self.teller.chapter("Attempts: the hot layer")
        record = AttemptRecord(outcome="pending", user_id=user.id, ip="192.0.2.7")
        key = attempts.record(record)
        say("kit.attempts.record(AttemptRecord(...))", key.id)
        say(
            "kit.attempts.fail(key, 'bad-password')",
            attempts.fail(key, "bad-password"),
        )
        settled_again = attempts.succeed(key)
        say("kit.attempts.succeed(key)", f"{settled_again}: it was settled before")
        self.expect(not settled_again, "an attempt is settled once")
        recent = attempts.recent_by_user(user.id)
        say("kit.attempts.recent_by_user(user.id)", [a.outcome for a in recent])
        count = attempts.failures(window=timedelta(minutes=5), user_id=user.id)
        say("kit.attempts.failures(window=...)", f"{count.user} by this user")
        self.expect(count.user == 1, "one failure is counted")

    # --- one transaction --------------------------------------------------------------

    def both_layers(self, user: User) -> None:
        """Let a session and a grant share one fate."""
        say = self.teller.line
        self.teller.chapter("One transaction over both layers")
        begun: list[object] = []
        try:
            with self.kit.unit_of_work(actor="system:example") as uow:
                uow.roles.grant(user.id, "admin")
                begun.append(uow.hot.sessions.create(user.id))
                uow.users.create("")
        except errors.InvalidInput as exc:
            say("an error leaves the block", f"{type(exc).__name__}: {exc}")
        new = begun[0]
        with self.kit.unit_of_work(read_only=True) as uow:
            roles = uow.roles.of(user.id)
        gone = isinstance(new, NewSession) and not self.kit.sessions.validate(new.token)
        say("role, session and audit entry", "none of them is there")
        self.expect(roles == [] and gone, "all of it was rolled back")
        with self.kit.unit_of_work(actor="system:example") as uow:
            uow.roles.grant(user.id, "user")
            uow.hot.sessions.create(user.id)
            uow.audit.append("example.visit", target=f"user:{user.id}")
        say("without an error", f"{len(uow.receipts)} audit entries, one commit")
        self.expect(len(uow.receipts) == 2, "grant and visit are in the trail")

    # --- errors -----------------------------------------------------------------------

    def named_errors(self, user: User) -> None:
        """Bring about each kind of error that needs no broken cluster."""
        self.teller.chapter("Errors are named by what you can do next")
        with ExitStack() as opened:
            made = mistakes(self.kit, self.settings, user, opened)
            for kind, how, call in made:
                try:
                    call()
                except errors.AuthkitError as exc:
                    self.teller.line(how, f"{type(exc).__name__}: {exc}")
                    self.expect(type(exc) is kind, f"{how} raises {kind.__name__}")
                else:
                    self.expect(False, f"{how} raises {kind.__name__}")
        for kind, when in ELSEWHERE.items():
            self.teller.line(f"errors.{kind.__name__}", f"not shown: {when}")

    # --- the trail --------------------------------------------------------------------

    def audit_trail(self, user: User) -> None:
        """Read what was done to the user, and prove that nothing was taken out."""
        say = self.teller.line
        self.teller.chapter("The audit trail: who did what, and proof of it")
        with self.kit.unit_of_work(read_only=True) as uow:
            trail = uow.audit.trail(target=f"user:{user.id}")
            say("uow.audit.trail(target='user:...')", [e.action for e in trail])
            found = uow.audit.verify()
        verdict = "intact" if found.intact else str(found.broken)
        say("uow.audit.verify()", f"{found.entries} entries, {verdict}")
        self.expect(found.intact, "the chain is intact")
        self.expect(len(trail) >= 5, "every change is in the trail")

    def clean_up(self, user: User) -> None:
        """Erase the user; the trail stays, and names nobody."""
        self.teller.chapter("Clean up")
        with self.kit.unit_of_work(actor="system:example") as uow:
            gone = uow.users.erase(user.id)
        left = self.kit.sessions.list(user.id)
        self.teller.line("uow.users.erase(user.id)", f"{len(left)} sessions left")
        self.expect(gone.erased_at and not left, "an erased user has no session")


def _left(session: NewSession) -> str:
    hours = (session.expires_at - datetime.now(UTC)).total_seconds() / 3600
    return f"{hours:.0f} hours"


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M} UTC"
