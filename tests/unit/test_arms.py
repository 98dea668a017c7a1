"""Arms of scores: what differs between them, and which there are."""

import pytest
import torch

from lgd_core.base.errors import UserError
from lgd_core.config.arms import NOT_AUGMENTED, arms_of, protocol_of_arm
from lgd_core.config.models.protocol import ProtocolConfig
from lgd_core.config.recipes import Recipes
from lgd_core.config.stages import student_settings
from lgd_core.networks.augment import augment

RATES = [0.001, 0.1]


@pytest.fixture(scope="module")
def rded() -> ProtocolConfig:
    return Recipes("config", {}).protocol("imagenette", "rded", "ResNet-18")


def test_labels_of_classes_need_no_arm_of_their_own(rded: ProtocolConfig) -> None:
    assert arms_of(rded) == ["own", "hard", "unaugmented"]
    assert arms_of(protocol_of_arm(rded, "hard", RATES)) == ["own", "unaugmented"]


def test_arms_differ_in_labels_or_in_augmentation_alone(rded: ProtocolConfig) -> None:
    own, hard, plain = (protocol_of_arm(rded, arm, RATES) for arm in arms_of(rded))
    assert own.labels == rded.labels
    assert own.augment == rded.augment
    assert (own.cutmix, own.shuffle) == (True, 2)
    assert (hard.labels.source, plain.labels) == ("class", rded.labels)
    assert hard.model_copy(update={"labels": own.labels}) == own
    assert (plain.cutmix, plain.shuffle, plain.augment) == (False, 1, NOT_AUGMENTED)
    same = {key: getattr(own, key) for key in ("cutmix", "shuffle", "augment")}
    assert plain.model_copy(update=same) == own


def test_students_of_arms_are_tested_once_and_do_not_depend_on_the_protocol_s_rate(
    rded: ProtocolConfig,
) -> None:
    optimiser = rded.optimiser.model_copy(update={"lr": 0.5})
    other = rded.model_copy(update={"optimiser": optimiser})
    assert protocol_of_arm(other, "own", RATES) == protocol_of_arm(rded, "own", RATES)
    lesson = student_settings(protocol_of_arm(rded, "own", RATES), 50, "here")
    assert (lesson.evaluations, lesson.every, lesson.after) == (1, None, 0)


def test_no_augmentation_changes_no_image() -> None:
    images = torch.rand(5, 3, 9, 9)
    found = augment(images, NOT_AUGMENTED, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, images)


def test_scores_are_by_the_first_of_the_table_unless_the_run_says_another() -> None:
    table = {"students": ["ConvNet-2-w8", "ConvNet-3-w32"], "protocols": ["soft_steps", "hard"]}
    assert Recipes("config", table).scored_by("digits") == ("soft_steps", "ConvNet-2-w8")
    keys = table | {"scores": {"protocol": "hard", "student": "ConvNet-3-w32"}}
    assert Recipes("config", keys).scored_by("digits") == ("hard", "ConvNet-3-w32")


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"rounds": 1}, "scores.rounds: found 1, expected at least 2"),
        ({"rates": [0.1, 0.1]}, "scores.rates: found [0.1, 0.1], expected no item twice"),
        ({"protocol": "hrad"}, "scores.protocol: unknown protocol 'hrad'"),
        ({"student": "ConvNet-6"}, "scores.student: 'ConvNet-6' takes images of at least"),
    ],
)
def test_what_cannot_be_scored_is_one_line_before_any_job(keys: dict, text: str) -> None:
    with pytest.raises(UserError) as caught:
        Recipes("config", {"datasets": ["digits"], "scores": keys})
    assert text in str(caught.value)
