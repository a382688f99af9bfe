"""Images as a model reads them: `pixel_values`, made once by the base's image processor.

Notation:
    n: examples of a side.  (C, H, W): channels, height and width of an example.

Method:
    Each side is one file of float32, `(n, C, H, W)`, beside the labels; it is mapped, and what goes
    to another process is its name. A processor whose images come out in different sizes, or which
    draws at random, is refused when it is opened.

Departures:
    The processor runs on Pillow, whether torchvision is installed or not, so that pixels are the
    same on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mixwise.data.labelled import LabelledEncoder, SideFacts
from mixwise.data.streams import CachedFiles, map_file
from mixwise.data.tokenising import hash_text
from mixwise.errors import CheckpointError, DataError, first_line, printable
from mixwise.label_heads import LabelHead
from mixwise.records.record import Document

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = npt.NDArray[np.float32]
Shape = tuple[int, int, int]
_MODES = {1: "L", 3: "RGB"}
_TOLD_EVERY = 16  # images
_TRIED = ((48, 40), (67, 90))  # sizes that must come out as one


class ImageEncoder(LabelledEncoder):
    """Makes pixel values of an image and an index of a label.

    Args:
        processor: The base's image processor, of transformers.
        head: The outputs that answer for the images.
        n_channels: C.
        folder: Of the base, for error texts.

    Raises:
        CheckpointError: If the processor does not bring images of any size to one shape.
    """

    def __init__(self, processor: Any, head: LabelHead, n_channels: int, folder: Path) -> None:
        if n_channels not in _MODES:
            raise CheckpointError(
                f"{folder}: `num_channels` of config.json must be 1 (grey) or 3 (RGB), but is "
                f"{n_channels}: give a model of images"
            )
        self._processor = processor
        self._mode = _MODES[n_channels]
        self.shape = self._find_shape(n_channels, folder)
        settings = json.dumps(processor.to_dict(), sort_keys=True, default=str)
        rules = (type(processor).__name__, settings, self._mode, "pixels")
        super().__init__(head, (*rules, *map(str, self.shape)))

    @property
    def layout(self) -> ImageLayout:
        """Arrays of one shape."""
        return ImageLayout(self.shape)

    def encode(self, image: Image) -> Pixels:
        """Pixel values of an image, shape ``(C, H, W)``."""
        read = self._processor(image.convert(self._mode), return_tensors="np")
        pixels: Pixels = np.asarray(read["pixel_values"][0], dtype=np.float32)
        return pixels

    def _find_shape(self, n_channels: int, folder: Path) -> Shape:
        from PIL import Image

        rng = np.random.default_rng(0)
        found: list[Pixels] = []
        for size in (*_TRIED, _TRIED[-1]):
            noise = rng.integers(0, 256, (*reversed(size), 3), dtype=np.uint8)
            image = Image.fromarray(noise)
            try:
                found += [self.encode(image), self.encode(image)]
            except Exception as error:  # whatever the processor's own code raises
                raise CheckpointError(
                    f"{folder}: its image processor fails on an image of {size[0]} × {size[1]} "
                    f"pixels ({first_line(error)}): correct preprocessor_config.json"
                ) from None
            if not np.array_equal(found[-1], found[-2]):
                raise CheckpointError(
                    f"{folder}: its image processor makes other pixels of the same image each "
                    "time: switch off what it draws at random in preprocessor_config.json"
                )
        shapes = {pixels.shape for pixels in found}
        shape = found[0].shape
        if len(shapes) > 1 or len(shape) != 3 or shape[0] != n_channels:
            shown = " and ".join(str(one) for one in sorted(shapes))
            raise CheckpointError(
                f"{folder}: its image processor must bring every image to one shape of "
                f"{n_channels} channels, but makes {shown}: set `do_resize` and `size` (and a "
                "crop) in preprocessor_config.json"
            )
        return (shape[0], shape[1], shape[2])

    def write_side(
        self,
        folder: Path,
        side: str,
        documents: Iterable[Document],
        counted: Callable[[int], None],
    ) -> SideFacts:
        """Write pixels and labels."""
        hashes: list[int] = []
        n_bytes = 0
        names = (folder / f"{side}.f32", folder / f"{side}_labels.u32")
        with names[0].open("wb") as pixels_file, names[1].open("wb") as labels_file:
            for document in documents:
                assert document.image is not None  # the record format reads images
                label = self.label(document)
                self._checked(document).tofile(pixels_file)
                np.array([label], dtype=np.uint32).tofile(labels_file)
                hashes.append(hash_text(document.text))
                n_bytes += 3 * document.image.width * document.image.height
                if len(hashes) % _TOLD_EVERY == 0:
                    counted(_TOLD_EVERY)
        counted(len(hashes) % _TOLD_EVERY)
        return SideFacts(hashes, [1] * len(hashes), 0, n_bytes)

    def _checked(self, document: Document) -> Pixels:
        assert document.image is not None
        place = printable(document.place)
        try:
            pixels = self.encode(document.image)
        except Exception as error:  # whatever the processor's own code raises
            raise DataError(
                f"{place}: the base's image processor fails on it "
                f"({printable(first_line(error))}): remove the image"
            ) from None
        if pixels.shape != self.shape or not np.isfinite(pixels).all():
            raise DataError(
                f"{place}: the base's image processor makes an array of shape {pixels.shape} of "
                f"it, which must be finite and of shape {self.shape}: remove the image"
            )
        return pixels


@dataclass(frozen=True, slots=True)
class ImageLayout:
    """Arrays of one shape, and their labels."""

    shape: Shape

    def stream(self, folder: Path, side: str, files: Mapping[str, str]) -> ImageStream:
        """The examples of one side, by the hashes of the folder's files."""
        names = (f"{side}.f32", f"{side}_labels.u32")
        pixels, labels = (folder / name for name in names)
        hashes = {name: files[name] for name in names}
        return ImageStream(pixels=pixels, labels=labels, shape=self.shape, hashes=hashes)


