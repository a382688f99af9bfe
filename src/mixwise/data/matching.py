"""Which files a source names: paths, folders and patterns, each file once.

A path that names one file is taken at its word. A folder or a pattern takes data files only, all of
one format; what it leaves out is said. Links are followed, but a folder is entered once, a link to
a folder around the search is not followed at all, and a file is taken once under the first of its
names.
"""

from __future__ import annotations

import fnmatch
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from mixwise.data.formats import COMPRESSIONS, SUFFIXES, known_format, name_parts
from mixwise.errors import DataError, MixwiseWarning, printable
from mixwise.recipe import TextSource

_MAGIC = re.compile(r"[*?\[]")
_NO_DATA = re.compile(
    r"(readme|licen[cs]e|notice|copying|changelog|contributing|citation|requirements|sources)"
    r"([._-].*)?|_success|_metadata|_common_metadata|.*\.(crc|lock|md5|sha256|metadata\.json)"
    r"|dataset_infos?\.json|dataset_dict\.json|state\.json|metadata\.json|(.*_)?config\.json"
)


@dataclass(frozen=True, slots=True)
class Matched:
    """The files of a source, and those that its patterns match but that are no data.

    Args:
        files: Existing files, sorted within each pattern, without repeats.
        left_out: Each with the reason.
    """

    files: tuple[Path, ...]
    left_out: tuple[str, ...]


def expand_user(path: str) -> Path:
    """Expand ``~``; a user that does not exist is left as it is written."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def is_data_name(name: str) -> bool:
    """Whether a file beside others is data by its name: not a README, a licence or a marker."""
    return not name.startswith(".") and not _NO_DATA.fullmatch(name.lower())


def resolve_files(
    patterns: Iterable[str], folder: Path, key: str, wanted: str = "auto"
) -> tuple[Path, ...]:
    """The files that patterns name; see `match_files`."""
    return match_files(patterns, folder, key, wanted).files


def warn_of_left_out(source: TextSource, folder: Path, key: str) -> None:
    """Say which files a source's patterns match but do not take."""
    patterns = file_patterns(source, folder)
    left_out = match_files(patterns, folder, f"{key}.files", source.format).left_out
    if left_out:
        listed = "; ".join(left_out[:5]) + ("; …" if len(left_out) > 5 else "")
        warnings.warn(
            f"`{key}.files`: {len(left_out)} matching file(s) are no data and are left out "
            f"({listed}): name them one by one if they are",
            MixwiseWarning,
            stacklevel=2,
        )


def image_folders(source: TextSource, folder: Path) -> tuple[Path, ...]:
    """The image folders among the entries of ``files``, each once."""
    if not source.record_format.is_image:
        return ()
    found = (folder / expand_user(pattern) for pattern in source.files)
    return tuple({place.resolve(): place for place in found if _holds_folders(place)}.values())


def file_patterns(source: TextSource, folder: Path) -> tuple[str, ...]:
    """The entries of ``files`` that name data files."""
    if not source.record_format.is_image:
        return source.files
    return tuple(p for p in source.files if not _holds_folders(folder / expand_user(p)))


def _holds_folders(place: Path) -> bool:
    try:
        entries = list(place.iterdir()) if place.is_dir() else []
    except OSError:  # whoever lists its files will say so
        return False
    return any(entry.is_dir() and not entry.name.startswith(".") for entry in entries)


def match_files(patterns: Iterable[str], folder: Path, key: str, wanted: str = "auto") -> Matched:
    """Expand paths, folders and globs relative to the recipe's folder.

    Args:
        patterns: Paths, folders or globs (``**`` crosses folders).
        folder: Folder of the recipe.
        key: Key path of the patterns, for the error text.
        wanted: The recipe's ``format``; with one that is given, files without a known suffix are
            data too, and with ``text`` all files are.

    Raises:
        DataError: If a pattern matches no data file or files of several formats, a file that is
            named by itself is empty, or a link leads nowhere.
    """
    found: dict[tuple[int, int], Path] = {}
    left_out: dict[str, None] = {}
    for pattern in patterns:
        path = folder / expand_user(pattern)
        try:
            if _is_file(path):
                if path.stat().st_size == 0:
                    raise DataError(
                        f"`{key}`: {printable(str(path))} is empty: remove it or fill it"
                    )
                taken = [path]
            else:
                taken = _take(pattern, path, folder, key, wanted, left_out)
            for each in taken:
                status = each.stat()
                found.setdefault((status.st_dev, status.st_ino), each)
        except OSError as error:
            raise DataError(
                f"`{key}`: `{printable(pattern)}` cannot be opened ({error.strerror}): correct "
                "the path, or its permissions"
            ) from None
    return Matched(tuple(found.values()), tuple(left_out))


def _is_file(path: Path) -> bool:
    try:
        return S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False


