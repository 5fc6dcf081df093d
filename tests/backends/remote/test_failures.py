"""What a refusal means: for each status its class, and whose move it is."""

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
def test_a_status_has_its_class_its_number_its_server_and_its_words(status):
    error = refusal(status, "the server's words", where="tts.example:8880", headers={})
    assert type(error) is CLASSES[status]
    assert str(status) in error.message
    assert error.message.startswith("tts.example:8880 ")
    if status >= 400:
        assert error.message.endswith(": the server's words")


@given(st.integers(300, 999), st.one_of(st.none(), st.text()), st.text())
def test_any_status_is_some_error(status, message, retry_after):
    error = refusal(status, message, where="x", headers={"retry-after": retry_after})
    assert isinstance(error, BackendError)
    assert type(error) is not BackendError


def test_no_words_leave_no_colon():
    assert refusal(500, None, where="x", headers={}).message.endswith("(500)")
    assert refusal(500, "", where="x", headers={}).message.endswith("(500)")


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "OPENAI_API_KEY"), (403, "key"), (404, "{base_url}"), (404, "{model}"), (429, "later"), (500, "try again")],
)
def test_what_to_do_next(status, words):
    hint = refusal(status, None, where="x", headers={}).hint
    assert words in getattr(hint, "template", hint)


@pytest.mark.parametrize(
    ("said", "hint"), [("5", "5 s"), ("Wed, 21 Oct 2026 07:28:00 GMT", "later"), ("", "later"), (None, "later")]
)
def test_how_long_to_wait(said, hint):
    assert hint in refusal(429, None, where="x", headers={} if said is None else {"retry-after": said}).hint


def test_a_redirect_names_where_to_and_warns_of_the_key():
    error = refusal(308, None, where="x", headers={"location": "https://elsewhere/v1"})
    assert "https://elsewhere/v1" in error.message
    assert error.hint.render({"base_url": "--base-url"}).startswith("use that address as --base-url")
    assert "another address" in refusal(308, None, where="x", headers={}).message
