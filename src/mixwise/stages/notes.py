"""Notes of a check: what was chosen for the recipe, and what its data turned out to be."""

from __future__ import annotations

from collections.abc import Iterator

from mixwise.data.chat_template import DAY
from mixwise.decision.answer import share_words
from mixwise.decision.baselines import baselines
from mixwise.errors import printable
from mixwise.evaluation.likelihood.labels import LabelSet
from mixwise.mixture import Mixture
from mixwise.recipe import portions
from mixwise.search.method_table import METHODS
from mixwise.search.subspace import tied_limits
from mixwise.share_units import UNIT_WORDS
from mixwise.study.inputs import Inputs
from mixwise.study.repetition import short_run_rows

_SHOWN = 8  # labels of a set


def notes_of(inputs: Inputs) -> Iterator[str]:
    """What was chosen for the recipe, a line each."""
    choice = None if inputs.recipe.task_facts.has_labels else inputs.tokenizer.bos_choice
    if choice is not None:
        why = "as the tokenizer and the base want it" if inputs.recipe.bos == "auto" else "as asked"
        yield f"`bos: {inputs.recipe.bos}`: {choice}, {why}"
    yield from _read_as(inputs)
    yield from _streams(inputs)
    yield from _models(inputs)
    yield from _outside(inputs)
    yield from _tied(inputs)
    for name in inputs.recipe.domains:
        facts = inputs.corpus(name).facts
        if facts.n_supervised_train_tokens is not None:
            yield (
                f"`{inputs.key(name)}`: {facts.n_supervised_train_tokens:,} of "
                f"{facts.n_train_tokens:,} training tokens are learned, the others are read only; "
                f"shares count {UNIT_WORDS[inputs.recipe.shares_by]}"
            )
    for name in inputs.recipe.tokenised_sets:
        read = inputs.corpus(name).facts.n_by_source
        if read:
            every = [sum(not d.is_empty for d in each) for each in inputs.documents(name)]
            each = zip(inputs.portions(name), read, every, strict=True)
            counts = ", ".join(f"{n:,} of {m:,} of `{p.name}`" for p, n, m in each)
            yield (
                f"`{inputs.key(name)}`: of its sources are read, by their weights of "
                f"{UNIT_WORDS[inputs.recipe.shares_by]}, {counts} documents, up to where the "
                "first is used up"
            )
    if inputs.recipe.shares_by != "tokens":
        even = inputs.token_mixture(Mixture.uniform(inputs.recipe.domain_names)).as_dict()
        yield (
            f"`shares_by: {inputs.recipe.shares_by}`: equal shares are {share_words(even)} by all "
            "tokens, which horizons and prices count"
        )
    for name, domain in inputs.recipe.domains.items():
        rows = short_run_rows(inputs, Mixture.single(inputs.recipe.domain_names, name)).get(name)
        if domain.expert is None and rows is not None:
            yield (
                f"`{inputs.key(name)}`: its expert reads {rows:,} sequence(s) alone, so that it "
                "repeats them as often as the final run repeats all at an even share "
                "(`experts.match_repetition`)"
            )
    unsearched = [
        f"`{inputs.key(n)}`" for n in inputs.recipe.evaluation.sets if n not in inputs.leaks
    ]
    if unsearched and not inputs.recipe.task_facts.has_images:
        yield (
            f"{', '.join(unsearched)}: not looked for in training data, as the text of its rows is "
            "not known"
        )
    yield from _heads(inputs)
    yield from _missing_labels(inputs)
    sets = inputs.suite.likelihood_sets
    lengths = [len(row.ids) for chosen in sets for row in chosen.rows()]
    for boundary in inputs.suite.apart:
        if min(lengths) <= boundary < max(lengths):
            yield (
                f"the base turns positions by other angles in rows of more than {boundary:,} "
                "tokens: no batch holds rows on both sides"
            )


def _outside(inputs: Inputs) -> Iterator[str]:
    """Baselines that may not be recommended."""
    for each in baselines(("uniform", "available"), inputs.available):
        broken = inputs.space.broken(each.mixture)
        if broken:
            yield (
                f"`search`: the baseline {each.name} lies outside the limits ({'; '.join(broken)}):"
                " it is scored, and trained where baselines are, but not recommended"
            )


def _tied(inputs: Inputs) -> Iterator[str]:
    """Limits along which a search in levels cannot move."""
    search, recipe = inputs.recipe.search, inputs.recipe
    if METHODS[search.method].over is None:
        return
    tied = tied_limits(inputs.space, search.domain_groups(recipe.domain_names))
    if tied:
        shown = ", ".join(f"`{printable(name, 80)}`" for name in tied)
        yield (
            f"`search.method: {search.method}`: {shown} ties domains of several groups to each "
            "other, or a group's joint share to what it is made of, and one level moves at a time, "
            "so that the search may stop far below the best: use `method: auto`, or put these "
            "domains into one group of `search.hierarchy`"
        )


