"""What transformers makes of a checkpoint folder: asked from the code that loads it.

Method:
    Which files of a folder count is answered by the function that `from_pretrained` asks. Which
    stored tensor becomes which tensor of the module is found by a load without numbers: the class
    is given tensors on the meta device, which have names, shapes and an identity, but no memory.
    Afterwards each tensor of the module is looked at: is it one of those that were given, as it
    was given? So renamings, tensors that are left out, missing ones and conversions are whatever
    the installed version does, and no rule of transformers is repeated here.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from mixwise.errors import CheckpointError, first_line
from mixwise.tasks import CAUSAL_LM

_OTHERS = {"BOOL": torch.bool, "I64": torch.int64, "I32": torch.int32, "I16": torch.int16}
_OTHERS |= {"I8": torch.int8, "U8": torch.uint8}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A stored tensor that does not have the shape of its place in the module.

    Args:
        name: Name in the module.
        stored: Shape that is stored.
        expected: Shape in the module.
    """

    name: str
    stored: tuple[int, ...]
    expected: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NameMap:
    """How transformers would load the tensors of a checkpoint into a module.

    Args:
        stored: Stored name by name in the module, of tensors that are loaded as they are.
        unexpected: Names that find no place in the module, and are not left out on purpose.
        missing: Names in the module that would get initial values.
        mismatched: Tensors of another shape.
        converted: Names in the module of what is computed from stored tensors (joined, split,
            transposed), with one of these.
    """

    stored: Mapping[str, str]
    unexpected: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    mismatched: tuple[Mismatch, ...] = ()
    converted: Mapping[str, str] = field(default_factory=dict)


def version() -> str:
    """The installed transformers, as it is named in errors."""
    import transformers

    return f"transformers {transformers.__version__}"


def files_to_load(folder: Path, explicit: str | None) -> list[Path]:
    """The weight files that `from_pretrained` would read, safetensors only.

    Args:
        folder: The checkpoint.
        explicit: `transformers_weights` of its config.json, if there is one.

    Raises:
        CheckpointError: If the installed transformers cannot be asked.
        OSError: If there are no such files.
        ValueError, KeyError, TypeError: If the index cannot be used.
    """
    from transformers import modeling_utils

    resolve = getattr(modeling_utils, "_get_resolved_checkpoint_files", None)
    answers = {
        "pretrained_model_name_or_path": str(folder),
        "variant": None,
        "gguf_file": None,
        "use_safetensors": True,
        "user_agent": None,
        "is_remote_code": False,
        "transformers_explicit_filename": explicit,
        "download_kwargs": {"local_files_only": True},
    }
    asked = inspect.signature(resolve).parameters if resolve else {}
    needed = [n for n, p in asked.items() if p.default is p.empty and n not in answers]
    if resolve is None or needed or (explicit and "transformers_explicit_filename" not in asked):
        raise CheckpointError(
            f"{folder}: {version()} cannot be asked which files of a folder it loads: install a "
            "version that mixwise is tested with"
        )
    files, _ = resolve(**{name: answers[name] for name in asked if name in answers})
    return [Path(file) for file in files]


def is_distributed(folder: Path) -> bool:
    """Whether transformers would read a distributed checkpoint there, one file per process."""
    try:
        from transformers.distributed.checkpoint import is_sharded_checkpoint
    except ImportError:  # a version that knows no such checkpoints
        return False
    return bool(is_sharded_checkpoint(str(folder)))


