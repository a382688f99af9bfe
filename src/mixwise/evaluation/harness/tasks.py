"""A task of the lm-evaluation-harness, opened once in each process.

Method:
    The harness builds documents, few-shot prompts and requests; they are kept for as long as the
    process lives, and only the model changes. Its own caches are never used: that of answers knows
    no weights, and that of requests no data. Half of the documents, told by the hash of each, are
    searched on and the other half is kept to report on.

Source:
    ``TaskManager``, ``Task.build_all_requests`` and ``simple_evaluate`` of lm-eval 0.4.13, which
    sets the seed of the few-shot examples to 1234.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mixwise.data.contamination import Passage
from mixwise.errors import (
    DataError,
    MissingDependencyError,
    RecipeError,
    first_line,
    nearest,
    printable,
)
from mixwise.kinds.lm_eval import LmEvalKeys

_FEWSHOT_SEED = 1234
_UNSAFE = "runs code that a model writes, which mixwise does not do"


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What a task is opened from; goes to workers.

    Args:
        key: Key path of its set in the recipe, for error texts.
        keys: The recipe's.
        folder: The recipe's folder, where relative paths start, also those of a task's files.
        tokenizer: Folder of the tokenizer, for its chat template.
        trust_remote_code: Whether code from there may run.
    """

    key: str
    keys: LmEvalKeys
    folder: Path
    tokenizer: Path
    trust_remote_code: bool


@dataclass(frozen=True, slots=True, eq=False)
class TaskDocument:
    """One document, and the requests that the harness makes of it.

    Args:
        task: The harness' task that it belongs to.
        document: As the task gives it.
        requests: The harness' instances, in their order.
        weight: Of the document in the mean over all.
    """

    task: Any
    document: Any
    requests: tuple[Any, ...]
    weight: float


class OpenedTask:
    """Documents and requests of a task or a group of tasks.

    Args:
        spec: What to open.

    Raises:
        MissingDependencyError: If lm-eval is not installed.
        RecipeError: If there is no such task, or it cannot be measured in process.
        DataError: If its documents cannot be read.
    """

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec
        try:
            with quiet(), chdir(spec.folder):  # `datasets` reads relative `data_files` from there
                found = self._load()
                for task in found["tasks"].values():
                    self._require_measurable(task)
                    self._build(task)
        except (RecipeError, MissingDependencyError):
            raise
        except Exception as error:  # whatever a task's own code, or `datasets`, raises
            raise DataError(
                f"`{spec.key}`: the task `{printable(spec.keys.task, 80)}` cannot be opened "
                f"({first_line(error)}): mend its YAML file or its data"
            ) from None
        self._tasks: dict[str, Any] = found["tasks"]
        self._is_by_size = _is_by_size(found["groups"].get(spec.keys.task))

    @cached_property
    def documents(self) -> tuple[TaskDocument, ...]:
        """The documents of the half that is asked for, or all.

        Raises:
            DataError: If there is none.
        """
        chosen = []
        for task in self._tasks.values():
            own = [each for each in _documents(task) if self._is_asked_for(each)]
            weight = 1.0 if self._is_by_size else 1 / max(len(own), 1)
            chosen += [TaskDocument(task, doc, requests, weight) for doc, requests in own]
        if not chosen:
            raise DataError(
                f"`{self.spec.key}`: no document of `{printable(self.spec.keys.task, 80)}` is in "
                f"its half (`documents: {self.spec.keys.documents}`): raise `limit`, or use all"
            )
        return tuple(chosen)

    @property
    def passages(self) -> tuple[Passage, ...]:
        """Each document's own question and right answer, as training data may hold them."""
        found = []
        for number, each in enumerate(self.documents):
            parts = (each.task.doc_to_text(each.document), each.task.doc_to_target(each.document))
            if each.task.OUTPUT_TYPE == "multiple_choice" and isinstance(parts[1], int):
                parts = (parts[0], each.task.doc_to_choice(each.document)[parts[1]])
            text = " ".join(part for part in parts if isinstance(part, str))
            found.append(Passage(text, f"{self.spec.keys.task}:{number + 1}"))
        return tuple(found)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all requests, documents and right answers, and of the harness' release."""
        from importlib.metadata import version

        digest = hashlib.blake2b(version("lm_eval").encode(), digest_size=16)
        digest.update(self.spec.keys.model_dump_json().encode())
        for each in self.documents:
            asked = [(r.request_type, repr(r.arguments)) for r in each.requests]
            digest.update(json.dumps([asked, _as_text(each.document), each.weight]).encode())
        return digest.hexdigest()

    def _load(self) -> Any:
        keys, folder = self.spec.keys, self.spec.folder
        manager_of = _harness().TaskManager
        path = None if keys.include_path is None else folder / keys.include_path
        if path is not None and not path.is_dir():
            raise RecipeError(
                f"`{self.spec.key}.include_path`: {path} is no folder: correct the path"
            )
        file = folder / keys.task
        is_file = file.suffix in {".yaml", ".yml"} and file.is_file()
        is_own = path is not None or is_file
        manager = manager_of(
            include_path=None if path is None else str(path), include_defaults=not is_own
        )
        if not is_file and keys.task not in manager.all_tasks:
            raise RecipeError(
                f"`{self.spec.key}.task`: lm-eval knows no task `{printable(keys.task, 80)}`"
                f"{'' if path is None else f' in {path}'}: {nearest(keys.task, manager.all_tasks)}"
            )
        return manager.load([str(file) if is_file else keys.task])

    def _require_measurable(self, task: Any) -> None:
        name = printable(str(task.config.task), 80)
        reason = ""
        if getattr(task, "UNSAFE_CODE", False):
            reason = _UNSAFE
        elif getattr(task, "MULTIMODAL", False):
            reason = "reads more than text"
        elif (task.config.repeats or 1) > 1:
            reason = "asks for several answers to one request"
        if reason:
            raise RecipeError(f"`{self.spec.key}.task`: `{name}` {reason}: leave it out")

    def _build(self, task: Any) -> None:
        keys = self.spec.keys
        if keys.num_fewshot is not None and task.get_config("num_fewshot") != 0:
            task.set_config(key="num_fewshot", value=keys.num_fewshot)
        elif task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=_FEWSHOT_SEED)
        task.build_all_requests(
            limit=keys.limit,
            cache_requests=False,
            apply_chat_template=keys.apply_chat_template,
            fewshot_as_multiturn=keys.apply_chat_template,
            chat_template=self._chat_template if keys.apply_chat_template else None,
        )

    @cached_property
    def _chat_template(self) -> Any:
        from lm_eval.models.huggingface import HFLM
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(
            self.spec.tokenizer, trust_remote_code=self.spec.trust_remote_code
        )
        if not tokenizer.chat_template:
            raise RecipeError(
                f"`{self.spec.key}.apply_chat_template`: {self.spec.tokenizer} has no chat "
                "template: leave it out"
            )
        return partial(
            HFLM.apply_chat_template, SimpleNamespace(tokenizer=tokenizer, chat_template_args={})
        )

    def _is_asked_for(self, each: tuple[Any, Sequence[Any]]) -> bool:
        half = self.spec.keys.documents
        if half == "all":
            return True
        digest = hashlib.blake2b(_as_text(each[0]).encode(), digest_size=8).digest()
        return (digest[0] % 2 == 0) == (half == "search")


