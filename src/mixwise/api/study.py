"""A study of a recipe, from Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwise.api.opened import OpenedStudy
from mixwise.console.notices import keeping_warnings
from mixwise.errors import StudyError, printable
from mixwise.files import user_cache
from mixwise.progress import OnProgress, OnStage, silent, silent_stage
from mixwise.recipe import Recipe, add_domains, load_recipe
from mixwise.study.column_domains import find_values
from mixwise.study.devices import parse_fleet, require_price
from mixwise.study.folder import StudyFolder
from mixwise.study.leftovers import remove_leftovers
from mixwise.study.results import Diagnosis

if TYPE_CHECKING:
    from mixwise.models.live_model import Precision
    from mixwise.stages.check import Checked
    from mixwise.stages.merged_folder import Form, MergedModel
    from mixwise.study.inputs import Settings
    from mixwise.study.kept_runs import KeptRuns
    from mixwise.study.session import Workspace


def cache_folder() -> Path:
    """Folder of the token cache: ``$MIXWISE_CACHE``, or mixwise's place in the user's cache."""
    return user_cache() / "tokens"


@contextmanager
def open_workspace(
    folder: StudyFolder,
    *,
    recipe: Recipe | None = None,
    rule: str | None = None,
    trust_remote_code: bool = False,
    read_only: bool = False,
    cache: Path | None = None,
    reuse: Path | None = None,
    on_progress: OnProgress = silent,
) -> Iterator[Workspace]:
    """A study's inputs, scorers and engine, for as long as the block lasts.

    Args:
        folder: The study's folder.
        recipe: By default the one that the study holds.
        rule: Merge rule of the proxy; None for the recipe's.
        trust_remote_code: Whether code from the base model's folder may run.
        read_only: Whether nothing is measured and written; then others may work in the study.
        cache: Folder of the token cache; None for `cache_folder`.
        reuse: Folder of another study whose runs are gone on with, where they are still valid;
            of no effect in a study that goes on with them already.
        on_progress: Told how far each task has come.

    Raises:
        StudyError: If another process works in the study, or it goes on with runs of a third one.
    """
    with ExitStack() as held:
        if not read_only:
            held.enter_context(folder.lock())
            held.enter_context(keeping_warnings(folder))
            remove_leftovers(folder)
        from mixwise.study.inputs import Settings  # torch: not before the study is held
        from mixwise.study.session import Workspace

        settings = Settings(folder.recipe_folder, cache or cache_folder(), trust_remote_code)
        if reuse is not None and not _goes_on_with(folder, reuse):
            found = _find_kept(recipe or folder.recipe, settings, reuse, folder.folder)
            settings = replace(settings, kept=found)
        workspace = Workspace(folder, settings, on_progress, rule, recipe, read_only=read_only)
        held.callback(workspace.close)
        yield workspace


def _goes_on_with(folder: StudyFolder, reuse: Path) -> bool:
    """Whether a study goes on with another one's runs already; refused where they are a third's."""
    kept = folder.kept
    if kept is not None and Path(kept.source) != reuse.resolve():
        raise StudyError(
            f"{folder.folder}: goes on with runs of {kept.source} already, so those of {reuse} "
            "cannot be taken besides: leave `--reuse` out, or give a new study folder"
        )
    return kept is not None


def _find_kept(recipe: Recipe, settings: Settings, reuse: Path, study: Path) -> KeptRuns:
    """What a recipe may take from another study."""
    from mixwise.study.inputs import Inputs
    from mixwise.study.reuse import find_kept_runs

    if reuse.resolve() == study.resolve():
        raise StudyError(
            f"{reuse}: a study cannot reuse itself: give the new study another folder by `--study`"
        )
    return find_kept_runs(Inputs(recipe, settings), reuse.resolve())


@dataclass(frozen=True, slots=True)
class _NewRecipe:
    """A recipe that the study's folder does not hold yet: parsed, and as it was given."""

    recipe: Recipe
    text: str
    verify: bool
    values: Mapping[str, str]


