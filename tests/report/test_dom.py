"""Numbers that the page writes, against those that Python writes."""

from importlib import resources

import numpy as np
import pytest
from playwright.sync_api import Browser

from mixwise.report.numbers import number, share, signed

DOM = resources.files("mixwise.report").joinpath("assets", "dom.js").read_text(encoding="utf-8")
TIES = [k / 16 for k in range(-40, 40)] + [12350.0, 12450.0, 123500.0, 1.5e15, 99995.0, 1.0005e4]
EDGES = [0.0, -0.0, 1e-3, 1e-4, 9.999e-4, 9.9999e-4, 9.9996e-5, 1e-300, 9999.9999, 1e4, 1e5, 1e22]
SHARES = [k / 400 for k in range(401)] + [k / 256 for k in range(257)] + [4e-4, 5e-4, 5.1e-4]


@pytest.fixture(scope="module")
def values() -> list[float]:
    rng = np.random.default_rng(0)
    sizes = 10.0 ** rng.uniform(-12, 12, 3000)
    signs = rng.choice([-1.0, 1.0], 3000)
    return [*TIES, *EDGES, *(sizes * signs).tolist()]


def test_numbers_are_written_as_python_writes_them(browser: Browser, values: list[float]) -> None:
    page = browser.new_page()
    script = f"([values, shares]) => {{ {DOM}\n return [number, signed].map(f => values.map(f))"
    plain, with_sign, shares = page.evaluate(
        script + ".concat([shares.map(percent)]); }", [values, SHARES]
    )
    page.close()
    assert dict(zip(values, plain, strict=True)) == {x: number(x) for x in values}
    assert dict(zip(values, with_sign, strict=True)) == {x: signed(x) for x in values}
    assert dict(zip(SHARES, shares, strict=True)) == {x: share(x) for x in SHARES}
