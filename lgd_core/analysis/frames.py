"""Parts of data frames, with types that pandas' annotations lack."""

from typing import cast

import pandas as pd


def column(table: pd.DataFrame, name: str) -> pd.Series:
    """Return a column of a table."""
    return cast(pd.Series, table[name])


def columns(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return some columns of a table, in this order."""
    return cast(pd.DataFrame, table[names])


def rows_where(table: pd.DataFrame, chosen: pd.Series) -> pd.DataFrame:
    """Return the rows of a table at which ``chosen`` is true."""
    return cast(pd.DataFrame, table[chosen])
