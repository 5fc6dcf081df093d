"""HTTP error statuses: the exception class and the hint of each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.backends.remote.failures import refusal
from voice_cli.errors import AuthenticationError, BackendError, RateLimitError, ServerError

CLASSES = {
    **dict.fromkeys((401, 403), AuthenticationError),
    **dict.fromkeys((402, 429), RateLimitError),
    **dict.fromkeys((300, 301, 304, 307, 308, 400, 404, 405, 413, 418, 422, 500, 502, 503, 529), ServerError),
}


@pytest.mark.parametrize("status", CLASSES)
def test_status_has_its_class_number_server_and_message(status):
    error = refusal(status, "the server's words", where="tts.example:8880", headers={})
    assert type(error) is CLASSES[status]
    assert str(status) in error.message
    assert error.message.startswith("tts.example:8880 ")
    if status >= 400:
        assert error.message.endswith(": the server's words")


@given(st.integers(300, 999), st.one_of(st.none(), st.text()), st.text())
def test_any_status_is_a_specific_backend_error(status, message, retry_after):
    error = refusal(status, message, where="x", headers={"retry-after": retry_after})
    assert isinstance(error, BackendError)
    assert type(error) is not BackendError


def test_missing_message_leaves_no_colon():
    assert refusal(500, None, where="x", headers={}).message.endswith("(500)")
    assert refusal(500, "", where="x", headers={}).message.endswith("(500)")


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "OPENAI_API_KEY"), (403, "key"), (404, "{base_url}"), (404, "{model}"), (429, "later"), (500, "try again")],
)
def test_hint_says_what_to_do(status, words):
    hint = refusal(status, None, where="x", headers={}).hint
    assert words in getattr(hint, "template", hint)


@pytest.mark.parametrize(
    ("said", "hint"), [("5", "5 s"), ("Wed, 21 Oct 2026 07:28:00 GMT", "later"), ("", "later"), (None, "later")]
)
def test_retry_after_is_in_the_hint(said, hint):
    assert hint in refusal(429, None, where="x", headers={} if said is None else {"retry-after": said}).hint


def test_redirect_error_names_the_target():
    error = refusal(308, None, where="x", headers={"location": "https://elsewhere/v1"})
    assert "https://elsewhere/v1" in error.message
    assert error.hint.render({"base_url": "--base-url"}).startswith("use that address as --base-url")
    assert "an address that is not valid (308)" in refusal(308, None, where="x", headers={}).message
