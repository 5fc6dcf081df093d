"""Whose word is trusted for a server: the environment's, else the system's."""

import pytest

from support.environment import cleaned
from voice_cli.backends.remote import certificates


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    return cleaned(monkeypatch)


@pytest.mark.parametrize("variable", ["CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environment_goes_first(monkeypatch, variable):
    monkeypatch.setenv(variable, "/mine.pem")
    assert certificates.bundle_of_system() == "/mine.pem"


def test_the_first_that_is_there_is_the_systems(monkeypatch, tmp_path):
    (tmp_path / "second.pem").touch()
    (tmp_path / "third.pem").touch()
    names = tuple(str(tmp_path / name) for name in ("first.pem", "second.pem", "third.pem"))
    monkeypatch.setattr(certificates, "CA_BUNDLES", names)
    assert certificates.bundle_of_system() == names[1]


def test_a_system_that_nobody_knows(monkeypatch):
    monkeypatch.setattr(certificates, "CA_BUNDLES", ())
    assert certificates.bundle_of_system() is None
