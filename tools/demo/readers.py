"""Turn the markup that the demo's sources are written in into plain, readable text.

These are not general converters: they know as much troff, HTML and POD as the packages use, and
leave out whatever does not read as text (tables, pictures, navigation, credits).
"""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser
from typing import NamedTuple


class Document(NamedTuple):
    """One text, where it is from (package, then path inside it), and the credits taken out of it.

    The credits are the notices that licences ask to be kept; the demo ships them in a file apart.
    """

    text: str
    source: str
    notice: str = ""


CREDITS = re.compile(
    r"^(copyright|urheberrecht|lizenz|licen[cs]|aut(h)?or|autor|auteur|verfasser|übersetz|traduc"
    r"|fehler ?berichte|fehler melden|signal(er|ement)|rapporter|informar de|informe|bugs?$"
    r"|bogues?$"
    r"|reporting|kolophon|colophon|verfügbarkeit|droits|derechos|historia(l)? de"
    r"|anmerkungen des über)",
    re.I,
)
RELATED = re.compile(r"^(siehe auch|voir aussi|v[ée]ase tambi|see also)", re.I)
ESCAPES = {
    "(aq": "'", "(oq": "'", "(cq": "'", "(dq": '"', "(lq": '"', "(rq": '"', "(co": "©",
    "(bu": "-", "(em": "-", "(en": "-", "(ha": "^", "(ti": "~", "(rs": "\\", "(ga": "`",
    "(Fo": "«", "(Fc": "»", "(oe": "œ", "(->": "->",
    "(<-": "<-", "(+-": "±", "(mu": "\u00d7", "(>=": ">=", "(<=": "<=", "(tm": "",
}  # fmt: skip
ACCENTS = {"'": "\u0301", "`": "\u0300", "^": "\u0302", ":": "\u0308", ",": "\u0327", "~": "\u0303"}
ESCAPE = re.compile(
    r"\\(?:f(?:\(..|\[[^\]]*\]|.)|s[-+]?\d+|\*(?:\(..|\[[^\]]*\]|.)|(\(..)|\[([^\]]*)\]"
    r"|[hvwm](?:'[^']*'|\[[^\]]*\])|(.))"
)
ARGUMENT = re.compile(r'"((?:[^"]|"")*)"?|(\S+)')


def _unescape(match: re.Match[str]) -> str:
    """The character that one troff escape sequence stands for."""
    special, bracketed, single = match.groups()
    if special or bracketed:
        name = special or f"({bracketed}"
        if len(name) == 3 and name[1] in ACCENTS and name[2].isalpha():
            return unicodedata.normalize("NFC", name[2] + ACCENTS[name[1]])
        return ESCAPES.get(name, "")
    return {"-": "-", "e": "\\", " ": " ", "~": " ", "`": "`", "'": "'", "0": " "}.get(single, "")


def _plain(line: str) -> str:
    line = line.replace("\\\\", "\\e").replace("\\*(Aq", "'")
    line = re.sub(r"\\\*\([LR]\"", '"', line)
    return ESCAPE.sub(_unescape, line).replace("\u00a0", " ")


def _arguments(text: str) -> list[str]:
    return [quoted or bare for quoted, bare in ARGUMENT.findall(text)]


class _ManPage:
    """Reads troff `man` requests line by line and collects paragraphs, one line each."""

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self.credits: list[str] = []
        self.unused: list[str] = []
        self.into = self.blocks
        self.words: list[str] = []
        self.verbatim = False
        self.until: str | None = None

    def flush(self) -> None:
        text = re.sub(r"\s+", " ", " ".join(self.words)).strip()
        if text:
            self.into.append(text)
        self.words = []

    def add(self, text: str) -> None:
        if self.verbatim:
            self.into.append(_plain(text).rstrip())
        else:
            self.words.append(_plain(text))

    def heading(self, arguments: list[str], level: int) -> None:
        title = _plain(" ".join(arguments)).strip()
        self.verbatim = False
        if level == 1:
            self.into = self.blocks
            if CREDITS.match(title):
                self.into = self.credits
            elif RELATED.match(title):
                self.into = self.unused
        self.into += ["", title]

    def request(self, name: str, rest: str) -> None:
        arguments = _arguments(rest)
        if name in ("SH", "SS"):
            self.flush()
            self.heading(arguments, 1 if name == "SH" else 2)
        elif name in ("B", "I", "SM", "SB"):
            self.add(" ".join(arguments))
        elif name in ("BR", "RB", "IR", "RI", "BI", "IB"):
            self.add("".join(arguments))
        elif name in ("PP", "P", "LP", "TP", "IP", "HP", "sp", "Sp", "br", "RS", "RE", "TQ"):
            self.flush()
            if name == "IP" and arguments:
                self.add(arguments[0])
        elif name in ("nf", "EX", "Vb", "fi", "EE", "Ve"):
            self.flush()
            self.verbatim = name in ("nf", "EX", "Vb")
        elif name in ("TS", "de", "ig", "EQ"):
            self.until = {"TS": ".TE", "EQ": ".EN"}.get(name, "..")

    def line(self, line: str) -> None:
        if self.until:
            if line.rstrip() == self.until:
                self.until = None
        elif re.match(r"[.']\\\"", line):
            comment = line[3:].strip(" *#")
            if comment and "po4a" not in comment and "coding:" not in comment:
                self.credits.append(comment)
        elif line[:1] in (".", "'"):
            match = re.match(r"[.'][ \t]*([A-Za-z]+)(.*)", line)
            if match:
                self.request(match[1], match[2].split('\\"')[0])
        elif line.strip():
            self.add(line)
        else:
            self.flush()


