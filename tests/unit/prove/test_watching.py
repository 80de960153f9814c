"""The watcher's judgement: an answer from the past is seen, also one asked before the resume."""

from prove.watching import Seen, steps_back


def answer(worker: str, asked_at: float, answered_at: float, watermark: int) -> Seen:
    body = {"freshness": {"partition": 0, "watermark": watermark}}
    return Seen(asked_at, answered_at, worker, "u", 200, body)


def test_an_answer_from_before_the_pause_is_seen() -> None:
    new, old = answer("c", 10.0, 10.1, 500), answer("a", 13.0, 13.1, 100)
    assert len(steps_back([new, old], 12.0)) == 1


def test_an_answer_asked_while_stopped_and_given_after_the_resume_is_seen() -> None:
    new, old = answer("c", 10.0, 10.1, 500), answer("a", 9.0, 12.05, 100)
    assert len(steps_back([new, old], 12.0)) == 1


def test_an_answer_may_be_older_than_one_that_nobody_had_when_it_was_asked() -> None:
    new, old = answer("c", 13.0, 13.4, 500), answer("a", 13.1, 13.3, 499)
    assert steps_back([new, old], 12.0) == []


def test_what_happened_before_is_not_held_against_it() -> None:
    new, old = answer("c", 10.0, 10.1, 500), answer("a", 11.0, 11.1, 100)
    assert steps_back([new, old], 12.0) == []
    assert len(steps_back([new, old], 0.0)) == 1
