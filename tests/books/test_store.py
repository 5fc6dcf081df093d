"""Keys, and the folder of chapters."""

import os
import stat

from voice_cli.books.book import Chapter
from voice_cli.books.store import Store, key_of
from voice_cli.kept_files import STALE_SECONDS

CHAPTER = Chapter("One", "words")


def test_a_key_depends_on_the_text_and_the_settings_not_on_the_title():
    key = key_of(CHAPTER, {"voice": "a", "speed": None})
    assert key == key_of(CHAPTER._replace(title="Two"), {"speed": None, "voice": "a"})
    assert len({key, key_of(CHAPTER._replace(text="x"), {"voice": "a", "speed": None}),
                key_of(CHAPTER._replace(markdown="on"), {"voice": "a", "speed": None}),
                key_of(CHAPTER, {"voice": "b", "speed": None})}) == 4  # fmt: skip


def test_the_folder_is_the_users_own(tmp_path):
    store = Store(str(tmp_path / "books"))
    store.create()
    assert stat.S_IMODE(os.stat(store.folder).st_mode) == 0o700
    assert not store.use("k")
    open(store.path("k"), "wb").close()
    assert store.use("k")


def test_the_files_used_least_recently_are_removed(tmp_path):
    store = Store(str(tmp_path), limit=300)
    for number in range(5):
        with open(store.path(f"k{number}"), "wb") as file:
            file.write(bytes(100))
        os.utime(store.path(f"k{number}"), (number, number))
    store.use("k1")
    store.trim(keep=["k0"])
    assert sorted(os.listdir(tmp_path)) == ["k0.m4a", "k1.m4a", "k4.m4a"]


def test_what_a_crash_has_left_is_removed_after_a_day(tmp_path):
    store = Store(str(tmp_path))
    for name, age in (("a.m4a.1.partial", 60), ("b.m4a.2.partial", STALE_SECONDS + 60), ("notes.txt", 1e6)):
        (tmp_path / name).write_bytes(b"x")
        at = os.stat(tmp_path / name).st_mtime - age
        os.utime(tmp_path / name, (at, at))
    store.trim()
    assert sorted(os.listdir(tmp_path)) == ["a.m4a.1.partial", "notes.txt"]
