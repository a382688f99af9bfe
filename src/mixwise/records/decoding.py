"""Images as pixels, or a reason why not.

Method:
    What `transformers.image_utils.load_image` does, so that an image is the same here as where the
    model is used: turned as its EXIF data say, then converted to RGB. Transparency is dropped by
    that, and what stands behind it is shown. Grey images of 16 bits, which that would cut at 255,
    are scaled to 8 bits. Formats that run other programs (EPS) are not opened.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwise.errors import DataError, MissingDependencyError, first_line, printable

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_MOST_16, _MOST_8 = 65535, 255


def decode_image(content: Path | bytes, place: str) -> Image:
    """An image in RGB, 8 bits a channel.

    Args:
        content: Its file, or the content of one.
        place: Where it stands, for error texts.

    Raises:
        DataError: If it is no image, is cut off, or has several frames or too many pixels.
        MissingDependencyError: If Pillow is missing.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise MissingDependencyError(
            f"{place}: images need the package `pillow`: pip install 'mixwise[vision]'"
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metadata and palettes, which decide no pixel
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            file = io.BytesIO(content) if isinstance(content, bytes) else content
            Image.init()  # else formats that are rarer than others are not known yet
            with Image.open(file, formats=_FORMATS) as opened:
                _require_one_frame(opened, place)
                opened.load()
                return _to_rgb(ImageOps.exif_transpose(opened), str(opened.format), place)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise DataError(
                f"{place}: an image may have at most {Image.MAX_IMAGE_PIXELS:,} pixels, and this "
                "one has more, as a file that is made to fill the memory has: shrink or remove it"
            ) from None
        except DataError:
            raise
        except Exception as error:  # decoders raise errors of many kinds
            is_known = not isinstance(error, UnidentifiedImageError)
            reason = printable(first_line(error)) if is_known else "it is of no known format"
            raise DataError(
                f"{place}: no whole image that Pillow can read ({reason}): replace or remove it"
            ) from None


def hash_image(image: Image) -> str:
    """Hash of an image's size and pixels, whatever file they came from."""
    digest = hashlib.blake2b(f"{image.mode} {image.size}".encode(), digest_size=16)
    digest.update(image.tobytes())
    return digest.hexdigest()


def _require_one_frame(image: Any, place: str) -> None:
    n_frames = getattr(image, "n_frames", 1)
    if n_frames > 1 and image.format != "MPO":  # of a camera; its first frame is the image
        raise DataError(f"{place}: holds {n_frames} frames: save the one that is meant")


def _to_rgb(image: Image, file_format: str, place: str) -> Image:
    is_16 = image.mode.startswith("I;16") or (image.mode == "I" and file_format in ("PNG", "PPM"))
    if is_16:
        return _scaled(image).convert("RGB")
    if image.mode[0] in "IF":
        raise DataError(
            f"{place}: pixels of 32 bits have no known range (mode {image.mode}): save it with 8 "
            "or 16 bits a channel"
        )
    return image.convert("RGB")


def _scaled(image: Image) -> Image:
    """A grey image of 16 bits with 8, to the nearest."""
    import numpy as np
    from PIL import Image

    values = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((values * _MOST_8 + _MOST_16 // 2) // _MOST_16).astype(np.uint8))