def _heads(inputs: Inputs) -> Iterator[str]:
    """Which head an evaluation set outside the domains is read with, where they have their own."""
    if inputs.heads.is_shared:
        return
    for name in inputs.recipe.evaluation.sets:
        head = inputs.head_of(name)
        yield f"`{inputs.key(name)}`: is read with the head of `{head.domain}`"
    read = {inputs.head_of(m.set_name).domain for m in inputs.recipe.objective_terms.metrics}
    least = dict(zip(inputs.space.domains, inputs.space.lower, strict=True))
    untrained = [f"`{name}`" for name in inputs.recipe.domains if name in read and not least[name]]
    if untrained:
        yield (
            f"`objective`: reads the heads of {', '.join(untrained)}, which a mixture without "
            "these domains leaves untrained: set `min_share` of them in `search.bounds` to search "
            "none such"
        )
    share = inputs.horizons.points[-1] / inputs.recipe.n_steps
    if share < 1:
        yield (
            f"`labels: per-domain`: experts take {100 * share:.0f} % of a final run's steps; in "
            "our benchmark short experts ranked such mixtures backwards, whole ones well: raise "
            f"`budget` to {len(inputs.recipe.domains)} or more and set `experts.horizon_tokens` to "
            f"{inputs.recipe.run_tokens:,}, or train references (`verify: true`)"
        )


def _missing_labels(inputs: Inputs) -> Iterator[str]:
    """Labels that an evaluation set has no example of."""
    for chosen in inputs.suite.sets:
        if isinstance(chosen, LabelSet) and chosen.missing:
            labels = inputs.head_of(chosen.name).labels
            names = [labels[index] for index in chosen.missing]
            shown = ", ".join(f"`{printable(name, 40)}`" for name in names[:_SHOWN])
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            yield (
                f"`{inputs.key(chosen.name)}`: no held-out example has the label {shown}{more}: "
                "balanced_accuracy and macro_f1 are means over the other labels"
            )


def _read_as(inputs: Inputs) -> Iterator[str]:
    """What rows are where the recipe does not say it, and how conversations become texts."""
    chats = []
    is_told = inputs.recipe.task_facts.records is None
    for name in inputs.recipe.tokenised_sets:
        given = portions(inputs.recipe.source(name), inputs.key(name))
        for portion, as_given in zip(inputs.portions(name), given, strict=True):
            source = portion.source
            fields = ", ".join(f"`{field}`" for field in dict(source.parts).values() if field)
            if is_told and source.records != as_given.source.records and fields != "`text`":
                yield f"`{portion.key}`: its fields tell {source.records} records ({fields})"
            if source.record_format.is_chat:
                chats.append(source)
    if not chats:
        return
    template = inputs.chat_template
    if not template.marks_answers and any(source.learned != "all" for source in chats):
        yield (
            "the chat template marks no answers (`{% generation %}`): they are told by rendering "
            "what stands before them"
        )
    if template.writes_date:
        yield f"the chat template writes the date: {DAY:%d %B %Y} stands in all rows"


def _models(inputs: Inputs) -> Iterator[str]:
    """What of base and experts is merged in another form than it was given in."""
    if inputs.base.folder != inputs.base_folder:
        yield (
            "`base`: transformers joins or splits tensors of it on load, so a copy as it is in "
            f"memory is used: {inputs.base.folder}"
        )
    for name in inputs.recipe.domains:
        given, used = inputs.given_expert(name), inputs.expert_checkpoint(name)
        if given is not None and used is not None and given.is_adapter and not used.is_adapter:
            yield (
                f"`{inputs.key(name)}.expert`: the adapter is merged as the full model that it "
                f"makes of the base: {used.folder}"
            )
    if inputs.recipe.final.start == "merged":
        yield (
            "`final.start: merged`: the final run goes on from the merge of its mixture, but what "
            "is predicted of it is for a run from the base"
        )


def _streams(inputs: Inputs) -> Iterator[str]:
    """What was read of streams, which is all that there is to train on."""
    for key, stream in inputs.streams.items():
        left_out = f"; not kept: {', '.join(stream.left_out)}" if stream.left_out else ""
        if stream.is_whole:
            yield f"`{key}.hub`: the stream ended after {stream.n_rows:,} rows{left_out}"
        else:
            yield (
                f"`{key}.hub`: the first {stream.n_rows:,} rows of the stream were read, and it "
                "goes on: available tokens, repetition and the baseline `available` count these "
                f"rows alone{left_out}"
            )
