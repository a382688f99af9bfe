"""Write down where the demo's texts come from, and copy the licences they come under."""

from __future__ import annotations

import gzip
import platform
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from readers import Document


class Origin(NamedTuple):
    """What SOURCES.md says about one shipped file."""

    kind: str
    what: str
    project: str
    packages: tuple[str, ...]
    licence: str
    changes: str


MAN = "troff markup, tables, credits and lists of related pages removed"
L10N = "[manpages-l10n](https://salsa.debian.org/manpages-l10n-team/manpages-l10n)"
L10N_LICENCE = (
    "GPL-3.0-or-later (translations); the pages translated are under the licences that their "
    "notices name, most often GPL-2.0-or-later or Linux-man-pages-copyleft"
)
ORIGINS = (
    Origin("python", "beginnings of modules of the standard library", "[Python](https://python.org)",
           ("python",), "PSF-2.0", "opening comments removed"),
    Origin("c", "headers of the Linux kernel's user-space interface",
           "[Linux](https://kernel.org)", ("linux-libc-dev",),
           "GPL-2.0 with the Linux-syscall-note, or what the header's notice says instead",
           "opening comments removed"),
    Origin("german", "German manual pages", L10N, ("manpages-de", "manpages-de-dev"),
           L10N_LICENCE, MAN),
    Origin("french", "French manual pages", L10N, ("manpages-fr", "manpages-fr-dev"),
           L10N_LICENCE, MAN),
    Origin("glosses", "English words with their definitions, forty to a document",
           "[WordNet 3.0](https://wordnet.princeton.edu)", ("wordnet-base",), "WordNet 3.0 licence",
           "words and glosses taken out of the database files"),
    Origin("outils", "French manual pages of Debian's tools for developers",
           "[Debian](https://www.debian.org)", ("debhelper", "devscripts", "dpkg-dev", "po4a"),
           "GPL-2.0-or-later, or what the package's copyright file says of the page", MAN),
    Origin("libc", "headers of the GNU C library",
           "[GNU C Library](https://www.gnu.org/software/libc/)", ("libc6-dev",),
           "LGPL-2.1-or-later, or what the header's notice says instead",
           "opening comments removed"),
    Origin("spanish", "Spanish manual pages", L10N, ("manpages-es", "manpages-es-dev"),
           L10N_LICENCE, MAN),
    Origin("sqlite", "documentation of SQLite", "[SQLite](https://sqlite.org)", ("sqlite3-doc",),
           "public domain", "HTML markup, pictures, tables and navigation removed"),
    Origin("perl", "manuals of Perl", "[Perl](https://www.perl.org)", ("perl-doc",),
           "Artistic or GPL-1.0-or-later; see the notices",
           "POD markup, credits and lists of related pages removed"),
)  # fmt: skip
COPIED = {
    "debhelper.copyright": "debhelper",
    "devscripts.copyright": "devscripts",
    "dpkg-dev.copyright": "dpkg-dev",
    "libc6-dev.copyright": "libc6-dev",
    "linux.copyright": "linux-libc-dev",
    "manpages-l10n.copyright": "manpages-de",
    "perl.copyright": "perl-doc",
    "po4a.copyright": "po4a",
    "sqlite.copyright": "sqlite3-doc",
    "wordnet.copyright": "wordnet-base",
}
COMMON = ("Artistic", "GPL-1", "GPL-2", "GPL-3", "LGPL-2", "LGPL-2.1")
HEAD = """\
# Where the demo's files come from

Written by `tools/demo/build_corpora.py`. The texts are parts of other people's works, each under
its own licence; the licence of mixwise does not cover them. Every row names the file its text was
cut from in `source`. All texts were changed as follows: only the beginning of each file is kept (at
most 6,000 characters), long lines found in three or more files of a kind are removed, and
near-copies of other files are left out.

| file in `data/` | what it is | upstream | package and version | licence | further changes |
| --- | --- | --- | --- | --- | --- |
"""
TAIL = """\

`licences/notices.jsonl.gz` holds, file by file, the copyright notices and credits that were removed
from the texts. The packages' own copyright files and the licences they refer to are next to it,
compressed with gzip.

Manual pages marked Linux-man-pages-copyleft come with this permission, which holds for the texts
here as well:

> Permission is granted to make and distribute verbatim copies of this manual provided the copyright
> notice and this permission notice are preserved on all copies.
>
> Permission is granted to copy and distribute modified versions of this manual under the conditions
> for verbatim copying, provided that the entire resulting derived work is distributed under the
> terms of a permission notice identical to this one.

## The base model

`base/` was made from scratch by `tools/demo/pretrain_base.py`. Its tokenizer and its weights were
trained on other files of the packages above, those of `outils` and `libc` excepted, and on
the documentation of
[PostgreSQL](https://www.postgresql.org) (postgresql-doc-15 {postgresql}; PostgreSQL licence).
None of the files it was trained on is in `data/`.
"""


def table_row(origin: Origin, versions: dict[str, str], documents: Sequence[Document]) -> str:
    """One line of the table."""
    packages = ", ".join(f"{name} {versions[name]}" for name in origin.packages)
    size = f"{len(documents)} documents"
    cells = (f"`{origin.kind}.jsonl.gz`", f"{origin.what} ({size})", origin.project, packages,
             origin.licence, origin.changes)  # fmt: skip
    return "| " + " | ".join(cells) + " |\n"


def copy_licences(debs: Path, folder: Path) -> None:
    """Copy the packages' copyright files and the common licences, compressed reproducibly."""
    texts = {
        name: debs / package / "usr/share/doc" / package / "copyright"
        for name, package in COPIED.items()
    }
    texts |= {name: debs / "base-files/usr/share/common-licenses" / name for name in COMMON}
    texts["python.copyright"] = Path(sysconfig.get_path("stdlib")) / "LICENSE.txt"
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in sorted(texts.items()):
        (folder / f"{name}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


def write_sources(
    out: Path, debs: Path, versions: dict[str, str], shipped: dict[str, list[Document]]
) -> None:
    """Write SOURCES.md and the folder of licences under `out`."""
    versions = {**versions, "python": platform.python_version()}
    rows = [table_row(origin, versions, shipped[origin.kind]) for origin in ORIGINS]
    rows.append(
        f"| `quiz.jsonl.gz` | multiple-choice questions on how a text goes on "
        f"({len(shipped['quiz'])} documents) | as `outils` and `libc` | as these | as "
        "these | cut into short pieces |\n"
    )
    wordnet = (debs / "wordnet-base/usr/share/doc/wordnet-base/copyright").read_text("utf-8")
    licence = wordnet.split("License: WordNet3.0\n", 1)[1].split("\nFiles:", 1)[0].rstrip()
    quoted = "\n".join(
        "> " + line.strip().removeprefix(".") if line.strip() != "." else ">"
        for line in licence.split("\n")
    )
    text = HEAD + "".join(rows) + TAIL.format(postgresql=versions["postgresql-doc-15"])
    text += f"\n## WordNet's licence, as it asks to be repeated\n\n{quoted}\n"
    (out / "SOURCES.md").write_text(text, encoding="utf-8")
    copy_licences(debs, out / "licences")