_opened: dict[str, OpenedTask] = {}


def reopened(spec: TaskSpec) -> OpenedTask:
    """The task of a spec as its files are now."""
    _opened[repr(spec)] = OpenedTask(spec)
    return _opened[repr(spec)]


def opened(spec: TaskSpec, fingerprint: str) -> OpenedTask:
    """The task of a spec, opened when a process first asks for it.

    Args:
        spec: The task.
        fingerprint: Of the task when its set was opened.

    Raises:
        DataError: If its files have changed since.
    """
    task = _opened.get(repr(spec))
    if task is None or task.fingerprint != fingerprint:
        task = reopened(spec)
    if task.fingerprint != fingerprint:
        raise DataError(
            f"`{spec.key}`: the files of `{printable(spec.keys.task, 80)}` have changed since they "
            "were opened: run the command again"
        )
    return task


def _documents(task: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Each document with its requests."""
    by_document: dict[int, list[Any]] = {}
    for request in task.instances:
        by_document.setdefault(request.doc_id, []).append(request)
    for requests in by_document.values():
        requests.sort(key=lambda request: request.idx)
        yield requests[0].doc, tuple(requests)


def _is_by_size(group: Any) -> bool:
    """Whether a group's mean is over its documents, and not over its tasks; None is a task."""
    rules = [] if group is None else (group.aggregate_metric_list or [])
    return all(bool(rule.weight_by_size) for rule in rules)


def _as_text(document: Any) -> str:
    return json.dumps(document, sort_keys=True, default=str, ensure_ascii=False)


def _harness() -> Any:
    try:
        import lm_eval.tasks
    except ImportError:
        raise MissingDependencyError(
            "`kind: lm-eval` needs the lm-evaluation-harness: pip install 'mixwise[lm-eval]'"
        ) from None
    return lm_eval.tasks


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the harness' bars and remarks to itself; its errors are raised."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
