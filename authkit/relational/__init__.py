"""The relational layer: users, roles, audit, on the same connections as the rest."""

from authkit.relational._async.unit_of_work import AsyncUnitOfWork
from authkit.relational.access import Decision, Explanation, Holder, Path, Reason
from authkit.relational.accounts import ProviderTokens
from authkit.relational.audit import AuditEntry, Receipt
from authkit.relational.chain import Broken, Fault, Head, Seal, Verification
from authkit.relational.checkpoint import Checkpoint, Evidence
from authkit.relational.checkpoint_log import CheckpointLog
from authkit.relational.credentials import NewCredential, Refusal, Used
from authkit.relational.event import AuditEvent, entity
from authkit.relational.grants import Change, Grant
from authkit.relational.inclusion import Inclusion
from authkit.relational.journal import Origin
from authkit.relational.totp import TotpProposal
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
    "Checkpoint",
    "CheckpointLog",
    "Decision",
    "Evidence",
    "Explanation",
    "Fault",
    "Grant",
    "Head",
    "Holder",
    "Inclusion",
    "NewCredential",
    "Origin",
    "Path",
    "ProviderTokens",
    "Reason",
    "Receipt",
    "Refusal",
    "Removal",
    "Seal",
    "TotpProposal",
    "UnitOfWork",
    "Used",
    "Verification",
    "Work",
    "entity",
]
