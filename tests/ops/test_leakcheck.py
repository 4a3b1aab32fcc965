"""The leak check: what it looks for is found where it is planted, and nowhere else."""

from __future__ import annotations

import base64
import logging
import secrets

import pytest

from authkit.crypto import tokens
from authkit.ops.leakcheck import Canary, leakcheck, search
from authkit.ops.leakcheck.checking import logged
from authkit.ops.leakcheck.singing import Stage, carriers


@pytest.mark.parametrize(
    ("form", "write"),
    [
        ("in clear", lambda s: s),
        ("in hexadecimal", lambda s: s.encode().hex().upper()),
        ("in base64", lambda s: base64.b64encode(s.encode()).decode()),
        (
            "decoded, in hexadecimal",
            lambda s: base64.urlsafe_b64decode(s + "=").hex(),
        ),
        (
            "decoded, in base64",
            lambda s: base64.b64encode(base64.urlsafe_b64decode(s + "=")).decode(),
        ),
    ],
)
def test_a_planted_secret_is_found_in_each_form(form: str, write):
    secret = tokens.issue().token
    found = search([Canary("token", secret)], "dump", f"before {write(secret)} after")
    assert form in {leak.form for leak in found}
    assert secret not in repr(found)


def test_what_is_written_in_base32_is_found_by_its_bytes_too():
    raw = secrets.token_bytes(20)
    text = base64.b32encode(raw).decode()
    grouped = "-".join(text[at : at + 8] for at in range(0, 32, 8)).lower()
    for secret in (text, grouped):
        for written in (raw, raw.hex().encode(), base64.b64encode(raw)):
            found = search([Canary("secret", secret)], "dump", b"<" + written + b">")
            assert {leak.form.split(",")[0] for leak in found} == {
                "decoded from base32"
            }
    assert search([Canary("secret", text)], "dump", secrets.token_bytes(4096)) == []


def test_another_secret_and_the_digest_are_no_leak():
    issued, other = tokens.issue(), tokens.issue()
    assert search([Canary("token", issued.token)], "dump", issued.digest.hex()) == []
    assert search([Canary("token", issued.token)], "dump", other.token) == []


def test_what_is_logged_anywhere_is_caught_at_the_most_talkative_level():
    with logged() as said:
        logging.getLogger("psycopg.pool").debug("a planted %s", "secret")
    assert "a planted secret" in said.getvalue()


def test_every_operation_with_a_secret_is_known_by_its_parameters():
    found = carriers()
    assert {"sessions.create", "oauth_codes.redeem", "oauth_tokens.rotate"} <= found
    assert {"oauth_states.create", "oauth_providers.put"} <= found
    assert "sessions.by_device" not in found
    assert Stage(sung=set(found) - {"sessions.create"}).silent == ("sessions.create",)


def test_no_secret_that_is_issued_comes_out():
    found = leakcheck()
    assert found.leaks == ()
    assert found.untried == (), "let `singing` run it"
    assert found.canaries >= 21
    assert found.places > 100
    assert found.report().exit_code == 0
