"""Measures that live elsewhere: a program that is given a checkpoint, or a function of yours.

Method:
    A program is given the folder of the merged model, written as transformers writes it, with the
    base's tokenizer beside it; what it prints last on standard output is one JSON object. A
    function is given the live model and the tokenizer. Either measures a model as a whole, so that
    a set counts as one example. Both are code that a recipe names, so they
    run only where the command line allows it. What they found of a model is kept in the ledger with
    everything that the model came from, and is not asked again.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixwise.errors import EvaluationError, RecipeError, first_line, printable, shown
from mixwise.evaluation.sets import WHOLE, Opening
from mixwise.kinds.own import MODEL, CommandKeys, FunctionKeys, measures_of
from mixwise.objective import Metric
from mixwise.observation import Measurement
from mixwise.scorer import Part


def open_command(opening: Opening) -> OwnSet:
    """A set that a program measures."""
    keys = opening.own
    assert isinstance(keys, CommandKeys)
    require_trust(opening, f"runs `{printable(keys.command[0], 80)}`")
    return OwnSet(
        opening.name,
        keys,
        opening.folder,
        opening.tokenizer.folder,
        trusted=opening.trust_remote_code,
    )


def open_function(opening: Opening) -> OwnSet:
    """A set that a function measures; it is imported at once, so that a wrong name is told early.

    Raises:
        RecipeError: If there is no such function.
    """
    keys = opening.own
    assert isinstance(keys, FunctionKeys)
    require_trust(opening, f"calls `{keys.function}`")
    found = OwnSet(
        opening.name,
        keys,
        opening.folder,
        opening.tokenizer.folder,
        trusted=opening.trust_remote_code,
    )
    load_function(keys.function, opening.folder, opening.key)
    return found


def require_trust(opening: Opening, what: str) -> None:
    """Refuse code that a recipe names where the command line does not allow it.

    Raises:
        RecipeError: If it does not.
    """
    if not opening.trust_remote_code:
        raise RecipeError(
            f"`{opening.key}`: it {what}, which is code that the recipe names: allow it by "
            "`--trust-remote-code`"
        )


@dataclass(frozen=True, slots=True, eq=False)
class OwnSet:
    """What a program or a function of the user's measures.

    Args:
        name: Name of the set.
        keys: The recipe's.
        folder: Where the program runs and modules are looked for: the recipe's.
        tokenizer: Folder of the base's tokenizer.
        trusted: Whether code of the tokenizer's folder may run.
    """

    name: str
    keys: CommandKeys | FunctionKeys
    folder: Path
    tokenizer: Path
    trusted: bool

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The measures that the recipe names."""
        return tuple(Metric.of(self.name, measure) for measure in measures_of(self.keys))

    @property
    def n_examples(self) -> int:
        """One: a model is measured as a whole."""
        return 1

    @property
    def n_tokens(self) -> int:
        """Nothing is known of what it reads."""
        return 0

    @property
    def fingerprint(self) -> str:
        """Hash of the recipe's keys, and of the program's or the module's own file."""
        digest = hashlib.blake2b(self.keys.model_dump_json().encode(), digest_size=16)
        for file in self._files():
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def evaluate(self, model: Any, part: Part = WHOLE) -> tuple[Measurement, ...]:
        """Measure a model.

        Args:
            model: Causal language model in evaluation mode, on its device.
            part: Which examples: the one that there is.

        Raises:
            EvaluationError: If the program fails, or what it gives is not what was promised.
        """
        if isinstance(self.keys, CommandKeys):
            found = self._run(model, self.keys)
        else:
            found = self._call(model, self.keys)
        assert len(part.examples(self.n_examples)) == 1
        return tuple(
            Measurement(metric.name, np.array([_value(self.name, metric, found)]), np.ones(1))
            for metric in self.metrics
        )

    def _files(self) -> list[Path]:
        """Files of the recipe's folder that the keys name."""
        if isinstance(self.keys, CommandKeys):
            named = [self.folder / word for word in self.keys.command]
        else:
            named = [module_file(self.keys.function, self.folder)]
        return [file for file in named if file.is_file()]

    def _run(self, model: Any, keys: CommandKeys) -> Any:
        with tempfile.TemporaryDirectory(prefix="mixwise-") as folder:
            save_model(model, self.tokenizer, Path(folder), trusted=self.trusted)
            command = [word.replace(MODEL, folder) for word in keys.command]
            try:
                done = subprocess.run(
                    command,
                    cwd=self.folder,
                    capture_output=True,
                    text=True,
                    timeout=keys.timeout_seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise EvaluationError(
                    f"`{self.name}`: the command did not end within {keys.timeout_seconds:,} s: "
                    "raise `timeout_seconds`, or measure less"
                ) from None
            except OSError as error:
                raise EvaluationError(
                    f"`{self.name}`: `{printable(command[0], 80)}` cannot be run "
                    f"({error.strerror}): correct the command"
                ) from None
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["nothing on standard error"]
            raise EvaluationError(
                f"`{self.name}`: the command ended with {done.returncode} "
                f"({printable(said[-1], 300)}): mend it"
            )
        return _parse(self.name, done.stdout)

    def _call(self, model: Any, keys: FunctionKeys) -> Any:
        from transformers import AutoTokenizer

        function = load_function(keys.function, self.folder, self.name)
        tokenizer = AutoTokenizer.from_pretrained(self.tokenizer, trust_remote_code=self.trusted)
        try:
            return function(model, tokenizer)
        except Exception as error:  # whatever the user's code raises
            raise EvaluationError(
                f"`{self.name}`: `{keys.function}` failed ({type(error).__name__}: "
                f"{printable(first_line(error), 300)}): mend it"
            ) from error


def save_model(model: Any, tokenizer: Path, folder: Path, *, trusted: bool) -> None:
    """Write a live model with its tokenizer as a plain folder of transformers."""
    from transformers import AutoTokenizer

    model.save_pretrained(folder)
    loaded = AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=trusted)
    loaded.save_pretrained(folder)


