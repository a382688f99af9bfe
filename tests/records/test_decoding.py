from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mixwise.errors import DataError, MissingDependencyError
from mixwise.records.decoding import decode_image, hash_image

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def pixels(path: Path) -> np.ndarray:
    return np.asarray(decode_image(path, "a.jsonl:1"))


def test_grey_palette_and_alpha_become_rgb_as_transformers_reads_them(tmp_path: Path) -> None:
    from transformers.image_utils import load_image

    grey = Image.fromarray(GREY)
    images = {
        "L": grey,
        "P": grey.convert("P"),
        "RGBA": Image.merge("RGBA", [grey, grey, grey, grey.point(lambda value: value // 2)]),
        "LA": Image.merge("LA", [grey, grey]),
        "1": grey.convert("1"),
        "CMYK": Image.merge("CMYK", [grey] * 4),
    }
    for mode, image in images.items():
        path = saved(image, tmp_path / (f"{mode}.tif" if mode == "CMYK" else f"{mode}.png"))
        assert (pixels(path) == np.asarray(load_image(str(path)))).all(), mode


def test_sixteen_bits_are_scaled_and_not_cut(tmp_path: Path) -> None:
    deep = Image.fromarray(GREY.astype(np.uint16) * 257)
    found = pixels(saved(deep, tmp_path / "deep.png"))
    assert (found == GREY[:, :, None]).all()


def test_pixels_without_a_known_range_are_refused(tmp_path: Path) -> None:
    for name, dtype in (("whole", np.int32), ("float", np.float32)):
        path = saved(Image.fromarray(GREY.astype(dtype)), tmp_path / f"{name}.tif")
        with pytest.raises(DataError, match=r"a\.jsonl:1: pixels of 32 bits have no known range"):
            decode_image(path, "a.jsonl:1")


def test_a_image_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    path = saved(Image.fromarray(GREY).convert("RGB"), tmp_path / "turned.png", exif=exif)
    assert (pixels(path)[:, :, 0] == np.rot90(GREY, -1)).all()


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_image_that_is_cut_off_is_named(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    path = saved(noise, tmp_path / f"whole.{suffix}")
    with pytest.raises(DataError, match=r"rows\.jsonl:7: no whole image that Pillow can read"):
        decode_image(path.read_bytes()[:-400], "rows.jsonl:7")
    with pytest.raises(DataError, match=r"rows\.jsonl:7: no whole image"):
        decode_image(b"no image at all", "rows.jsonl:7")


@pytest.mark.parametrize("side", [10_000, 30_000])
def test_a_image_that_would_fill_the_memory_is_refused(side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n"
    for name, content in ((b"IHDR", header), (b"IDAT", b"")):
        bomb += struct.pack(">I", len(content)) + name + content
        bomb += struct.pack(">I", zlib.crc32(name + content))
    with pytest.raises(DataError, match=r"bomb\.png: an image may have at most .* pixels"):
        decode_image(bomb, "bomb.png")


def test_a_film_is_no_image(tmp_path: Path) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    path = saved(frames[0], tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="holds 2 frames"):
        decode_image(path, "film.gif")


def test_postscript_is_not_run(tmp_path: Path) -> None:
    path = saved(Image.fromarray(GREY), tmp_path / "page.eps")
    with pytest.raises(DataError, match="no whole image"):
        decode_image(path, "page.eps")


def test_equal_pixels_have_one_hash_whatever_their_file(tmp_path: Path) -> None:
    image = Image.fromarray(GREY)
    files = [saved(image, tmp_path / name) for name in ("a.png", "a.bmp", "a.tif")]
    hashes = {hash_image(decode_image(file, "a")) for file in files}
    assert len(hashes) == 1
    assert hash_image(image.transpose(Image.Transpose.ROTATE_90).convert("RGB")) not in hashes


def test_without_pillow_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependencyError, match=r"a\.png: .*pip install 'mixwise\[vision\]'"):
        decode_image(b"", "a.png")
