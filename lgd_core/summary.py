"""Print a target's table and where its pictures are: ``python -m lgd_core.summary FOLDER``."""

import sys
from pathlib import Path

import pandas as pd


def summary(folder: Path) -> str:
    """Return the table and the mean redundancy of a results folder, for a terminal."""
    table = pd.read_csv(folder / "table.csv")
    spread = {"top1": "top1_mean", "best": "best_top1_mean"}
    shown = table[["method", "student", "n"]].copy()
    for name, column in spread.items():
        deviation = table[column.replace("mean", "std")].map(
            lambda x: f" ± {x:.1f}" if x == x else ""
        )
        shown[f"{name} (%)"] = table[column].map("{:.1f}".format) + deviation
    lines = [shown.to_string(index=False)]
    matrix = pd.read_csv(folder / "redundancy.csv")
    away = matrix[matrix["train_increment"] != matrix["test_increment"]]
    for method, mean in away.groupby("method", sort=False)["top1"].mean().items():
        lines.append(f"mean off-diagonal redundancy of {method}: {mean:.1f} %")
    pictures = ", ".join(str(path) for path in sorted(folder.glob("*.png")))
    return "\n".join([*lines, f"pictures: {pictures}"])


if __name__ == "__main__":
    print(summary(Path(sys.argv[1])))
