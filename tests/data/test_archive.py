import gzip
import io
import tarfile

import pytest

from nnscratch.data import DataError
from nnscratch.data.archive import extract_tar

WANTED = {"set/a.bin": 5, "set/b.bin": 3}


def regular(name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info, data


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def tar(path, *members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return path


A, B = regular("set/a.bin", b"aaaaa"), regular("set/b.bin", b"bbb")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_only_the_expected_files_are_written(tmp_path, mode):
    folder = special("set", tarfile.DIRTYPE)
    path = tar(tmp_path / "x.tar", folder, B, regular("set/readme.html", b"hello"), A, mode=mode)
    written = extract_tar(path, tmp_path / "out", WANTED)
    assert [p.name for p in written] == ["a.bin", "b.bin"]
    assert sorted(p.name for p in (tmp_path / "out").rglob("*")) == ["a.bin", "b.bin"]
    assert written[0].read_bytes() == b"aaaaa"


@pytest.mark.parametrize(
    ("member", "fault"),
    [
        (regular("../evil", b"x"), "points outside"),
        (regular("set/../../evil", b"x"), "points outside"),
        (regular("/tmp/evil", b"x"), "points outside"),
        (regular("..\\evil", b"x"), "points outside"),
        (regular("C:evil", b"x"), "points outside"),
        (special("set/link", tarfile.SYMTYPE, "/etc/passwd"), "link or a special file"),
        (special("set/a.bin", tarfile.SYMTYPE, "/etc/passwd"), "link or a special file"),
        (special("set/a.bin", tarfile.LNKTYPE, "set/b.bin"), "link or a special file"),
        (special("set/device", tarfile.CHRTYPE), "link or a special file"),
        (special("set/pipe", tarfile.FIFOTYPE), "link or a special file"),
        (regular("set/a.bin", b"aaaaaa"), "with 6 bytes, expected one of 5"),
        (A, "twice"),
    ],
)
def test_hostile_members(tmp_path, member, fault):
    path = tar(tmp_path / "x.tar.gz", A if fault == "twice" else B, member)
    with pytest.raises(DataError, match=fault) as caught:
        extract_tar(path, tmp_path / "out", WANTED)
    assert "x.tar.gz" in str(caught.value)
    assert not (tmp_path / "evil").exists()
    assert not list((tmp_path / "out").glob("*.part"))


def test_missing_member_and_too_many(tmp_path):
    with pytest.raises(DataError, match=r"lacks set/b\.bin"):
        extract_tar(tar(tmp_path / "x.tar.gz", A), tmp_path / "out", WANTED)
    many = [regular(f"set/{k}", b"") for k in range(101)]
    with pytest.raises(DataError, match="more than 100 members"):
        extract_tar(tar(tmp_path / "y.tar.gz", A, B, *many), tmp_path / "out", WANTED)


def test_bomb_in_a_member_nobody_wants(tmp_path):
    path = tar(tmp_path / "x.tar.gz", regular("set/zeros", bytes(20_000_000)), A, B)
    with pytest.raises(DataError, match="unpacks to more bytes"):
        extract_tar(path, tmp_path / "out", WANTED)


def test_bomb_in_a_long_name(tmp_path):
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 20_000_000
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + b"n" * 20_000_000))
    with pytest.raises(DataError, match="unpacks to more bytes"):
        extract_tar(path, tmp_path / "out", WANTED)


def test_truncated_and_other_files(tmp_path):
    good = tar(tmp_path / "x.tar.gz", A, B).read_bytes()
    plain = gzip.decompress(good)
    for data in (b"", b"no archive at all" * 100, good[:40], good[: len(good) // 2], gzip.compress(plain[:515]), plain[:300]):
        (tmp_path / "bad.tar.gz").write_bytes(data)
        with pytest.raises(DataError, match=r"bad\.tar\.gz"):
            extract_tar(tmp_path / "bad.tar.gz", tmp_path / "out", WANTED)
    with pytest.raises(DataError, match="cannot be read"):
        extract_tar(tmp_path / "none.tar", tmp_path / "out", WANTED)


def test_headers_of_headers_without_end(tmp_path):
    info = tarfile.TarInfo("name")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 5
    path = tmp_path / "deep.tar"
    path.write_bytes((info.tobuf(tarfile.GNU_FORMAT) + b"abcd".ljust(512, b"\0")) * 1500)
    with pytest.raises(DataError, match="deep.tar: damaged"):
        extract_tar(path, tmp_path / "out", WANTED)
