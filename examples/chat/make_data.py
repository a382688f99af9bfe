"""What the chat study trains on and is measured by: the base, three domains, four tasks.

    pip install gguf
    python -m examples.chat.make_data [FOLDER]

The base is SmolLM2-135M-Instruct, made as for `examples/smollm2`; all else is made here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from examples.chat.domains import Row, library, records, sums
from examples.chat.questions import forms, functions, problems, words
from examples.smollm2.make_data import make_base

N_ROWS = 300  # of a domain
N_DOCUMENTS = 40  # of a task

DOMAINS = {"sums": sums, "records": records, "library": library}
TASKS = {"problems": problems, "functions": functions, "words": words, "forms": forms}


def main(folder: Path) -> None:
    """Write what is not there yet."""
    make_base(folder)
    write_rows(folder, N_ROWS, N_DOCUMENTS)


def write_rows(folder: Path, n_rows: int, n_documents: int) -> None:
    """Write the conversations of each domain, and the documents of each task."""
    for name, made in DOMAINS.items():
        _write(folder / "data" / f"{name}.jsonl", [_chat(*turn) for turn in made(n_rows)])
    for name, asked in TASKS.items():
        _write(folder / "tasks" / f"{name}.jsonl", asked(n_documents))


def _chat(question: str, answer: str) -> Row:
    turns = (("user", question), ("assistant", answer))
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def _write(path: Path, rows: Iterable[Row]) -> None:
    if not path.is_file():
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{path}: {len(lines):,} rows")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
