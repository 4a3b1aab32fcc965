from __future__ import annotations

import psycopg
import pytest

from authkit.errors import AlreadyExists, NoPrimary
from authkit.harness.errorclass import error_class

SECRET = "Key (email)=(ada@example.org) already exists"


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (NoPrimary(SECRET), "NoPrimary"),
        (psycopg.errors.SerializationFailure(SECRET), "40 rollback"),
        (psycopg.errors.UniqueViolation(SECRET), "23 constraint"),
        (psycopg.OperationalError(SECRET), "OperationalError"),
        (ValueError(SECRET), "ValueError"),
    ],
)
def test_an_error_is_named_by_its_class_and_never_by_its_message(error, name):
    assert error_class(error) == name


def test_an_error_of_ours_shows_the_sqlstate_class_of_its_cause():
    error = AlreadyExists(SECRET)
    error.__cause__ = psycopg.errors.UniqueViolation(SECRET)
    assert error_class(error) == "AlreadyExists (23)"
