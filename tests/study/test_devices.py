import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixwise.errors import MixwiseError, RecipeError
from mixwise.study.devices import DEVICES, parse_fleet, require_price


@pytest.mark.parametrize("text", ["64×H100", "64xH100", "64XH100", " 64 x h100 ", "64*H100"])
def test_a_cluster_is_written_in_several_ways(text: str) -> None:
    fleet = parse_fleet(text)
    assert (fleet.n_devices, fleet.device.name) == (64, "H100")
    assert str(fleet) == "64×H100"


def test_every_device_of_the_table_can_be_named_and_is_plausible() -> None:
    for name, device in DEVICES.items():
        assert parse_fleet(f"1x{name}").device is device
        assert device.bfloat16_flops > device.float32_flops > 1e13
        assert device.memory_bandwidth > device.link_bandwidth > 1e10
        assert 2e10 < device.memory_bytes < 1e12


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("H100", "must be a number of devices and their kind"),
        ("", "must be a number of devices and their kind"),
        ("-1xH100", "must be a number of devices and their kind"),
        ("8x\x1b[2J", r"but got `8x\\x1b\[2J`"),
        ("0xH100", "must name 1 to 1,000,000 devices, but got 0"),
        ("9999999xH100", "but got 9,999,999"),
        ("8xH1000", "no device `H1000` is known: did you mean `H100`"),
    ],
)
def test_what_is_no_cluster_is_refused(text: str, rule: str) -> None:
    with pytest.raises(RecipeError, match=rule):
        parse_fleet(text)


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_a_price_is_a_finite_amount(price: float) -> None:
    with pytest.raises(RecipeError, match="must be 0 or more, and finite, but is"):
        require_price(price, "8xH100")


def test_a_price_is_of_devices_that_are_named() -> None:
    require_price(None, None)
    require_price(0.0, "8xH100")
    with pytest.raises(RecipeError, match="name them by `--on`"):
        require_price(1.0, None)


@given(st.text(max_size=40))
def test_any_text_is_a_cluster_or_refused(text: str) -> None:
    said = ""
    try:
        assert parse_fleet(text).n_devices > 0
    except MixwiseError as error:
        said = str(error)
    assert said.isprintable()
