"""Tables on disk, as CSV."""

from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any, cast

import pandas as pd  # pyright: ignore[reportMissingTypeStubs]  # has types, but no py.typed

from lgd_core.base.digests import check_file
from lgd_core.base.errors import UserError
from lgd_core.base.files import atomic
from lgd_core.base.system_errors import patient


@patient
def parse_csv(path: str | Path, columns: Iterable[str] = (), **options: Any) -> pd.DataFrame:
    """Read a table; ``options`` are those of pandas.read_csv.

    Raises UserError naming the file if it is no table or lacks one of the columns.
    """
    try:
        table = cast("pd.DataFrame", pd.read_csv(path, **options))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}, expected a table") from error
    except ValueError as error:  # pandas' own errors, and text that is not UTF-8
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: found no table ({reason}), expected CSV in UTF-8") from error
    if missing := [column for column in columns if column not in table]:
        raise UserError(
            f"{path}: found no column '{missing[0]}', expected a table of this version of the "
            "workflow; make it again"
        )
    return table


def read_csv(path: str | Path, record: dict[str, Any]) -> pd.DataFrame:
    """Read a table that another job has written.

    ``record`` is the contents of the JSON artifact beside it. Raises UserError naming the file if
    its digest is not the one in the record.
    """
    check_file(path, record)
    return parse_csv(path)


@patient
def write_csv(table: pd.DataFrame, path: str | Path, exact: Container[str] = ()) -> None:
    """Write a table with two decimals for accuracies and six significant digits otherwise.

    Deviations are taken as those of accuracies in percent, except in columns named by ``exact``.
    """

    rounded = cast("Any", table.copy())  # pandas' methods are only partly typed
    for column in rounded.columns:
        percent = "top1" in column or column.endswith("_std")
        if (percent or column.startswith(("diff_", "std_"))) and column not in exact:
            rounded[column] = rounded[column].astype(float).round(2)
    with atomic(path) as temporary:
        rounded.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
