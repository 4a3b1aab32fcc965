"""The relational layer: users, roles, audit, on the same connections as the rest."""

from authkit.relational._async.unit_of_work import AsyncUnitOfWork
from authkit.relational.access import Decision, Explanation, Holder, Path, Reason
from authkit.relational.accounts import ProviderTokens
from authkit.relational.audit import AuditEntry, Receipt
from authkit.relational.chain import Broken, Fault, Head, Verification
from authkit.relational.credentials import NewCredential, Refusal, Used
from authkit.relational.event import AuditEvent, entity
from authkit.relational.grants import Change, Grant
from authkit.relational.journal import Origin
from authkit.relational.unit_of_work import UnitOfWork
from authkit.relational.users import KEEP
from authkit.relational.ways_in import Removal
from authkit.relational.work import Work

__all__ = [
    "KEEP",
    "AsyncUnitOfWork",
    "AuditEntry",
    "AuditEvent",
    "Broken",
    "Change",
    "Decision",
    "Explanation",
    "Fault",
    "Grant",
    "Head",
    "Holder",
    "NewCredential",
    "Origin",
    "Path",
    "ProviderTokens",
    "Reason",
    "Receipt",
    "Refusal",
    "Removal",
    "UnitOfWork",
    "Used",
    "Verification",
    "Work",
    "entity",
]