class Study(OpenedStudy["Workspace"]):
    """A study of a recipe at work; a context manager, which holds the study alone.

    Args:
        folder: Its folder.
        recipe: A recipe that the folder does not hold yet; None for the folder's own.
        trust_remote_code: Whether code from the base model's folder may run.
        reuse: Folder of another study whose runs are gone on with; see `create`.
        options: ``rule``, ``read_only``, ``progress``, ``on_progress`` and ``on_stage``, as of
            `mixwise.api.opened.OpenedStudy`.

    Raises:
        ValueError: If progress is both shown and told to functions.
    """

    def __init__(
        self,
        folder: StudyFolder,
        recipe: _NewRecipe | None = None,
        *,
        trust_remote_code: bool = False,
        reuse: Path | None = None,
        **options: Any,
    ) -> None:
        super().__init__(folder, **options)
        self._new_recipe = recipe
        self._trusts_remote_code = trust_remote_code
        self._reuse = reuse

    @classmethod
    def create(
        cls,
        folder: str | Path,
        recipe: str | Path,
        *,
        verify: bool = False,
        reuse: str | Path | None = None,
        **options: Any,
    ) -> Study:
        """Make a study from a recipe, or go on with the one that is there.

        Args:
            folder: Its folder; made when missing.
            recipe: The recipe, a YAML file; its relative paths start from where it lies.
            verify: Whether references, baselines and second seeds are trained too, whatever the
                recipe says: as its key ``verify``.
            reuse: Folder of another study, which is only read: its experts and trained references
                are gone on with where base, data and training are what this recipe asks for.
            options: As of `Study`.

        Raises:
            RecipeError: If the recipe cannot be read.
            StudyError: If the folder holds something else.
        """
        path = Path(recipe)
        loaded = load_recipe(path, verify=verify)
        values = find_values(loaded, path.parent.resolve(), cache_folder())
        expanded = add_domains(loaded, values, printable(str(path)))
        new = _NewRecipe(expanded, path.read_text(encoding="utf-8"), verify, values)
        source = None if reuse is None else Path(reuse)
        return cls(StudyFolder.create(Path(folder), path), new, reuse=source, **options)

    @classmethod
    def open(cls, folder: str | Path, **options: Any) -> Study:
        """Open a study that is there.

        Args:
            folder: Its folder.
            options: As of `Study`.

        Raises:
            StudyError: If there is none.
        """
        opened = StudyFolder.open(Path(folder))
        opened.require_recipe_folder()
        return cls(opened, **options)

    def _open(self, held: ExitStack) -> Workspace:
        opened = open_workspace(
            self._folder,
            recipe=self._new_recipe.recipe if self._new_recipe else None,
            rule=self._rule,
            trust_remote_code=self._trusts_remote_code,
            read_only=self._is_read_only,
            reuse=self._reuse,
            on_progress=self._on_progress,
        )
        return held.enter_context(opened)

    def _prepare(self) -> Sequence[str]:
        return self.check().warnings if self._new_recipe is not None else ()

    @property
    def recipe(self) -> Recipe:
        """What the study asks for."""
        if self._workspace is not None:
            return self._workspace.recipe
        return self._new_recipe.recipe if self._new_recipe else self._folder.recipe

    def check(self, *, show: int = 0) -> Checked:
        """Find out everything that can be known before training; then a new recipe is kept.

        Args:
            show: Rows of each domain and text set to read for ``review.rows``.

        Raises:
            MixwiseError: If something would fail later.
        """
        from mixwise.stages.check import run_check
        from mixwise.study.take_over import take_over

        self._require_writable()
        checked = run_check(self.workspace.inputs, self.folder, n_shown=show)
        self.workspace.runs.require_own_experts()
        kept = self.workspace.inputs.settings.kept
        if kept is not None:
            take_over(kept, self.workspace.inputs, self.workspace.runs)
        if self._new_recipe is not None:
            new = self._new_recipe
            self._folder.save_recipe(new.text, verify=new.verify, values=new.values, kept=kept)
            self._new_recipe = None
        return checked

    def merge(
        self,
        to: str | Path,
        mixture: str = "best",
        *,
        form: Form = "model",
        precision: Precision | None = None,
    ) -> MergedModel:
        """Write a merge of the experts as a model that anyone can load.

        Args:
            to: A new or empty folder.
            mixture: ``best`` for the recommended one, or shares such as ``math=0.7,code=0.3``.
            form: A full model, or an ``adapter`` of the base, where all experts are plain LoRA.
            precision: Of a model's tensors; None for the base's.

        Raises:
            RecipeError: If it is no mixture of the study's domains, or what is wanted cannot be
                written there.
            StudyError: If an expert is not trained, or nothing is recommended yet.
        """
        from mixwise.stages.merge import merge_study

        return merge_study(self.workspace, mixture, Path(to), form=form, precision=precision)

    def diagnose(self) -> Diagnosis:
        """Measure all that tells how far the proxy may be trusted."""
        from mixwise.stages.diagnose import run_diagnosis

        self._begin_stage("diagnosis")
        found = run_diagnosis(self.workspace)
        word = found.trust.word if found.trust else "not judged"
        self.workspace.tracker.stage("diagnosis", f"trust: {word}")
        return found


