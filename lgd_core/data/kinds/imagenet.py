"""ILSVRC-2012, in its official layout or in Kaggle's."""

from pathlib import Path

from pydantic import Field

from lgd_core.config.data_kinds import Folder, Wanted
from lgd_core.config.models.source import SourceKeys
from lgd_core.data.ilsvrc import check_ilsvrc, find_ground_truth, flat_images, is_flat
from lgd_core.data.trees import Labelled, TreeKind


class ImageNetKeys(SourceKeys):
    """How much of ILSVRC-2012 there is."""

    complete: bool = Field(
        True,
        description=(
            "Whether an imagenet root has all images of the classes, as ILSVRC-2012 has; counted "
            "before the run. False takes a part of them, and leaves the paper's columns of tables "
            "empty."
        ),
    )


class ImageNet(TreeKind[ImageNetKeys]):
    """Validation images are for testing. Every run checks that the images are ImageNet's."""

    description = "an ILSVRC-2012 root, its val in class folders or flat with ground truth"
    keys = ImageNetKeys
    folder = Folder(
        meaning="required",
        expected="the root of ILSVRC-2012, with train/WNID/ and val/",
        required=True,
        by_variable=True,
    )
    published = True

    def base(self, root: Path) -> Path:
        nested = root / "ILSVRC" / "Data" / "CLS-LOC"  # Kaggle's layout
        return nested if nested.is_dir() else root

    def is_flat(self, part: Path) -> bool:
        return is_flat(part)

    def check_part(self, data: Wanted[ImageNetKeys], root: Path, part: Path) -> None:
        if is_flat(part):
            find_ground_truth(root)
        else:
            super().check_part(data, root, part)

    def part_images(self, data: Wanted[ImageNetKeys], root: Path, part: Path) -> Labelled:
        if is_flat(part):
            return flat_images(root, part, data.wnids, data.source.complete)
        return super().part_images(data, root, part)

    def check_images(
        self, data: Wanted[ImageNetKeys], root: Path, train: Labelled, test: Labelled
    ) -> None:
        check_ilsvrc(root, {"train": train, "val": test}, data.wnids, data.source.complete)

    def compares_with_paper(self, source: ImageNetKeys) -> bool:
        return source.complete


KIND = ImageNet()