def man_text(text: str) -> tuple[str, str]:
    """A manual page without markup, credits and list of related pages; and its credits.

    Pages in the other macro set (mdoc), mere pointers to another page, and pages under the
    advertising clause come back empty.
    """
    if re.search(r"^\.(Dd|so)\b", text, re.M) or "BSD-4-Clause" in text:
        return "", ""
    page = _ManPage()
    for line in text.split("\n"):
        page.line(line)
    page.flush()
    return "\n".join(page.blocks), "\n".join(page.credits).strip()


class _Page(HTMLParser):
    """Collects the text of an HTML page, leaving out scripts, pictures and navigation."""

    HIDDEN = ("script", "style", "svg", "button", "head", "table")
    BREAKS = ("p", "div", "li", "tr", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "blockquote", "br")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.hidden: list[str] = []
        self.pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        classes = dict(attrs).get("class") or ""
        navigation = tag == "div" and re.search(r"nosearch|nav(header|footer)|toc", classes)
        if self.hidden:
            if tag == self.hidden[0]:
                self.hidden.append(tag)
        elif tag in self.HIDDEN or navigation:
            self.hidden.append(tag)
        elif tag == "pre":
            self.pre += 1
            self.parts.append("\n")
        elif tag in self.BREAKS:
            self.parts.append("\n\n" if tag in ("h1", "h2", "h3", "p") else "\n")

    def handle_endtag(self, tag: str) -> None:
        if self.hidden:
            if tag == self.hidden[0]:
                self.hidden.pop()
        elif tag == "pre":
            self.pre = max(0, self.pre - 1)
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data if self.pre else re.sub(r"\s+", " ", data))


def html_text(text: str) -> tuple[str, str]:
    """The readable text of a page of documentation, and no credits."""
    page = _Page()
    page.feed(text)
    page.close()
    lines = "".join(page.parts).replace("\u00a0", " ").split("\n")
    kept = [line.rstrip() if line[:2].isspace() else line.strip() for line in lines]
    kept = [line for line in kept if not line.startswith("This page last modified")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip(), ""


def pod_text(text: str) -> tuple[str, str]:
    """A POD document, paragraphs joined to one line each and code as it stands; and its credits."""
    blocks: list[str] = []
    credits: list[str] = []
    into = blocks
    for block in re.split(r"\n\s*\n", text):
        command = re.match(r"=(\w+)\s*(.*)", block, re.S)
        if command and command[1].startswith("head"):
            title = command[2].strip()
            into = credits if CREDITS.match(title) else [] if RELATED.match(title) else blocks
        if command and not command[2].strip():
            continue
        if block[:1].isspace():
            into.append(block.rstrip())
            continue
        body = re.sub(r"\s+", " ", command[2] if command else block).strip()
        into.append(_pod_inline(body))
    return "\n\n".join(blocks), "\n\n".join(credits)


def _pod_inline(text: str) -> str:
    """Resolve formatting codes such as C<...>, innermost first; of a link, keep the label."""
    text = re.sub(r"([A-Z])<<+ (.*?) >>+", r"\2", text)
    text = text.replace("E<gt>", "\x01").replace("E<lt>", "\x02").replace("E<sol>", "/")
    for _ in range(4):
        text = re.sub(r"L<(?:([^<>|]*)\|)?([^<>]*)>", lambda m: m[1] or m[2], text)
        text = re.sub(r"[XZ]<[^<>]*>", "", text)
        text = re.sub(r"[BCEFIS]<([^<>]*)>", r"\1", text)
    return text.replace("\x01", ">").replace("\x02", "<")


def wordnet_entries(text: str) -> list[str]:
    """WordNet's data file as lines `word, synonym: gloss`."""
    entries = []
    for line in text.split("\n"):
        if line[:1].isdigit() and " | " in line:
            fields, gloss = line.split(" | ", 1)
            columns = fields.split(" ")
            count = int(columns[3], 16)
            words = [re.sub(r"\(\w+\)$", "", columns[4 + 2 * i]) for i in range(count)]
            entries.append(f"{', '.join(words).replace('_', ' ')}: {gloss.strip()}")
    return entries