def map_names(
    module: Any, folder: Path, tensors: Mapping[str, tuple[str, tuple[int, ...]]]
) -> NameMap:
    """Find out how transformers would load stored tensors into a module.

    Args:
        module: A module of the class and configuration in question; it is left alone. One that is
            not transformers' own is loaded name by name.
        folder: The checkpoint, for errors.
        tensors: dtype (safetensors' name) and shape of each stored tensor.

    Raises:
        CheckpointError: If transformers fails on them.
    """
    from transformers import PreTrainedModel

    given = {name: _without_numbers(*entry) for name, entry in sorted(tensors.items())}
    if not isinstance(module, PreTrainedModel):
        return _map_plainly(module, given)
    found = _trace(module, folder, given)
    if any(not given[source].is_floating_point() for source in found.converted.values()):
        # A whole number in the place of a float was cast: where it goes is seen without its dtype.
        floats = {name: _without_numbers("F32", shape) for name, (_, shape) in tensors.items()}
        again = _trace(module, folder, floats)
        found = replace(again, stored={**again.stored, **found.stored})
    return found


def _trace(module: Any, folder: Path, given: Mapping[str, torch.Tensor]) -> NameMap:
    try:
        with _quiet(), _NoNumbers():
            loaded, info = type(module).from_pretrained(
                None,
                config=module.config,
                state_dict=dict(given),
                dtype=torch.float32,
                device_map={"": "meta"},
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except Exception as error:  # whatever the architecture's own code raises
        raise CheckpointError(
            f"{folder}: {version()} cannot load its tensors into a {type(module).__name__} "
            f"({first_line(error)}): use weights and a config.json that it can load, or "
            "another version"
        ) from None
    return _read(loaded, info, given)


def _read(loaded: Any, info: Mapping[str, Any], given: Mapping[str, torch.Tensor]) -> NameMap:
    by_storage = {_identity(tensor): name for name, tensor in given.items()}
    in_silence = list(getattr(loaded, "_keys_to_ignore_on_load_missing", None) or ())
    missing = set(info["missing_keys"])
    mismatched = tuple(
        Mismatch(str(name), tuple(stored), tuple(expected))
        for name, stored, expected in sorted(info["mismatched_keys"])
    )
    without_place = missing | {mismatch.name for mismatch in mismatched}
    stored: dict[str, str] = {}
    computed: list[str] = []
    for name, tensor in loaded.state_dict(keep_vars=True).items():
        source = by_storage.get(_identity(tensor))
        if source is not None and _is_same(tensor, given[source]):
            stored[name] = source
        elif any(re.search(pattern, name) for pattern in in_silence):
            missing.add(name)  # it gets initial values, without a word
        elif name not in without_place:
            computed.append(name)
    unexpected = tuple(sorted(info["unexpected_keys"]))
    unused = sorted(given.keys() - set(stored.values()) - set(unexpected))
    uses = Counter(stored.values())
    # Some versions tie names although both are stored: each stands for itself, to be compared.
    stored |= {name: name for name, other in stored.items() if uses[other] > 1 and name in unused}
    converted = {name: _nearest(name, unused) for name in computed}
    return NameMap(stored, unexpected, tuple(sorted(missing)), mismatched, converted)


def never_built(names: Iterable[str], own: Iterable[str]) -> list[str]:
    """Which tensors are of modules beside all that an architecture has, such as ``mtp``.

    Args:
        names: Stored names.
        own: Names in the module.
    """
    tops = {part for name in own for part in name.split(".")[:2]}  # `model.` may lack
    return [name for name in names if name.partition(".")[0] not in tops]


def _map_plainly(module: torch.nn.Module, given: Mapping[str, torch.Tensor]) -> NameMap:
    own = module.state_dict()
    shapes = {
        name: (tuple(given[name].shape), tuple(own[name].shape)) for name in own if name in given
    }
    return NameMap(
        stored={name: name for name, (stored, expected) in shapes.items() if stored == expected},
        unexpected=tuple(sorted(given.keys() - own.keys())),
        missing=tuple(sorted(own.keys() - given.keys())),
        mismatched=tuple(
            Mismatch(name, *both) for name, both in shapes.items() if both[0] != both[1]
        ),
    )


def _without_numbers(dtype: str, shape: tuple[int, ...]) -> torch.Tensor:
    kind = _OTHERS.get(dtype, torch.float32)
    return torch.empty(shape, dtype=kind, device="meta")


def _identity(tensor: torch.Tensor) -> int:
    """Number of a tensor's storage, which its views and the parameter made of it share."""
    return int(tensor.untyped_storage()._cdata)  # a storage without memory has no other address


def _is_same(tensor: torch.Tensor, given: torch.Tensor) -> bool:
    return (
        tensor.shape == given.shape
        and tensor.stride() == given.stride()
        and tensor.storage_offset() == given.storage_offset()
    )


def _nearest(name: str, candidates: list[str]) -> str:
    """The stored tensor whose name begins most like that of a tensor in the module."""
    parts = name.split(".")

    def n_shared(other: str) -> int:
        return sum(1 for _ in takewhile(bool, map(str.__eq__, parts, other.split("."))))

    return max(candidates, key=n_shared, default="")


class _NoNumbers(TorchFunctionMode):
    """Answers what `from_pretrained` asks of the numbers of tensors that have none.

    Padding by nothing gives the tensor itself: where a head is tied, its bias is so padded. Two
    tensors are equal where they are one: where names are tied but both stored, older releases tie
    those that are equal (newer ones ask no such thing of the meta device).
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Answer, or call the function."""
        if func is torch.nn.functional.pad and len(args) > 1 and not any(args[1]):
            return args[0]
        if func is torch.equal and all(tensor.is_meta for tensor in args):
            return _identity(args[0]) == _identity(args[1])
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' own report on missing and unexpected tensors: ours follows."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # its "Loading weights" bar, once per model
    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def load_module(
    folder: Path,
    *,
    dtype: torch.dtype = torch.float32,
    device_map: str | None = None,
    trust_remote_code: bool = False,
    auto_class: str = CAUSAL_LM.auto_class,
) -> Any:
    """Load a model, from safetensors only.

    Args:
        folder: The model's folder.
        dtype: dtype of its parameters; what the architecture keeps in float32 stays so.
        device_map: Where accelerate puts its layers; None for the CPU.
        trust_remote_code: Whether code from the folder may run.
        auto_class: Class of transformers that opens it.

    Raises:
        CheckpointError: If transformers cannot build the model from the folder.
    """
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()  # its "Loading weights" bar, once per model
    try:
        return getattr(transformers, auto_class).from_pretrained(
            folder,
            dtype=dtype,
            device_map=device_map,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=trust_remote_code,
        )
    except Exception as error:  # whatever the architecture's own code raises
        raise CheckpointError(
            f"{folder}: the model cannot be loaded ({first_line(error)}): give a folder "
            f"that `{auto_class}` can open"
        ) from None


def build_module(
    folder: Path,
    *,
    dtype: torch.dtype,
    trust_remote_code: bool = False,
    auto_class: str = CAUSAL_LM.auto_class,
    more_labels: int = 0,
) -> Any:
    """Build a model without numbers; only its buffers have memory.

    Args:
        folder: The model's folder.
        dtype: dtype of its parameters.
        trust_remote_code: Whether code from the folder may run.
        auto_class: Class of transformers that opens it.
        more_labels: Labels of a classifier beyond those of its configuration.

    Raises:
        CheckpointError: If transformers cannot build the model from its configuration.
    """
    import transformers
    from accelerate import init_empty_weights

    trust = {"trust_remote_code": trust_remote_code}
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, **trust)
        if more_labels:
            config.num_labels += more_labels
        with init_empty_weights(include_buffers=False):  # rotary angles are in no checkpoint
            opener = getattr(transformers, auto_class)
            module = opener.from_config(config, dtype=dtype, **trust)
        module.tie_weights()  # each name got a parameter of its own
    except Exception as error:  # whatever the architecture's own code raises
        raise CheckpointError(
            f"{folder}: the model cannot be built ({first_line(error)}): give a folder "
            f"that `{auto_class}` can open"
        ) from None
    return module
