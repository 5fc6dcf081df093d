"""The certificate bundle: from the environment, else the system's."""

import pytest

from support.environment import cleaned
from voice_cli.backends.remote import certificates


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    return cleaned(monkeypatch)


@pytest.mark.parametrize("variable", ["CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_environment_takes_precedence(monkeypatch, variable):
    monkeypatch.setenv(variable, "/mine.pem")
    assert certificates.bundle_of_system() == "/mine.pem"


def test_first_existing_file_is_the_systems_bundle(monkeypatch, tmp_path):
    (tmp_path / "second.pem").touch()
    (tmp_path / "third.pem").touch()
    names = tuple(str(tmp_path / name) for name in ("first.pem", "second.pem", "third.pem"))
    monkeypatch.setattr(certificates, "CA_BUNDLES", names)
    assert certificates.bundle_of_system() == names[1]


def test_unknown_system_has_no_bundle(monkeypatch):
    monkeypatch.setattr(certificates, "CA_BUNDLES", ())
    assert certificates.bundle_of_system() is None
