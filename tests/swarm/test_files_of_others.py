"""Tables as other tools write them, read as they are or by naming columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixwise.errors import DataError
from mixwise.swarm import Asked, read_swarm

OLMIX_RATIOS = """\
,run,name,index,dclm:math,dclm:web,pes2o
0,ab12,swarm-0,0,0.2,0.5,0.3
1,cd34,swarm-1,1,0.1,0.6,0.3
"""
OLMIX_METRICS = """\
,run,name,index,arc_easy_bpb,hellaswag_bpb
0,cd34,swarm-1,0,0.81,1.2
1,ab12,swarm-0,1,0.72,1.1
"""
REGMIX_MIXTURES = "index,train_the_pile_arxiv,train_the_pile_pile_cc\n1,0.25,0.75\n2,0.5,0.5\n"
REGMIX_LOSSES = "index,metric/the_pile_arxiv_val_loss\n1,3.5\n2,3.1\n"
WANDB = """\
"Name","State","Notes","User","Tags","Created","Runtime","Sweep","lr","mix.math","mix.code","eval/loss"
"calm-sun-2","finished","-","me","","2026-11-02T10:00:00.000Z","310","","0.001","0.25","0.75","2.5"
"wild-sea-1","finished","-","me","","2026-11-01T10:00:00.000Z","300","","0.001","0.5","0.5","2.25"
"""
MLFLOW = """\
Start Time,Duration,Run ID,Name,Source Name,User,Status,share/math,share/code,seed,eval/loss
2026-11-02 10:00:00,5.0min,9f,calm,train.py,me,FINISHED,0.25,0.75,1,2.5
2026-11-01 10:00:00,5.0min,8e,wild,train.py,me,FINISHED,0.5,0.5,1,2.25
"""
MLFLOW_FRAME = """\
run_id,status,start_time,metrics.eval/loss,params.math,params.code,params.seed,tags.mlflow.runName
9f,FINISHED,2026-11-02 10:00:00+00:00,2.5,0.25,0.75,1,calm
8e,FINISHED,2026-11-01 10:00:00+00:00,2.25,0.5,0.5,1,wild
"""


def write(folder: Path, **texts: str) -> list[Path]:
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)
    return [folder / f"{name}.csv" for name in texts]


def test_olmix_files_as_its_loader_takes_them(tmp_path: Path) -> None:
    files = write(tmp_path, ratios=OLMIX_RATIOS, metrics=OLMIX_METRICS)
    table = read_swarm(files, Asked(by=("run",)))
    assert table.domains == ("dclm:math", "dclm:web", "pes2o")
    assert dict(table.metrics) == {"arc_easy_bpb": "min", "hellaswag_bpb": "min"}
    assert table.values.tolist() == [[0.72, 1.1], [0.81, 1.2]]
    assert table.fixed == {"pes2o": pytest.approx(0.3)}


def test_columns_that_join_other_rows_are_refused_and_row_numbers_join_none(tmp_path: Path) -> None:
    files = write(tmp_path, ratios=OLMIX_RATIOS, metrics=OLMIX_METRICS)
    with pytest.raises(DataError, match=r"columns `index` and `run` tell runs apart, but by each"):
        read_swarm(files)
    in_order = OLMIX_METRICS.replace("swarm-1,0", "swarm-1,1").replace("swarm-0,1", "swarm-0,0")
    table = read_swarm(write(tmp_path, ratios=OLMIX_RATIOS, metrics=in_order))
    assert table.values.tolist() == [[0.72, 1.1], [0.81, 1.2]]
    ratios, metrics = (
        text.replace("run,name,index", names)
        for text, names in ((OLMIX_RATIOS, "r1,r2,r3"), (OLMIX_METRICS, "m1,m2,m3"))
    )
    with pytest.raises(DataError, match="no column in common that tells which rows belong"):
        read_swarm(write(tmp_path, ratios=ratios, metrics=metrics))


def test_regmix_files_as_they_are(tmp_path: Path) -> None:
    table = read_swarm(write(tmp_path, mixtures=REGMIX_MIXTURES, losses=REGMIX_LOSSES))
    assert table.domains == ("train_the_pile_arxiv", "train_the_pile_pile_cc")
    assert table.values.tolist() == [[3.5], [3.1]]


@pytest.mark.parametrize(
    ("text", "domains", "metric"),
    [
        (WANDB, ("mix.math", "mix.code"), "eval/loss"),
        (MLFLOW, ("share/math", "share/code"), "eval/loss"),
        (MLFLOW_FRAME, ("params.math", "params.code"), "metrics.eval/loss"),
    ],
)
def test_exports_of_tracking_tools_by_naming_columns(
    text: str, domains: tuple[str, str], metric: str, tmp_path: Path
) -> None:
    files = write(tmp_path, export=text)
    table = read_swarm(files, Asked(domains=domains, metrics={metric: "min"}))
    assert table.shares.tolist() == [[0.25, 0.75], [0.5, 0.5]]
    assert table.values.tolist() == [[2.5], [2.25]]


@pytest.mark.parametrize(
    ("table", "state"), [(WANDB, "crashed"), (MLFLOW, "FAILED"), (MLFLOW_FRAME, "RUNNING")]
)
def test_a_run_that_did_not_end_well_is_refused(tmp_path: Path, table: str, state: str) -> None:
    before = "finished" if "finished" in table else "FINISHED"
    cut = state.join(table.rsplit(before, 1))
    with pytest.raises(DataError, match=rf"runs.csv:3: the run is `{state}` by its column"):
        read_swarm(write(tmp_path, runs=cut), Asked(metrics={"eval/loss": None}))


@pytest.mark.parametrize(("cell", "shown"), [("", "nothing"), ("-0.25", "-0.25"), ("oops", "oops")])
def test_a_share_that_is_none_is_named(tmp_path: Path, cell: str, shown: str) -> None:
    text = f"math,code,loss\n0.5,0.5,2\n0.25,0.75,3\n{cell},1,4\n"
    with pytest.raises(DataError, match=rf"runs.csv:4 has {shown} in the column `math`"):
        read_swarm(write(tmp_path, runs=text))
