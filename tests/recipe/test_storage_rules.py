from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.recipe.minimal import MINIMAL

from mixwise.errors import RecipeError
from mixwise.recipe import parse_recipe

OWN = {"kind": "command", "command": ["a", "{model}"], "measures": {"score": "max"}}


def parse(**more: Any) -> None:
    engine = {"cluster": "ray", "storage": "s3://bucket/prefix"}
    parse_recipe(yaml.safe_dump({**MINIMAL, "engine": engine, **more}), "recipe.yaml")


def test_a_plain_recipe_may_name_a_store() -> None:
    parse()


@pytest.mark.parametrize(
    "address",
    [
        "bucket/prefix",
        "s3://",
        "memory://a",
        "filecache::s3://bucket",
        "s3://bucket/a b",
        "s3://bucket?key=x",
        "S3://bucket",
    ],
)
def test_what_is_no_address_of_several_hosts_is_refused(address: str) -> None:
    with pytest.raises(RecipeError, match=r"`engine\.storage`.*address that several hosts reach"):
        parse(engine={"cluster": "ray", "storage": address})


@pytest.mark.parametrize("address", ["s3://key:secret@bucket/a", "sftp://me:word@host/a"])
def test_a_password_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(RecipeError, match="password") as refused:
        parse(engine={"cluster": "ray", "storage": address})
    assert "secret" not in str(refused.value)
    assert ":word" not in str(refused.value)


def test_a_container_of_an_account_is_no_password() -> None:
    storage = "abfs://container@account.dfs.core.windows.net/prefix"
    parse(engine={"cluster": "ray", "storage": storage})


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"tracking": {"to": ["tensorboard"]}}, r"`tracking\.to` names tools"),
        ({"experts": {"method": "gradients"}}, r"`engine\.storage` is set, but gradients"),
        (
            {"evaluation": {"sets": {"own": OWN}}},
            r"`evaluation\.sets\.own` is a command set",
        ),
    ],
)
def test_what_does_not_travel_is_refused_by_name(more: dict[str, Any], named: str) -> None:
    with pytest.raises(RecipeError, match=named):
        parse(**more)