def _take(
    pattern: str, path: Path, folder: Path, key: str, wanted: str, left_out: dict[str, None]
) -> list[Path]:
    """The data files of a folder or a glob; adds what it leaves out, with the reason."""
    is_folder = path.is_dir()
    matches = [
        p for p in (_list(path, "*") if is_folder else _expand(path, folder)) if not p.is_dir()
    ]
    named = None if is_folder else known_format(Path(pattern).name)
    where = f"`{key}`: `{printable(pattern)}`"
    if not matches:
        reason = "is no regular file" if path.exists() and not is_folder else "matches no file"
        raise DataError(f"{where} {reason} in {printable(str(folder))}: correct the path")
    taken, reasons = [], {}
    for match in matches:
        if not match.exists():
            raise DataError(
                f"`{key}`: {printable(str(match))} is a link that leads nowhere: restore what it "
                "names, or remove it"
            )
        reason = _why_no_data(match, named is not None, wanted)
        if reason:
            reasons[match] = reason
        else:
            taken.append(match)
    if wanted == "auto" and named is None:
        prose = [p for p in taken if name_parts(p.name)[0] in (".md", ".markdown", ".rst")]
        if 0 < len(prose) < len(taken):
            reasons |= dict.fromkeys(prose, "documentation beside data")
            taken = [p for p in taken if p not in reasons]
        _require_one_format(taken, where)
    for match, reason in reasons.items():
        left_out[f"{printable(str(match), 120)}: {reason}"] = None
    if not taken:
        listed = "; ".join(f"{printable(p.name, 60)}: {r}" for p, r in list(reasons.items())[:5])
        raise DataError(
            f"{where} matches {len(matches)} file(s), but none that is data ({listed}): name "
            f"files that end in {', '.join(SUFFIXES)} (compressed: {', '.join(COMPRESSIONS)}), or "
            "say what they are by `format`, such as `format: text` for source code"
        )
    return taken


def _why_no_data(path: Path, is_named: bool, wanted: str) -> str:
    """Why a file that a pattern matches is not taken; nothing if it is."""
    if not _is_file(path):
        return "no regular file"
    if path.stat().st_size == 0:
        return "empty"
    if is_named:  # the pattern itself ends in the suffix of a format
        return ""
    if not is_data_name(path.name) and wanted != "text":
        return "documentation or a marker"
    if wanted == "text":
        return ""
    known, suffix = known_format(path.name), name_parts(path.name)[0]
    if wanted == "auto":
        return "" if known else f"unknown suffix `{printable(suffix, 20)}`"
    fits = known in (None, wanted) or (known, wanted) == ("json", "jsonl")
    return "" if fits else f"{known} data"


def _require_one_format(files: list[Path], where: str) -> None:
    examples = {str(known_format(path.name)): path.name for path in reversed(files)}
    if len(examples) > 1:
        listed = ", ".join(f"{k} ({printable(n, 60)})" for k, n in sorted(examples.items()))
        raise DataError(
            f"{where} matches files of {len(examples)} formats: {listed}: give a pattern for "
            "those that are meant, such as `*.jsonl`"
        )


def _expand(path: Path, folder: Path) -> list[Path]:
    """Files and folders that a glob matches; the folder's own name is taken to the letter."""
    if not _MAGIC.search(str(path)):
        return [path] if path.is_symlink() else []
    start = folder if path.is_relative_to(folder) else Path(path.anchor)
    places = [start]
    parts = path.relative_to(start).parts
    for part in (*parts, "*") if parts[-1] == "**" else parts:
        if part == "**":
            places = list(dict.fromkeys(p for place in places for p in _walk(place)))
        elif _MAGIC.search(part):
            places = [p for place in places if place.is_dir() for p in _list(place, part)]
        else:
            joined = (place / part for place in places)
            places = [p for p in joined if p.exists() or p.is_symlink()]
    return sorted(places)


def _list(folder: Path, part: str) -> list[Path]:
    """Entries of a folder whose names fit; hidden ones only where the pattern begins with a dot."""
    names = [path.name for path in folder.iterdir()]
    fitting = fnmatch.filter(names, part)
    return sorted(folder / n for n in fitting if part.startswith(".") or not n.startswith("."))


def _walk(start: Path) -> Iterator[Path]:
    """A folder and all below it, each once: those that links lead to come last."""
    seen: set[tuple[int, int]] = set()
    waiting, inside = [start], start.resolve()
    while waiting:
        links: list[Path] = []
        while waiting:
            place = waiting.pop()
            if not place.is_dir():
                continue
            status = place.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            yield place
            for child in reversed(_list(place, "*")):
                is_link = child.is_symlink()
                if not (is_link and inside.is_relative_to(child.resolve())):
                    (links if is_link else waiting).append(child)
        waiting = links[::-1]
