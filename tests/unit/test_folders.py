"""Folders as keys name them: home folders and variables."""

import pytest

from lgd_core.base.errors import UserError
from lgd_core.base.folders import expand_path


def test_home_folders_and_variables_are_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("LGD_TEST_DISK", "/disk $1")
    assert expand_path("~/dit", "prior.source") == "/home/me/dit"
    assert expand_path("~", "prior.source") == "/home/me"
    assert expand_path("$LGD_TEST_DISK/dit", "prior.source") == "/disk $1/dit"
    assert expand_path("${LGD_TEST_DISK}2", "prior.source") == "/disk $12"


@pytest.mark.parametrize("text", ["a/b", "/a b/#c", "cost $5", "../x~y", "facebook/DiT-XL-2-256"])
def test_other_paths_stay_as_they_are(text):
    assert expand_path(text, "prior.source") == text


def test_a_folder_that_is_there_is_taken_as_it_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv("LGD_TEST_UNSET", raising=False)
    for name in ("$LGD_TEST_UNSET", "~nobody_here"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path)
        assert expand_path(name, "source.folder") == name


@pytest.mark.parametrize("text", ["$LGD_TEST_UNSET/dit", "/data/${LGD_TEST_UNSET}"])
def test_a_variable_that_is_not_set_is_named(text, monkeypatch):
    monkeypatch.delenv("LGD_TEST_UNSET", raising=False)
    with pytest.raises(UserError, match=r"^prior.source: .* the variable LGD_TEST_UNSET"):
        expand_path(text, "prior.source")


def test_a_user_without_a_home_folder_is_refused():
    with pytest.raises(UserError, match=r"^seed.folder: found '~nobody_here/x'"):
        expand_path("~nobody_here/x", "seed.folder")
