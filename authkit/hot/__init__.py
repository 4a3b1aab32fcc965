"""The hot-path layer: operations as values, repositories that run them.

`Sessions` and `Attempts` are for threads, `AsyncSessions` and `AsyncAttempts` for
asyncio; one is generated from the other. Each takes a runner: `Routed` for a cluster,
`Bound` for a connection whose transaction is somebody else's.
"""

from authkit.hot._async.attempt_queue import AsyncAttemptQueue
from authkit.hot._async.attempts import AsyncAttempts
from authkit.hot._async.auth_cache import AsyncAuthCache
from authkit.hot._async.bound import AsyncBound
from authkit.hot._async.coalescing import AsyncCoalescing
from authkit.hot._async.hot import AsyncHot
from authkit.hot._async.oauth import AsyncOAuth
from authkit.hot._async.rate_limits import AsyncRateLimits
from authkit.hot._async.runner import AsyncRouted, AsyncRunner
from authkit.hot._async.sessions import AsyncSessions
from authkit.hot._sync.attempt_queue import AttemptQueue
from authkit.hot._sync.attempts import Attempts
from authkit.hot._sync.auth_cache import AuthCache
from authkit.hot._sync.bound import Bound
from authkit.hot._sync.coalescing import Coalescing
from authkit.hot._sync.hot import Hot
from authkit.hot._sync.oauth import OAuth
from authkit.hot._sync.rate_limits import RateLimits
from authkit.hot._sync.runner import Routed, Runner
from authkit.hot._sync.sessions import Sessions
from authkit.hot.attempt_values import AttemptRecord
from authkit.hot.attempts import Attempt, AttemptKey, Failures, UserLock
from authkit.hot.auth_cache import CachedLogin
from authkit.hot.gathering import Limits
from authkit.hot.limiting import RateDecision, RatePolicy
from authkit.hot.oauth_providers import ProviderTokens
from authkit.hot.oauth_tokens import TokenInfo
from authkit.hot.oauth_values import (
    CodeRefusal,
    GrantedTokens,
    GrantRefused,
    Lifetimes,
    NewCode,
    PendingLogin,
    ReturnedLogin,
    TokenRefusal,
)
from authkit.hot.operation import Batch, Durability, Intent, Operation
from authkit.hot.outcomes import (
    Cap,
    CreationRefused,
    NewSession,
    Revocation,
    RotatedSession,
)
from authkit.hot.session_views import SessionStats, SessionSummary, SuspiciousUser
from authkit.hot.sessions import Extension, Session
from authkit.hot.throttling import Allowance, Reserved, Throttle, Throttled
from authkit.hot.written import Params, Step, Written

__all__ = [
    "Allowance",
    "AsyncAttemptQueue",
    "AsyncAttempts",
    "AsyncAuthCache",
    "AsyncBound",
    "AsyncCoalescing",
    "AsyncHot",
    "AsyncOAuth",
    "AsyncRateLimits",
    "AsyncRouted",
    "AsyncRunner",
    "AsyncSessions",
    "Attempt",
    "AttemptKey",
    "AttemptQueue",
    "AttemptRecord",
    "Attempts",
    "AuthCache",
    "Batch",
    "Bound",
    "CachedLogin",
    "Cap",
    "Coalescing",
    "CodeRefusal",
    "CreationRefused",
    "Durability",
    "Extension",
    "Failures",
    "GrantRefused",
    "GrantedTokens",
    "Hot",
    "Intent",
    "Lifetimes",
    "Limits",
    "NewCode",
    "NewSession",
    "OAuth",
    "Operation",
    "Params",
    "PendingLogin",
    "ProviderTokens",
    "RateDecision",
    "RateLimits",
    "RatePolicy",
    "Reserved",
    "ReturnedLogin",
    "Revocation",
    "RotatedSession",
    "Routed",
    "Runner",
    "Session",
    "SessionStats",
    "SessionSummary",
    "Sessions",
    "Step",
    "SuspiciousUser",
    "Throttle",
    "Throttled",
    "TokenInfo",
    "TokenRefusal",
    "UserLock",
    "Written",
]
