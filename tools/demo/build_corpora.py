"""Rebuild the demo's text from Debian 12 packages and Python's standard library.

Everything the demo ships as text comes out of this script: five domains to fine-tune on, three
target sets that belong to none of them, and a multiple-choice quiz.  It also writes the blend that
the demo's base model is pre-trained on, which is not shipped.  No file contributes to two of these.

Needs Debian or a relative with bookworm in its apt sources (``apt-get`` and ``dpkg-deb``); the
packages are only downloaded and unpacked into a temporary folder, never installed.

    python tools/demo/build_corpora.py --out src/mixwise/demo --blend /tmp/blend
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import subprocess
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from quiz import Question, quiz_rows
from readers import Document, html_text, man_text, pod_text, wordnet_entries
from sources_md import write_sources

PACKAGES = (
    "base-files",
    "linux-libc-dev",
    "manpages-de",
    "manpages-de-dev",
    "manpages-fr",
    "manpages-fr-dev",
    "manpages-es",
    "manpages-es-dev",
    "wordnet-base",
    "sqlite3-doc",
    "perl-doc",
    "postgresql-doc-15",
    "debhelper",
    "devscripts",
    "dpkg-dev",
    "po4a",
    "libc6-dev",
)
MIN_CHARS, MAX_CHARS, MAX_BLEND_CHARS = 500, 6000, 40_000
PYTHON_SKIP = re.compile(
    r"/(site-packages|test|tests|idle_test|lib2to3|idlelib|turtledemo|encodings|pydoc_data"
    r"|ensurepip|__pycache__|config-[^/]*)/|_sysconfigdata"
)
SQLITE_SKIP = re.compile(
    r"/(releaselog|syntax|images|search\.d)/|(crossref|list|capi3ref|toc|famous|index|sitemap|news"
    r"|chronology|changes|cves|copyright[^/]*|consortium[^/]*|pressrelease[^/]*)\.html$"
)
PERL_SKIP = re.compile(r"/perl(cn|jp|ko|tw|toc|artistic|gpl|hist|uniprops)\.pod$")
PERL_BLEND_ONLY = re.compile(r"/perl\d+delta\.pod$")
LICENCE_TEXT = re.compile(
    r"Permission (is hereby granted|to use, copy)|Redistribution and use", re.I
)


class Split(NamedTuple):
    """How much of one kind of text goes where; the blend is made of what is left over.

    The blend has a little of the domains only, so that the base has a lot to gain from each.
    """

    kind: str
    shipped_chars: int
    quiz_documents: int = 0
    blend_chars: int = 400_000


SPLITS = (
    Split("python", 1_050_000),
    Split("c", 1_000_000),
    Split("german", 1_050_000),
    Split("french", 1_050_000),
    Split("glosses", 1_050_000),
    Split("outils", 260_000, 50, 0),
    Split("libc", 260_000, 50, 0),
    Split("spanish", 260_000, 0, 200_000),
    Split("sqlite", 260_000, 0, 300_000),
    Split("perl", 260_000, 0, 300_000),
    Split("postgresql", 0, 0, 3_000_000),
)


def unpack(folder: Path) -> dict[str, str]:
    """Download and unpack every package under `folder`; return each one's version."""
    versions = {}
    subprocess.run(
        ["apt-get", "download", "-o", "APT::Sandbox::User=root", *PACKAGES],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    for name in PACKAGES:
        (archive,) = folder.glob(f"{name}_*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, folder / name], check=True)
        shown = subprocess.run(
            ["dpkg-deb", "-f", archive, "Version"], check=True, capture_output=True, text=True
        )
        versions[name] = shown.stdout.strip()
    return versions


def read_files(
    root: Path,
    pattern: str,
    convert: Callable[[str], tuple[str, str]],
    label: str,
    skip: re.Pattern[str] | None = None,
) -> list[Document]:
    """Convert the regular files under `root` that match, in sorted order, to documents."""
    documents = []
    for path in sorted(root.glob(pattern)):
        if path.is_symlink() or not path.is_file() or (skip and skip.search(str(path))):
            continue
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
        try:
            text, notice = convert(raw.decode("utf-8"))
        except UnicodeDecodeError:
            continue
        documents.append(Document(text, f"{label}:{path.relative_to(root)}", notice))
    return documents


def split_comments(text: str, pattern: str) -> tuple[str, str]:
    """Part a source file from the comments it opens with: they hold its licence."""
    match = re.match(pattern, text, re.S)
    end = match.end() if match else 0
    return text[end:], text[:end].strip()


def python_text(text: str) -> tuple[str, str]:
    """Split a module into what follows its opening comments, and those."""
    return split_comments(text, r"(?:[ \t]*#[^\n]*\n|[ \t]*\n)*")


def c_text(text: str) -> tuple[str, str]:
    """Split a header into what follows its opening comments, and those."""
    return split_comments(text, r"(?:\s*/\*.*?\*/|\s*//[^\n]*\n)*\s*")


def read_glosses(folder: Path) -> list[Document]:
    """Batch neighbouring WordNet entries; synsets are filed by subject, so a batch has a theme."""
    documents = []
    for part in ("noun", "verb", "adj", "adv"):
        entries = wordnet_entries((folder / f"data.{part}").read_text("utf-8"))
        for start in range(0, len(entries), 40):
            text = "\n".join(entries[start : start + 40])
            documents.append(Document(text, f"wordnet-base:data.{part}#{start}"))
    return documents


def read_all(debs: Path) -> dict[str, list[Document]]:
    """Every kind of text, as whole documents."""
    stdlib = Path(sysconfig.get_path("stdlib"))

    def man(language: str) -> list[Document]:
        packages = (f"manpages-{language}", f"manpages-{language}-dev")
        pattern = f"usr/share/man/{language}/man*/*.gz"
        return [d for name in packages for d in read_files(debs / name, pattern, man_text, name)]

    return {
        "python": read_files(stdlib, "**/*.py", python_text, "python", PYTHON_SKIP),
        "c": read_files(debs / "linux-libc-dev", "usr/include/**/*.h", c_text, "linux-libc-dev"),
        "german": man("de"),
        "french": man("fr"),
        "glosses": read_glosses(debs / "wordnet-base/usr/share/wordnet"),
        "outils": [
            document
            for name in ("debhelper", "devscripts", "dpkg-dev", "po4a")
            for document in read_files(debs / name, "usr/share/man/fr/man*/*.gz", man_text, name)
        ],
        "libc": read_files(debs / "libc6-dev", "usr/include/**/*.h", c_text, "libc6-dev"),
        "spanish": man("es"),
        "sqlite": read_files(
            debs / "sqlite3-doc",
            "usr/share/doc/sqlite3/**/*.html",
            html_text,
            "sqlite3-doc",
            SQLITE_SKIP,
        ),
        "perl": read_files(
            debs / "perl-doc", "usr/share/perl/*/pod/*.pod", pod_text, "perl-doc", PERL_SKIP
        ),
        "postgresql": read_files(
            debs / "postgresql-doc-15",
            "usr/share/doc/postgresql-doc-15/html/*.html",
            html_text,
            "postgresql-doc-15",
            re.compile(r"/(release|legal|bookindex|biblio|acronyms|contrib)"),
        ),
    }


def clean(documents: Iterable[Document]) -> list[Document]:
    """Remove what would leak from one document of a kind into another.

    Long lines found in three documents or more are boilerplate and go; a document of whose long
    lines most were seen before (a copy, a variant, a generated sibling) goes altogether.
    """
    documents = list(documents)
    uses = Counter(line for d in documents for line in set(d.text.split("\n")) if len(line) >= 50)
    seen: set[str] = set()
    kept = []
    for document in documents:
        lines = [line for line in document.text.split("\n") if uses[line] < 3]
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"
        long_lines = {line.strip() for line in lines if len(line.strip()) >= 25}
        if len(text) < MIN_CHARS or LICENCE_TEXT.search(document.text):
            continue
        if len(long_lines & seen) * 2 > len(long_lines):
            continue
        seen |= long_lines
        kept.append(document._replace(text=text))
    return kept


def shorten(document: Document, most: int = MAX_CHARS) -> Document:
    """The beginning of a document, cut at the end of a line (or of a word, if lines are long)."""
    text = document.text
    if len(text) > most:
        end = text.rfind("\n", MIN_CHARS, most)
        if end < most // 2:
            end = text.rfind(" ", MIN_CHARS, most)
        text = text[:end].rstrip() + "\n"
    return document._replace(text=text)


def allot(
    documents: list[Document], split: Split, rng: random.Random
) -> tuple[list[Document], list[Document], list[Document]]:
    """Deal one kind of text out to the shipped file, the quiz and the blend."""
    late = [d for d in documents if PERL_BLEND_ONLY.search(d.source)]
    pool = [d for d in documents if not PERL_BLEND_ONLY.search(d.source)]
    rng.shuffle(pool)
    shipped: list[Document] = []
    size = 0
    while pool and size < split.shipped_chars:
        shipped.append(shorten(pool.pop()))
        size += len(shipped[-1].text)
    quiz = [pool.pop() for _ in range(min(split.quiz_documents, len(pool)))]
    return sorted(shipped, key=lambda d: d.source), quiz, pool + late


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write gzipped JSON lines that depend on nothing but the rows."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        packed.write(lines.encode("utf-8"))


def write_corpora(
    kinds: dict[str, list[Document]], out: Path, blend_folder: Path, seed: int
) -> dict[str, list[Document]]:
    """Write every file of rows; return the documents that are shipped, by file."""
    blend: list[dict[str, str]] = []
    quiz: list[Question] = []
    shipped: dict[str, list[Document]] = {"quiz": []}
    for split in SPLITS:
        rng = random.Random(f"{seed}-{split.kind}")
        chosen, quiz_documents, rest = allot(clean(kinds[split.kind]), split, rng)
        if chosen:
            shipped[split.kind] = chosen
            rows = ({"text": d.text, "source": d.source} for d in chosen)
            write_rows(out / "data" / f"{split.kind}.jsonl.gz", rows)
        shipped["quiz"] += quiz_documents
        quiz += quiz_rows(quiz_documents, 4, rng)
        size = 0
        for document in (shorten(d, MAX_BLEND_CHARS) for d in rest):
            if size < split.blend_chars:
                blend.append({"text": document.text, "source": document.source, "kind": split.kind})
                size += len(document.text)
        total = sum(len(d.text) for d in chosen)
        print(
            f"{split.kind:11} shipped {len(chosen):4} documents, {total:8} characters;"
            f" quiz {len(quiz_documents):3}; blend {size:8} characters"
        )
    random.Random(seed).shuffle(quiz)
    random.Random(seed).shuffle(blend)
    write_rows(out / "data" / "quiz.jsonl.gz", quiz)
    write_rows(blend_folder / "blend.jsonl.gz", blend)
    print(f"quiz {len(quiz)} rows, blend {sum(len(row['text']) for row in blend)} characters")
    return shipped


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the demo package's folder")
    parser.add_argument("--blend", type=Path, required=True, help="folder for the blend")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        debs = Path(name)
        versions = unpack(debs)
        shipped = write_corpora(read_all(debs), options.out, options.blend, options.seed)
        notices = [
            {"file": f"{kind}.jsonl.gz", "source": d.source, "notice": d.notice}
            for kind, documents in shipped.items()
            for d in documents
            if d.notice
        ]
        write_rows(options.out / "licences" / "notices.jsonl.gz", notices)
        write_sources(options.out, debs, versions, shipped)


if __name__ == "__main__":
    main()
