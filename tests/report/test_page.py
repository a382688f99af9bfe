import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.report.conftest import ALL_STAGES

from mixwise.errors import ResourceError
from mixwise.files import seal
from mixwise.report.page import save_report
from mixwise.report.palette import COLOURS

MakeStudy = Callable[..., Path]

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


class Outline(HTMLParser):
    """The elements of a page, the content of its scripts, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.text = ""
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(value) for key, value in attrs if key in {"src", "href"}]
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "script" and self.cdata_elem == "script":
            self.scripts[-1] += data
        elif self.cdata_elem is None:
            self.text += data


def outline(path: Path) -> Outline:
    parser = Outline()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


def test_one_file_with_every_section_and_nothing_from_outside(make_study: MakeStudy) -> None:
    path = save_report(make_study())
    page = outline(path)
    assert path.name == "report.html"
    for title in (
        "Recommended beside the baselines",
        "Scored candidates",
        "What the proxy misses",
        "Task vectors, and what they predict",
        "Proxy against reference",
        "Try other mixtures",
        "Why this mixture, and how far to trust it",
        "From the experts' horizon to the final one",
        "Cost spent and avoided",
        "Provenance",
    ):
        assert title in page.text
    assert "Won: trained for real" in page.text
    assert all(link.startswith("#") for link in page.links)
    assert path.stat().st_size < 200_000
    assert not any("plotly.js v" in script for script in page.scripts)


def test_everything_of_a_hostile_study_stays_text(make_study: MakeStudy) -> None:
    tame = outline(save_report(make_study(domains=("a", "b"))))
    folder = make_study(domains=(HOSTILE, "b$script${body}"), recipe=f"# {HOSTILE}")
    hostile = outline(save_report(folder))
    assert hostile.tags == tame.tags
    assert hostile.links == tame.links
    assert f"# {HOSTILE}" in hostile.text
    assert f"{HOSTILE}/loss" in hostile.text
    assert "b$script${body}" in hostile.text


def test_a_hostile_method_or_provenance_stays_text(make_study: MakeStudy) -> None:
    folder = make_study()
    before = outline(save_report(folder)).tags
    for name, change in (
        ("search", {"method": HOSTILE, "source": HOSTILE, "rule": HOSTILE}),
        ("recommendation", {"answer": HOSTILE}),
    ):
        path = folder / f"{name}.json"
        content = json.loads(path.read_text()) | change
        if "provenance" in content:
            content["provenance"] |= {"experts": {HOSTILE: HOSTILE}, "rule": HOSTILE}
        path.write_text(seal(content))
    after = outline(save_report(folder))
    assert HOSTILE in after.text
    assert [tag for tag in after.tags if tag in {"script", "img"}] == [
        tag for tag in before if tag in {"script", "img"}
    ]


@pytest.mark.parametrize(
    ("stages", "commands"),
    [
        ((), {"search", "validate"}),
        (("search",), {"validate", "train"}),
        (("search", "validation"), {"train"}),
        (("search", "final"), {"validate"}),
        (("search", "validation", "final"), set()),
    ],
)
def test_missing_stages_are_named_with_their_command(
    make_study: MakeStudy, stages: Sequence[str], commands: set[str]
) -> None:
    text = outline(save_report(make_study(stages=stages))).text
    assert {c for c in ("search", "validate", "train") if f"mixwise {c} STUDY" in text} == commands


def test_a_folder_without_any_file(tmp_path: Path) -> None:
    assert "No mixture is recommended yet" in outline(save_report(tmp_path)).text


def test_sentences_hold_no_backticks_and_one_way_to_write_per_cent(make_study: MakeStudy) -> None:
    for stages in ((), ("search",), ALL_STAGES):
        page = outline(save_report(make_study(stages=stages)))
        shown = page.text[: page.text.find("Recipe, as given")]
        assert "`" not in shown
        assert not re.findall(r"\d%", shown)
    assert "<code>calibration.mixtures</code>" in save_report(make_study()).read_text()


def test_notices_have_a_section_only_where_there_are_any(make_study: MakeStudy) -> None:
    folder = make_study()
    assert 'href="#notices"' not in save_report(folder).read_text()
    rows = [{"text": f"cache `x` was rebuilt {HOSTILE}", "command": "search", "time": "12:00"}]
    (folder / "notices.json").write_text(json.dumps({"notices": rows}))
    before = outline(save_report(make_study())).tags
    page = outline(save_report(folder))
    assert "<code>x</code> was rebuilt &lt;/script&gt;" in (folder / "report.html").read_text()
    assert "#notices" in page.links
    assert [tag for tag in page.tags if tag in {"script", "img"}] == [
        tag for tag in before if tag in {"script", "img"}
    ]


def test_half_a_surrogate_pair_does_not_stop_the_page(make_study: MakeStudy) -> None:
    folder = make_study()
    (folder / "notices.json").write_text('{"notices": [{"text": "half \\ud800 pair"}]}')
    assert "half ? pair" in save_report(folder).read_text(encoding="utf-8")


def test_subsets_are_shown_without_mixtures_that_are_none(make_study: MakeStudy) -> None:
    page = save_report(make_study(method="subsets")).read_text(encoding="utf-8")
    board = page[page.index('id="candidates"') : page.index('id="calibration"')]
    assert board.count("<tr>") == 1 + 4  # the recommended one is no plain average, but is shown
    assert board.count('<tr class="marked">') == 1


@pytest.mark.parametrize("n", [2, 32])
def test_few_and_many_domains_with_long_names(make_study: MakeStudy, n: int) -> None:
    domains = [f"a-very-long-name-of-a-dataset.with_parts-{k:02}" for k in range(n)]
    page = outline(save_report(make_study(domains=domains)))
    assert all(name in page.text for name in domains)


def test_a_domain_has_one_colour_everywhere(make_study: MakeStudy) -> None:
    text = save_report(make_study()).read_text(encoding="utf-8")
    chips = [
        f'background-color:{colour}"></i>{name}'
        for colour, name in zip(COLOURS, ("math", "code"), strict=False)
    ]
    assert all(chip in text for chip in chips)


def test_the_same_study_gives_the_same_page(make_study: MakeStudy) -> None:
    first, second = (save_report(make_study()).read_bytes() for _ in range(2))
    assert first == second


def test_a_page_that_cannot_be_written_leaves_the_old_one(make_study: MakeStudy) -> None:
    folder = make_study()
    old = save_report(folder).read_bytes()
    (folder / f".report.html.partial.{os.getpid()}").mkdir()
    with pytest.raises(ResourceError, match=r"report\.html: cannot be written"):
        save_report(folder)
    assert (folder / "report.html").read_bytes() == old


def test_no_torch_is_loaded(make_study: MakeStudy) -> None:
    code = (
        "import sys, pathlib; from mixwise.report.page import save_report; "
        "save_report(pathlib.Path(sys.argv[1])); "
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(make_study())], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
