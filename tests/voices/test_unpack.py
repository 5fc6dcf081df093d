"""Archives: the files of good ones, and nothing outside the folder of hostile ones."""

import io
import os
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_cli.errors import FileError
from voice_cli.voices.unpack import is_archive, unpack


def tar(path, members, mode="w:bz2"):
    """Write a tar file of (name, content) or of TarInfo."""
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return str(path)


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return str(path)


def link(kind, target):
    info = tarfile.TarInfo("model/link")
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


@pytest.mark.parametrize("write", [tar, zipped])
def test_the_only_folder_of_an_archive_is_left_out(tmp_path, folder, write):
    path = write(tmp_path / "a", [("model/a.onnx", b"network"), ("model/data/b", b"data")])
    assert is_archive(path)
    unpack(path, str(folder))
    assert (folder / "a.onnx").read_bytes() == b"network"
    assert (folder / "data" / "b").read_bytes() == b"data"
    assert sorted(os.listdir(folder)) == ["a.onnx", "data"]


def test_a_folder_in_a_folder_of_its_own_name_is_kept(tmp_path, folder):
    unpack(tar(tmp_path / "a", [("model/model/a", b"1"), ("model/b", b"2")]), str(folder))
    assert sorted(os.listdir(folder)) == ["b", "model"]


@pytest.mark.parametrize("write", [tar, zipped])
@pytest.mark.parametrize("name", ["../out", "model/../../out", "/tmp/out", "a\\..\\..\\out", "C:/out", "\\\\host\\out"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path, folder, write, name):
    path = write(tmp_path / "a", [("model/good", b"x"), (name, b"bad")])
    with pytest.raises(FileError, match="leaves its folder"):
        unpack(path, str(folder))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, folder, kind):
    path = tar(tmp_path / "a", [("model/a", b"x"), (link(kind, "/etc/passwd"), b"")])
    with pytest.raises(FileError, match="has a link or a device"):
        unpack(path, str(folder))


def test_a_link_in_a_zip_archive_is_refused(tmp_path, folder):
    info = zipfile.ZipInfo("model/link")
    info.external_attr = 0o120777 << 16
    with pytest.raises(FileError, match="has a link or a device"):
        unpack(zipped(tmp_path / "a", [(info, b"/etc/passwd")]), str(folder))


@pytest.mark.parametrize("write", [tar, zipped])
def test_a_bomb_is_stopped(tmp_path, folder, write):
    path = write(tmp_path / "a", [("model/zeros", bytes(3_000_000))])
    with pytest.raises(FileError, match="unpacks to more than"):
        unpack(path, str(folder), max_bytes=1_000_000)
    with pytest.raises(FileError, match="more than 2 files"):
        unpack(write(tmp_path / "b", [(f"m/{n}", b"") for n in range(5)]), str(folder), max_files=2)


def test_a_file_twice_is_refused(tmp_path, folder):
    with pytest.raises(FileError, match="a file twice"):
        unpack(tar(tmp_path / "a", [("m/a", b"1"), ("m/a", b"2")]), str(folder))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), compressed=st.sampled_from(["w:bz2", "w:gz", "w:xz", "w", "zip"]))
def test_a_damaged_archive_is_a_file_error(tmp_path_factory, data, compressed):
    place = tmp_path_factory.mktemp("damaged")
    members = [("model/a", b"network" * 100), ("model/b", b"tokens" * 50)]
    path = zipped(place / "a", members) if compressed == "zip" else tar(place / "a", members, compressed)
    content = bytearray((place / "a").read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    (place / "a").write_bytes(content[: data.draw(st.integers(at + 1, len(content)))])
    (place / "into").mkdir()
    try:
        if is_archive(path):
            unpack(path, str(place / "into"))
    except FileError:
        pass
    assert set(os.listdir(place)) == {"a", "into"}
