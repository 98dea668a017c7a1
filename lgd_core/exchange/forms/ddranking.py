"""`images.pt` and `labels.pt` as DD-Ranking reads them: floats, normalised, class by class."""

import json
from pathlib import Path

from lgd_core.base.files import atomic
from lgd_core.exchange.form import Form
from lgd_core.exchange.forms.tensors import class_major
from lgd_core.exchange.leaving import Leaving, pixels_of


def write(folder: Path, leaving: Leaving) -> None:
    """Write all images as one tensor, their labels, the classes, and logits if there are any."""
    import numpy as np
    import torch
    from torch import Tensor

    def save(name: str, tensor: Tensor) -> None:
        with atomic(folder / name) as temporary, open(temporary, "wb") as stream:
            torch.save(tensor, stream)

    rows = class_major(leaving.rows)
    save("labels.pt", torch.tensor([row.label for row in rows]))
    if leaving.logits is not None:
        save("logits.pt", torch.tensor([leaving.logits_of(row) for row in rows]))
    with atomic(folder / "classes.json") as temporary:
        temporary.write_text(json.dumps(leaving.classes.model_dump(), indent=2) + "\n")
    if (folder / "images.pt").exists():
        return
    mean, std = (
        np.array(values, np.float32)[:, None, None]
        for values in (leaving.normalise.mean, leaving.normalise.std)
    )
    shape = (len(rows), *pixels_of(leaving, rows[0]).shape)
    # The tensor may be larger than memory: it is saved from a file of its own. That is not written
    # as a memory map, since a full disk would then kill the process.
    with atomic(folder / ".pixels") as raw:
        with open(raw, "wb") as stream:
            for row in rows:
                scaled = (pixels_of(leaving, row).astype(np.float32) / 255 - mean) / std
                stream.write(scaled.tobytes())
        images = np.memmap(raw, np.float32, "c", shape=shape)
        save("images.pt", torch.from_numpy(images))
        del images
    (folder / ".pixels").unlink()


FORM = Form(
    description="images.pt and labels.pt for DD-Ranking: floats, normalised, class by class",
    write=write,
    loading="""import torch

images = torch.load("FOLDER/images.pt", weights_only=True)  # float32 (N, C, H, W)
labels = torch.load("FOLDER/labels.pt", weights_only=True)  # int64 (N,)""",
)
