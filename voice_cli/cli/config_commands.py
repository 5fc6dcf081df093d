"""`voice config show` and `voice config init`."""

import os
from collections.abc import Mapping

import voice_cli
from voice_cli.backends import BACKENDS
from voice_cli.backends.remote.address import without_credentials
from voice_cli.cli.console import print_message, write_file, write_stdout
from voice_cli.cli.listings import print_rows
from voice_cli.config import KEY_ENV, load, settle
from voice_cli.errors import FileError
from voice_cli.folders import config_path


def print_path() -> None:
    """Print the path of the config file."""
    write_stdout(config_path())


def show(*, profile: str | None, as_json: bool) -> None:
    """Print each setting, its value and its origin; of API keys only the origin."""
    settings = settle(load(), {"profile": profile}, backend_names=BACKENDS)
    rows = [{"setting": "profile", "value": settings.profile_name, "origin": ""}]
    for layer in (settings.profile, settings.defaults):
        for name, value in layer._asdict().items():
            shown = value
            if name == "api_key_command" and value is not None:
                shown = "set"  # the command may contain a secret
            elif name == "base_url" and value is not None:
                shown = without_credentials(value)
            elif isinstance(value, Mapping):
                shown = ", ".join(f"{speaker}: {voice}" for speaker, voice in value.items())
            elif isinstance(value, list):
                shown = ", ".join(value)
            rows.append({"setting": name, "value": shown, "origin": settings.origins.get(name, "default")})
    rows.append({"setting": f"${KEY_ENV}", "value": "set" if os.environ.get(KEY_ENV) else None, "origin": ""})
    if not as_json:
        rows = [{key: "-" if value is None else value for key, value in row.items()} for row in rows]
    print_rows(rows, as_json=as_json)


def init(*, force: bool) -> None:
    """Write the example to the path of the config file."""
    path = config_path()
    if os.path.exists(path) and not force:
        raise FileError(f"cannot write {path}: it exists", hint="replace it with --force")
    write_file(path, example(), make_folder=True)
    print_message(f"wrote {path}")


def example() -> str:
    """Return the text of the example file, which is in the package, or at the top of a source tree."""
    package = os.path.dirname(voice_cli.__file__)
    for folder in (package, os.path.dirname(package)):
        try:
            with open(os.path.join(folder, "config.example.toml"), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            continue
    raise FileError("config.example.toml is missing (install voice-cli again)")