@dataclass(frozen=True, slots=True)
class PixelTable:
    """Pixel values in a file, which is mapped when they are read.

    Args:
        file: The file.
        shape: (C, H, W).
        content_hash: Of the file.
    """

    file: Path
    shape: Shape
    content_hash: str

    def read(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> Pixels:
        """A copy of some of its examples, shape ``(len(rows), C, H, W)``."""
        table = np.memmap(self.file, dtype=np.float32, mode="r").reshape(-1, *self.shape)
        chosen: Pixels = np.array(table[np.asarray(rows, dtype=np.int64)])
        return chosen


@dataclass(frozen=True, slots=True, eq=False)
class ImageRows:
    """Examples of one side.

    Args:
        pixels: Of all examples of the side.
        places: Place of each example there, shape ``(n,)``.
        labels: Index of the label of each, shape ``(n,)``.
    """

    pixels: PixelTable
    places: npt.NDArray[np.int64]
    labels: npt.NDArray[np.integer]

    def item(self, row: int) -> dict[str, npt.NDArray[Any]]:
        """One example as a model reads it."""
        return {
            "pixel_values": self.pixels.read([self.places[row]])[0],
            "labels": np.array(self.labels[row], dtype=np.int64),
        }

    def row_ids(self, row: int) -> npt.NDArray[np.int64]:
        """Place of one example among the pixels, shape ``(1,)``."""
        return self.places[row : row + 1]

    @property
    def hashed(self) -> tuple[npt.NDArray[Any], ...]:
        """All that the examples are told from others by."""
        content = np.frombuffer(self.pixels.content_hash.encode(), dtype=np.uint8)
        return (content, self.places, self.labels)

    def chosen(self, rows: npt.NDArray[np.int64]) -> ImageRows:
        """Some of the examples."""
        return ImageRows(self.pixels, self.places[rows], self.labels[rows])


class ImageStream(CachedFiles):
    """One side of a domain of images.

    Attributes:
        pixels: File of float32, C · H · W an example.
        labels: File of 32-bit labels.
        shape: (C, H, W).
    """

    pixels: Path
    labels: Path
    shape: Shape

    @property
    def files(self) -> tuple[Path, ...]:
        """All that it is read from."""
        return (self.pixels, self.labels)

    def n_rows(self, length: int) -> int:
        """Examples; each is one unit long."""
        return len(map_file(self.labels, np.uint32)) // length

    def rows(self, length: int, start_of_text: int | None) -> ImageRows:
        """Its examples, mapped from disk when they are read."""
        assert length == 1, "an example is one unit"
        assert start_of_text is None, "images have no tokens"
        labels = map_file(self.labels, np.uint32)
        table = PixelTable(self.pixels, self.shape, self.hashes.get(self.pixels.name, ""))
        return ImageRows(table, np.arange(len(labels)), np.array(labels))
