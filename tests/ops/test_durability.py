"""What a server's settings say of data that must outlive a crash."""

from __future__ import annotations

import pytest

from authkit.ops.durability import confirmations

# As PostgreSQL takes them: where the server refuses a list, there is nothing to read.
LISTS = {
    "": 0,
    "*": 1,
    "b": 1,
    "b, c": 1,
    "2": 1,
    "2, 3": 1,
    '"any 2 (b)", c': 1,
    "1 (b)": 1,
    "2(b,c)": 2,
    " 2 ( * ) ": 2,
    "FIRST 3 (b, c, d)": 3,
    "First 2(b, c)": 2,
    "any 02 (b, c)": 2,
    "\tANY  12 (*)": 12,
}


@pytest.mark.parametrize("text", LISTS)
def test_the_number_that_must_confirm_is_read_from_every_form_of_the_list(text: str):
    assert confirmations(text) == LISTS[text]
