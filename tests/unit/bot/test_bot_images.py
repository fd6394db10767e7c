"""Inlined images become files; a workflow holds only references."""

from __future__ import annotations

import asyncio
import base64
import os
import stat
import sys
import time

import pytest

from src.api.app import create_app
from src.chat.content import Picture
from src.chat.hearing import Hearing
from src.chat.images import MAX_IMAGE_BYTES, ImageError, ImageStore, keep, make_image_store
from src.config import Settings
from tests.kit.machine import poll_until

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"


@pytest.fixture
def store(tmp_path):
    return ImageStore(tmp_path / "images", 1000)


def kept(store, *pictures):
    return asyncio.run(keep(pictures, store))


def inlined(data, form="{}", address="https://qq/expires"):
    return Picture(address, form.format(base64.b64encode(data).decode()))


@pytest.mark.parametrize("form", ["{}", "base64://{}", "data:image/jpg;base64,{}"])
def test_an_inlined_image_becomes_a_private_file(store, tmp_path, form):
    (reference,), refused = kept(store, inlined(PNG, form))
    assert not refused
    (file,) = (tmp_path / "images").iterdir()
    assert reference == f"file:{file.name}"
    assert file.read_bytes() == PNG
    assert store.load(reference) == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert kept(store, inlined(PNG))[0] == [reference]
    assert len(list(file.parent.iterdir())) == 1


@pytest.mark.parametrize("length", [14, 15, 16])
def test_base64_in_lines_or_without_its_padding(store, tmp_path, length):
    data = PNG + bytes(length)
    text = base64.b64encode(data).decode()
    lines = "\r\n".join(text[start : start + 8] for start in range(0, len(text), 8))
    for form in (lines, base64.encodebytes(data).decode(), text.rstrip("="), f"base64://{text.rstrip('=')}"):
        (reference,), refused = kept(store, Picture("", form))
        assert not refused
        assert (tmp_path / "images" / reference.removeprefix("file:")).read_bytes() == data


def test_the_address_is_shown_if_the_content_is_broken(store):
    assert kept(store, Picture("https://a/1.png", "???")) == (["https://a/1.png"], [])
    assert kept(store, inlined(b"MZ a program")) == (["https://qq/expires"], [])


def test_thousands_of_broken_images_are_a_few_notes(tmp_path):
    hearing = Hearing(Settings(_env_file=None, mika_history_file=tmp_path / "history.sqlite3"))
    message = [{"type": "Source", "id": 1, "timestamp": 1}, *[{"type": "Image", "base64": "???"}] * 3000]
    data = {"bot_uuid": "b", "sender": {"id": 1}, "message": message}
    heeded = asyncio.run(hearing.langbot({"event_type": "bot.person_message", "uuid": "u", "data": data}))
    notes = heeded.incoming.message.splitlines()[1:]
    assert notes == ["[an image cannot be shown: not valid base64]"] * 3 + ["[2997 more cannot be shown]"]


def test_an_address_stays_one(store, tmp_path):
    assert kept(store, Picture("https://a/1.png")) == (["https://a/1.png"], [])
    assert store.load("https://a/1.png") == "https://a/1.png"
    assert not (tmp_path / "images").exists()


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (Picture(), "neither"),
        (Picture("file:///etc/passwd"), "neither"),
        (Picture("https://a/" + "x" * 3000), "neither"),
        (Picture("", "???"), "base64"),
        (Picture("", "你好"), "base64"),
        (inlined(b"MZ a program", address=""), "PNG"),
        (inlined(PNG + bytes(MAX_IMAGE_BYTES), address=""), "10 MB"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_not_taken(store, picture, reason):
    references, (said,) = kept(store, picture)
    assert not references
    assert reason in said


def test_10_mb_are_taken(tmp_path):
    big = PNG + bytes(MAX_IMAGE_BYTES - len(PNG))
    ((reference,), _) = kept(ImageStore(tmp_path, 10**9), inlined(big))
    assert reference.startswith("file:")


def test_a_folder_that_cannot_be_used_is_said(tmp_path):
    (tmp_path / "images").write_text("")
    assert "cannot be stored" in kept(ImageStore(tmp_path / "images", 1000), inlined(PNG, address=""))[1][0]


def test_no_more_than_eight(store):
    references, (said,) = kept(store, *[Picture(f"https://a/{number}") for number in range(20)])
    assert len(references) == 8
    assert "8" in said


@pytest.mark.parametrize("reference", ["file:../../etc/passwd", "/etc/passwd", "file:", f"file:{'a' * 64}.png"])
def test_a_reference_names_only_what_is_in_the_store(store, reference):
    with pytest.raises(ImageError):
        store.load(reference)


def test_the_old_and_the_too_much_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("src.chat.images._CLEAN_EVERY", 0)
    store = ImageStore(tmp_path, 1000)
    first, second = (store.save(PNG + bytes([number]) * 400) for number in range(2))
    old = time.time() - 25 * 3600
    os.utime(tmp_path / first.removeprefix("file:"), (old, old))
    third = store.save(PNG + b"3" * 400)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {reference.removeprefix("file:") for reference in (second, third)}
    recent = time.time() - 100
    os.utime(tmp_path / second.removeprefix("file:"), (recent, recent))
    fourth = store.save(PNG + b"4" * 400)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {reference.removeprefix("file:") for reference in (third, fourth)}


def test_never_more_than_the_limit_however_fast_images_come(tmp_path):
    store = ImageStore(tmp_path, 1000)
    for number in range(60):
        newest = store.save(PNG + bytes([number]) * 50)
        files = list(tmp_path.iterdir())
        assert sum(path.stat().st_size for path in files) <= 1000
        assert newest.removeprefix("file:") in {path.name for path in files}
    assert len(files) > 10


def test_the_old_are_removed_also_if_no_other_image_comes(tmp_path):
    settings = Settings(_env_file=None, mika_history_file=tmp_path / "history.sqlite3")
    store = make_image_store(settings)
    old, new = ((tmp_path / "images" / store.save(PNG + bytes([number])).removeprefix("file:")) for number in range(2))
    long_ago = time.time() - 25 * 3600
    os.utime(old, (long_ago, long_ago))
    app = create_app(settings)

    async def live():
        async with app.router.lifespan_context(app):
            await asyncio.to_thread(poll_until, lambda: not old.exists(), 10, "an image less")

    asyncio.run(live())
    assert new.exists()
