"""Random histories: hypothesis chooses the actors and the faults, and shrinks a history that goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from .database import Databases
from .history import History
from .plans import JobPlan
from .threads import in_the_world
from .world import Fault

STEPS = 8
"""Events of one history, at most."""

WHO = st.integers(0, 3)
WHICH = st.integers(0, 20)
SECONDS = st.sampled_from([3.0, 0.02, 0.1, 1.0, 8.0, 16.0, 30.0])
THEN = st.sampled_from([3.0, 0.0, 0.02, 0.1, 1.0, 8.0])
CLAIM, START, END = "INSERT INTO cronzimus_run", "UPDATE cronzimus_run SET status = 'running'", "WITH w AS"
"""How the statements begin that claim, start and end runs."""
POINTS = st.sampled_from(["COMMIT", "after COMMIT", "a message", "a queue", "BEGIN", CLAIM, START, END])
"""The points at which a fault is worst."""
STRIKES = st.fixed_dictionaries(
    {
        "who": WHO, "kind": st.sampled_from(Fault.KINDS), "at": st.sampled_from([1, 2, 3]), "seconds": SECONDS,
        "what": POINTS, "after": st.sampled_from(["", CLAIM, START, END]),
    }
)  # fmt: skip
"""Faults at such points, one of the next few of a process."""
JOBS = st.builds(
    JobPlan,
    executor=st.sampled_from(["celery", "thread", "process"]),
    interval=st.sampled_from([10, 6]),
    seconds=st.sampled_from([0.0, 0.3, 2.0, 7.0]),
    fails=st.booleans(),
    stubborn=st.booleans(),
    retries=st.integers(0, 1),
    timeout=st.sampled_from([None, 4]),
    overlap=st.sampled_from(["skip", "queue", "replace"]),
)


class Histories(RuleBasedStateMachine):
    """Things that happen to schedulers, workers, their database and their broker."""

    databases: ClassVar[Databases]
    ended: ClassVar[Callable[[History], object]] = staticmethod(lambda history: None)
    history: History | None = None

    @initialize(
        jobs=st.lists(JOBS, min_size=1, max_size=3), schedulers=st.integers(1, 2), workers=st.integers(1, 2),
        pushes=st.booleans(), strikes=st.lists(STRIKES, max_size=3),
    )  # fmt: skip
    def begin(
        self, jobs: list[JobPlan], schedulers: int, workers: int, pushes: bool, strikes: list[dict[str, Any]]
    ) -> None:
        has_remote = any(job.executor == "celery" for job in jobs)
        workers = workers if has_remote else 0
        self.history = History(self.databases, jobs, schedulers=schedulers, workers=workers, pushes=pushes)
        self.history.go_on(1.0)
        for strike in strikes:
            self.history.strike(**strike)

    @rule(then=THEN)
    def go_on(self, then: float) -> None:
        self._go_on(then)

    @rule(who=WHO, kind=st.sampled_from(Fault.KINDS), at=st.integers(1, 60), seconds=SECONDS, then=THEN)
    def strike(self, who: int, kind: str, at: int, seconds: float, then: float) -> None:
        self._in_history.strike(who, kind, at, seconds)
        self._go_on(then)

    @rule(strike=STRIKES, then=st.sampled_from([8.0, 3.0, 16.0]))
    def strike_at(self, strike: dict[str, Any], then: float) -> None:
        self._in_history.strike(**strike)
        self._go_on(then)

    @rule(strike=STRIKES, what=st.sampled_from(["after COMMIT", "a message"]), then=st.sampled_from([8.0, 3.0, 16.0]))
    def strike_at_answer(self, strike: dict[str, Any], what: str, then: float) -> None:
        self._in_history.strike(**strike | {"what": what, "after": ""})
        self._go_on(then)

    @rule(seconds=SECONDS, silent=st.booleans(), then=THEN)
    def lose_database(self, seconds: float, silent: bool, then: float) -> None:
        self._in_history.lose_database(seconds, silent=silent)
        self._go_on(then)

    @rule(who=WHO, then=THEN)
    def kill(self, who: int, then: float) -> None:
        self._in_history.kill(who)
        self._go_on(then)

    @rule(who=WHO, then=THEN)
    def stop(self, who: int, then: float) -> None:
        self._in_history.stop(who)
        self._go_on(then)

    @rule(then=THEN)
    def start(self, then: float) -> None:
        self._in_history.start()
        self._go_on(then)

    @rule(who=WHO, then=THEN)
    def kill_children(self, who: int, then: float) -> None:
        self._in_history.kill_children(who)
        self._go_on(then)

    @rule(who=WHO, seconds=SECONDS, then=THEN)
    def freeze_children(self, who: int, seconds: float, then: float) -> None:
        self._in_history.freeze_children(who, seconds)
        self._go_on(then)

    @rule(which=WHICH, then=THEN)
    def lose_message(self, which: int, then: float) -> None:
        self._in_history.lose_message(which)
        self._go_on(then)

    @rule(which=WHICH, then=THEN)
    def repeat_message(self, which: int, then: float) -> None:
        self._in_history.repeat_message(which)
        self._go_on(then)

    @rule(seconds=SECONDS, then=THEN)
    def hold_messages(self, seconds: float, then: float) -> None:
        self._in_history.hold_messages(seconds)
        self._go_on(then)

    @rule(seconds=SECONDS, silent=st.booleans(), then=THEN)
    def lose_broker(self, seconds: float, silent: bool, then: float) -> None:
        self._in_history.lose_broker(seconds, silent=silent)
        self._go_on(then)

    @rule(seconds=st.sampled_from([5.0, -5.0, 20.0, -20.0, 3600.0]), then=THEN)
    def set_clock(self, seconds: float, then: float) -> None:
        self._in_history.set_clock(seconds)
        self._go_on(then)

    @rule(which=WHICH, then=THEN)
    def cancel(self, which: int, then: float) -> None:
        self._in_history.cancel(which)
        self._go_on(then)

    @rule(which=WHICH, then=THEN)
    def run_now(self, which: int, then: float) -> None:
        self._in_history.run_now(which)
        self._go_on(then)

    def _go_on(self, seconds: float) -> None:
        self._in_history.go_on(seconds)

    @property
    def _in_history(self) -> History:
        assert self.history is not None
        return self.history

    def teardown(self) -> None:
        history, self.history = self.history, None
        if history is None:
            return
        try:
            found = history.verdict()
            type(self).ended(history)
            assert not found, "\n".join([*found, *history.world.reached])
        finally:
            history.close()


def try_histories(
    databases: Databases, number: int, first_seed: int, ended: Callable[[History], object] = lambda history: None
) -> None:
    """Try `number` random histories, beginning with a seed. Raises `AssertionError` for one that goes wrong, shrunk."""
    machine: Any = type("Histories", (Histories,), {"databases": databases, "ended": staticmethod(ended)})
    options = settings(
        max_examples=number, stateful_step_count=STEPS, deadline=None, database=None, print_blob=False,
        phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    machine = seed(first_seed)(machine)
    with in_the_world():
        run_state_machine_as_test(machine, settings=options)