def check_recipe(
    recipe: Path,
    study: Path,
    *,
    verify: bool = False,
    show: int = 0,
    reuse: Path | None = None,
    on: str | None = None,
    price_per_hour: float | None = None,
    trust_remote_code: bool = False,
    on_progress: OnProgress = silent,
) -> Checked:
    """Find out everything that can be known before training; no study is made.

    Args:
        recipe: The recipe, a YAML file.
        study: Where the study would be written.
        verify: As of `Study.create`.
        show: Rows of each domain and text set to read for ``review.rows``.
        reuse: As of `Study.create`.
        on: Devices whose time and money are estimated for ``cost``, such as ``64xH100``.
        price_per_hour: Of one of them.
        trust_remote_code: Whether code from the base model's folder may run.
        on_progress: Told how far each task has come.

    Raises:
        RecipeError: If the recipe, the devices or their price are not as they must be.
        MixwiseError: With every problem that was found, one a line.
    """
    fleet = None if on is None else parse_fleet(on)
    require_price(price_per_hour, on)
    loaded = load_recipe(recipe, verify=verify)
    folder = recipe.parent.resolve()
    values = find_values(loaded, folder, cache_folder())
    loaded = add_domains(loaded, values, printable(str(recipe)))
    from mixwise.stages.check import run_check  # torch: not before the recipe is read
    from mixwise.study.inputs import Inputs, Settings

    settings = Settings(folder, cache_folder(), trust_remote_code)
    if reuse is not None:
        settings = replace(settings, kept=_find_kept(loaded, settings, reuse, study))
    return run_check(
        Inputs(loaded, settings, on_progress=on_progress),
        study,
        n_shown=show,
        fleet=fleet,
        price_per_hour=price_per_hour,
    )


def train_some_experts(
    study: str | Path,
    domains: Sequence[str],
    *,
    trust_remote_code: bool = False,
    on_progress: OnProgress = silent,
    on_stage: OnStage = silent_stage,
) -> dict[str, Path]:
    """Train the experts of some domains, while other processes may train those of others.

    Args:
        study: Folder of a study that is there; `Study.check` makes it of a new recipe.
        domains: Names of the domains.
        trust_remote_code: Whether code from the base model's folder may run.
        on_progress: Told how far training has come.
        on_stage: Told that it begins, once names and study are in order.

    Returns:
        Folder of each of their experts.

    Raises:
        StudyError: If there is no study, a process holds it alone, or another one trains an expert.
        RecipeError: If a name is no domain of the study.
    """
    folder = StudyFolder.open(Path(study))
    folder.require_recipe_folder()
    from mixwise.stages.experts import train_some  # torch: not before the study is found
    from mixwise.study.inputs import Settings

    settings = Settings(folder.recipe_folder, cache_folder(), trust_remote_code)
    return train_some(folder, settings, tuple(dict.fromkeys(domains)), on_progress, on_stage)
