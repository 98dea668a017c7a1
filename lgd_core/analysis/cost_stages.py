"""The stages whose costs a comparison counts, each with the methods that need it.

A shared stage is listed once. The workflow adds the files with the costs of each stage. Does not
import pandas.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lgd_core.config.methods import (
    SEED_SOURCES,
    images_per_increment,
    needs,
    prior_owner,
)
from lgd_core.config.models.method import MethodConfig

SHARED = "shared"
# A job of a stage before drawing: the stage, its method if it has one, its increment if it has one.
Job = tuple[str, *tuple[str | int, ...]]


@dataclass(frozen=True)
class Drawer:
    """A method that draws increments, their number, and the mean number of jobs per increment."""

    recipe: MethodConfig
    increments: int
    shards: float = 1


@dataclass(frozen=True)
class Comparison:
    """The facts from which the stages of a comparison and their amounts follow.

    ``owners`` maps the methods, in the run's order, to the method that makes their increment 0, see
    seed_owner; all of them are in ``drawers``. ``behind`` has the jobs that a method's increments
    depend on. ``seeds`` is the number of sets per method. ``seen`` gives the number of images that
    all students of a set see in training, by the images per class of the set. ``learnt`` gives the
    number that a method's learner sees on increments 0 to k of one set; None if it has no protocol.
    ``tuned_on`` gives the number that the tuning of a prior sees, by the method that tunes.
    """

    drawers: Mapping[str, Drawer]
    owners: Mapping[str, str]
    behind: Mapping[str, set[Job]]
    classes: int
    seeds: int
    seen: Callable[[int], int]
    learnt: Callable[[str, int], int | None]
    tuned_on: Callable[[str], int]
    trains_prior: bool = False

    def users(self, *jobs: Job) -> list[str]:
        """Return the methods whose increments depend on any of the jobs."""
        return [method for method in self.owners if not self.behind[method].isdisjoint(jobs)]

    def images(self, method: str, increments: int) -> int:
        """Return the number of stored images in increments of a method, over classes and seeds."""
        size = self.drawers[method].recipe.ipc_per_increment
        return self.classes * size * increments * self.seeds


@dataclass(frozen=True)
class Stage:
    """A stage of a comparison: all its jobs for one method, or shared by several.

    ``increments`` are those with a job of their own. ``images`` is the number of images made, or
    seen in training; None if they are not counted, or counted from the learners' curves. ``drawn``
    has the facts from which the passes per image are computed.
    """

    name: str
    method: str
    used_by: list[str]
    increments: Sequence[int] = ()
    images: int | None = None
    drawn: dict[str, Any] | None = None

    def facts(self, **paths: list[str]) -> dict[str, Any]:
        """Return a stage in the form for costs.cost_table, with the paths of its jobs' records."""
        facts = {"stage": self.name, "method": self.method, "used_by": self.used_by}
        known = {"images": self.images, "drawn": self.drawn}
        return facts | paths | {key: value for key, value in known.items() if value is not None}


def seed_owner(recipe_of: Callable[[str], MethodConfig], method: str) -> str:
    """Return the method that makes a method's increment 0: itself, unless its seed is another's."""
    source = recipe_of(method).seed.source
    return method if source in SEED_SOURCES else seed_owner(recipe_of, source)


def comparison_stages(comparison: Comparison) -> list[Stage]:
    """Return the stages that a comparison needs: first the shared, then those of each method."""
    owners = comparison.owners
    stages = [*_before_drawing(comparison), *_seeds(comparison)]
    for method in owners:
        stages += _of_method(comparison, method)
    order = [SHARED, *dict.fromkeys([*owners, *owners.values()])]
    places = {method: place for place, method in enumerate(order)}
    # Stages of one method are together, and methods are in the run's order.
    stages.sort(key=lambda stage: places.get(stage.method, len(order)))
    return [stage for stage in stages if stage.used_by]


