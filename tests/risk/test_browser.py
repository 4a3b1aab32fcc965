from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.risk.browser import browser

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (
            (
                f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} "
                "Chrome/142.0.0.0 Safari/537.36"
            ),
            ("Chrome 142", "Windows 10", "desktop"),
        ),
        (
            (
                f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} "
                "Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0"
            ),
            ("Edge 142", "Windows 10", "desktop"),
        ),
        (
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) "
                "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 "
                "Mobile/15E148 Safari/604.1"
            ),
            ("Mobile Safari 18", "iOS 18", "phone"),
        ),
        (
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
                "(KHTML, like Gecko) Version/18.1 Safari/605.1.15"
            ),
            ("Safari 18", "Mac OS X 10", "desktop"),
        ),
        (
            (
                f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} SamsungBrowser/28.0 "
                "Chrome/130.0.0.0 Mobile Safari/537.36"
            ),
            ("Samsung Internet 28", "Android 10", "phone"),
        ),
        (
            (
                f"Mozilla/5.0 (Linux; Android 14; SM-X200) {WEBKIT} "
                "Chrome/142.0.0.0 Safari/537.36"
            ),
            ("Chrome 142", "Android 14", "tablet"),
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
            ("Firefox 144", "Linux", "desktop"),
        ),
        ("python-requests/2.32.5", ("Python Requests 2", "unknown", "program")),
        ("Oracle-of-Delphi/3.1", ("Oracle-of-Delphi 3", "unknown", "program")),
        ("   ", ("unknown", "unknown", "program")),
        ("\ud800", ("?", "unknown", "program")),
    ],
)
def test_a_user_agent_is_read(agent: str, expected: tuple[str, str, str]):
    assert browser(agent) == expected


@given(st.text(max_size=300))
def test_every_text_has_an_answer(agent: str):
    assert all(browser(agent))
