from pathlib import Path

import yaml
from tests.export.studies import hand, handed

from mixwise.export.trainers.llamafactory_v1 import LLAMAFACTORY_V1


def test_weights_multiply_rows() -> None:
    mixture = hand(
        handed("a", 0.5, n_rows=40, mean=5, records="sharegpt"),
        handed("b", 0.5, n_rows=100, mean=10, records="sharegpt"),
    )
    made = LLAMAFACTORY_V1.render(mixture, Path("x.yaml"))
    assert yaml.safe_load("\n".join(made.lines)) == {
        name: {
            "source": "local",
            "path": f"/data/{name}.jsonl",
            "converter": "sharegpt",
            "weight": weight,
        }
        for name, weight in {"a": 2.50625, "b": 0.5025}.items()  # 100 and 50 rows
    }
