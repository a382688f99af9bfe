"""Three tasks of our own, as a user writes them: YAML files and JSONL."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import sentences, write_rows, write_texts

QUIZ = """\
task: own_quiz
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/quiz-task.jsonl}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}} ->"
doc_to_choice: choices
doc_to_target: answer
metric_list:
  - {{metric: acc}}
  - {{metric: acc_norm}}
metadata: {{version: 1}}
"""
TEXTS = """\
task: own_texts
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/texts-task.jsonl}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: text
metric_list:
  - {{metric: word_perplexity}}
  - {{metric: byte_perplexity}}
  - {{metric: bits_per_byte}}
metadata: {{version: 1}}
"""
SAY = """\
task: own_say
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/quiz-task.jsonl}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}} ->"
doc_to_target: "{{{{choices[answer]}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 6, do_sample: false}}
filter_list:
  - name: letters
    filter:
      - {{function: regex, regex_pattern: "([a-z ]+)"}}
      - {{function: take_first}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}}
metadata: {{version: 1}}
"""


def write_tasks(folder: Path) -> Path:
    """Write them; gives the folder of the YAML files."""
    tasks = folder / "tasks"
    tasks.mkdir()
    for name, text in {"quiz": QUIZ, "texts": TEXTS, "say": SAY}.items():
        (tasks / f"own_{name}.yaml").write_text(text.format(folder=folder))
    words = ["three", "trois", "c d"]
    quiz: list[dict[str, object]] = [
        {"question": f"one two {' '.join(words[: k % 3])} {k}", "choices": words, "answer": k % 3}
        for k in range(24)
    ]
    write_rows(folder / "quiz-task.jsonl", quiz)
    write_texts(folder / "texts-task.jsonl", sentences("beta", 5, 12))
    return tasks
