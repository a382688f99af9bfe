from mixwise.progress import Progress, Stage, silent, silent_stage


def test_work_of_unknown_size_is_never_done() -> None:
    assert not Progress("scoring", 5, 0).is_done
    assert not Progress("scoring", 4, 5).is_done
    assert Progress("scoring", 5, 5).is_done
    assert Progress("scoring", 6, 5).is_done


def test_silence_takes_everything() -> None:
    silent(Progress("scoring", 1, 2))
    silent_stage(Stage("search"))
