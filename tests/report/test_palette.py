from mixwise.report.palette import COLOURS, looks


def test_thirty_two_domains_look_different_and_each_alike_everywhere() -> None:
    names = [f"d{k}" for k in range(32)]
    found = looks(names)
    assert len({(look.colour, look.hatch, look.dash) for look in found.values()}) == 32
    assert found == looks(names)
    assert found["d8"].colour == found["d0"].colour == COLOURS[0]
    assert found["d8"].css_class == "hatch1"


def test_the_thirty_third_begins_again() -> None:
    found = looks([f"d{k}" for k in range(33)])
    assert found["d32"] == found["d0"]