def _before_drawing(comparison: Comparison) -> list[Stage]:
    """Return the stages before any increment, each with the methods whose increments need it."""
    trained = list(comparison.owners) if comparison.trains_prior else []
    influence = comparison.users(("influence_gradients",))
    clustered = [_clustering(comparison, drawer) for drawer in comparison.drawers]
    encoded = {user for stage in clustered for user in stage.used_by}
    return [
        Stage("train_prior", SHARED, trained),
        Stage("train_small_decoder", SHARED, comparison.users(("train_small_decoder",))),
        Stage("train_reference", SHARED, trained or comparison.users(("train_reference",))),
        Stage("watch_training", SHARED, comparison.users(("watch_training",))),
        Stage("train_surrogate", SHARED, influence),
        Stage("influence_gradients", SHARED, influence),
        Stage("encode_dataset", SHARED, [m for m in comparison.owners if m in encoded]),
        *clustered,
        *_tuning(comparison),
    ]


def _clustering(comparison: Comparison, drawer: str) -> Stage:
    """Return the clustering for those of a method's increments that any method uses."""
    jobs = {k: ("cluster_modes", drawer, k) for k in range(comparison.drawers[drawer].increments)}
    made = [k for k, job in jobs.items() if comparison.users(job)]
    return Stage("cluster_modes", drawer, comparison.users(*jobs.values()), made)


def _tuning(comparison: Comparison) -> list[Stage]:
    """Return the tuning of priors, possibly by a method that is not in the comparison."""
    tuners = [prior_owner(drawer.recipe, name) for name, drawer in comparison.drawers.items()]
    return [
        Stage(
            "finetune_prior",
            tuner,
            comparison.users(("finetune_prior", tuner)),
            images=comparison.tuned_on(tuner),
        )
        for tuner in dict.fromkeys(filter(None, tuners))
    ]


def _seeds(comparison: Comparison) -> list[Stage]:
    """Return the increments 0, each with the methods that share it."""
    users: dict[str, list[str]] = {}
    for method, owner in comparison.owners.items():
        users.setdefault(owner, []).append(method)
    return [
        Stage(
            "seed_increment",
            owner,
            sharing,
            images=comparison.images(owner, 1),
            drawn=_drawn(comparison, owner, [0], 1),
        )
        for owner, sharing in users.items()
    ]


def _of_method(comparison: Comparison, method: str) -> list[Stage]:
    drawer = comparison.drawers[method]
    later, stages = list(range(1, drawer.increments)), []
    if later:
        drawn = _drawn(comparison, method, later, drawer.shards)
        images = comparison.images(method, len(later))
        stages.append(Stage("sample_candidates", method, [method], later, images, drawn))
    if any("learner" in needs(drawer.recipe, k) for k in later):
        # Only the learners that drawing needs: the last increment's learner is for the curve alone.
        stages.append(_learner(comparison, method, range(drawer.increments - 1)))
    return [*stages, _evaluation(comparison, method)]


def _learner(comparison: Comparison, method: str, increments: Sequence[int]) -> Stage:
    """Return the training of learners, its images counted where a protocol says how many."""
    each = [comparison.learnt(method, k) for k in increments]
    known = [images for images in each if images is not None]
    images = comparison.seeds * sum(known) if known else None
    return Stage("train_learner", method, [method], increments, images)


def _evaluation(comparison: Comparison, method: str) -> Stage:
    drawer = comparison.drawers[method]
    ipc = drawer.increments * images_per_increment(drawer.recipe)
    images = comparison.seen(ipc) * comparison.seeds
    return Stage("evaluate", method, [method], [drawer.increments - 1], images)


def _drawn(
    comparison: Comparison, method: str, increments: list[int], jobs: float
) -> dict[str, Any]:
    """Return the facts from which the passes of increments are computed; ``jobs`` made each."""
    recipe = comparison.drawers[method].recipe
    return {
        "recipe": recipe.model_dump(exclude={"description", "extends", "learner"}),
        "increments": increments,
        "classes": comparison.classes / jobs,
    }