def module_file(name: str, folder: Path) -> Path:
    """Where the module of a function would lie in a folder."""
    return folder / f"{name.partition(':')[0].replace('.', '/')}.py"


def load_function(name: str, folder: Path, key: str) -> Callable[[Any, Any], Any]:
    """A function of two arguments, from the recipe's folder or from what is installed.

    Args:
        name: ``module:function``.
        folder: The recipe's.
        key: The set's, for error texts.

    Raises:
        RecipeError: If there is none.
    """
    module, _, function = name.partition(":")
    sys.path.insert(0, str(folder))
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as error:  # whatever the module's own code raises
        raise RecipeError(
            f"`{key}`: `{name}` cannot be imported ({type(error).__name__}: "
            f"{printable(first_line(error), 300)}): correct `function`, or put the module into "
            f"{folder}"
        ) from None
    finally:
        sys.path.remove(str(folder))
    if not callable(found):
        raise RecipeError(f"`{key}`: `{name}` is no function: correct `function`")
    checked: Callable[[Any, Any], Any] = found
    return checked


def _parse(name: str, printed: str) -> Any:
    """The JSON object that stands last in what a program printed."""
    start = printed.rfind("\n{") + 1 if not printed.lstrip().startswith("{") else 0
    try:
        return json.loads(printed[start:])
    except ValueError:
        raise EvaluationError(
            f"`{name}`: the command must end by printing one JSON object, but printed "
            f"{shown(printed[-200:])}: mend it"
        ) from None


def _value(name: str, metric: Metric, found: Any) -> float:
    """One measure: the number, or the mean of the numbers."""
    measure = metric.measure
    if not isinstance(found, Mapping) or measure not in found:
        there = ", ".join(map(str, found)) if isinstance(found, Mapping) else shown(found)
        raise EvaluationError(
            f"`{name}`: must give `{measure}`, but gave {printable(there, 200) or 'nothing'}: mend "
            "it, or correct `measures`"
        )
    value = found[measure]
    values = value if isinstance(value, list | tuple | np.ndarray) else [value]
    try:
        numbers = np.array(values, dtype=float)
    except (TypeError, ValueError):
        numbers = np.array([np.nan])
    if isinstance(value, bool | str) or not numbers.size or not np.isfinite(numbers).all():
        raise EvaluationError(
            f"`{metric.name}` must be a finite number or several, but got {shown(value)}: mend it"
        )
    return float(numbers.mean())
