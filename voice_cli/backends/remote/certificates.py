"""The system's certificate authorities, which libraries from wheels do not know."""

import os

CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, Alpine, BSD
)


def bundle_of_system() -> str | None:
    """Return the file of $CURL_CA_BUNDLE or $SSL_CERT_FILE, else the system's; None: it is unknown."""
    named = os.environ.get("CURL_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    return named or next((path for path in CA_BUNDLES if os.path.exists(path)), None)


def folder_of_environment() -> str | None:
    """Return the folder of $SSL_CERT_DIR, whose certificate authorities are trusted besides the file's."""
    return os.environ.get("SSL_CERT_DIR") or None
