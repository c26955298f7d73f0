"""One pod of ours, looked at until something happens to it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from imgbake.api import RunContext, StepError
from imgbake_docker.following import follow
from imgbake_kaniko import pods
from imgbake_kaniko.cluster.client import Client, Log
from imgbake_kaniko.pods import Pod, State

_LOOK_EVERY = 0.3  # seconds
_ASK_WHY_EVERY = 5  # seconds
_LOOKS = 10  # at a container whose log has ended, before the log is taken for broken off
_TAIL = 30


class Watched:
    """A pod that a run of ours has made, or a Job of it will."""

    def __init__(self, client: Client, owner: str, labels: str, patience: float, ctx: RunContext) -> None:
        """`owner` is the object whose events tell why there is no pod; `labels` find the pod. It may take
        `patience` seconds until each of its containers begins."""
        self._client, self._owner, self._labels = client, owner, labels
        self._patience, self._ctx = patience, ctx
        self._was_seen = False
        self._told = ""
        self.tail: deque[str] = deque(maxlen=_TAIL)

    def until_begun(self, container: str) -> Pod:
        """Waits until a container has begun, however it went on, and returns the pod. Raises StepError."""
        return self._until(
            lambda pod: pods.state(pod, container).kind in ("running", "terminated"), self._patience
        )

    def follow(self, container: str, hear: Callable[[str], str], log: Callable[[str], None]) -> State:
        """Logs what a container prints until it has ended, and returns how. Raises StepError.

        `hear` says what a line means. A log that breaks off is opened again.
        """
        heard = 0
        while True:
            pod = self.until_begun(container)
            for number, line in enumerate(self._lines(pod["metadata"]["name"], container)):
                if number >= heard:
                    heard = number + 1
                    text = hear(line)
                    self.tail.append(text)
                    log(text)
            if ended := self._ended(container):
                return ended

    def _ended(self, container: str) -> State | None:
        """How a container has ended whose log has: its status may say so later. Raises StepError."""
        for _ in range(_LOOKS):
            pod = self._until(lambda _: True, None)
            found = pods.state(pod, container)
            error = pods.trouble(pod, tuple(self.tail))
            if error is not None:
                raise self._explained(error)
            if found.kind == "terminated":
                return found
            self._pause()
        return None

    def _lines(self, pod: str, container: str) -> Any:
        opened: list[Log] = []

        def produce(put: Callable[[str], None]) -> None:
            opened.append(self._client.log(pod, container))
            try:
                for line in opened[0]:
                    put(line)
            finally:
                opened[0].close()

        def cancel() -> None:
            for log in opened:
                log.close()

        return follow(produce, cancel, self._ctx)

    def _until(self, is_so: Callable[[Pod], bool], patience: float | None) -> Pod:
        began = asked = time.monotonic()
        while True:
            self._ctx.check()
            pod = self._look()
            if pod is not None:
                if is_so(pod):
                    return pod
                if error := pods.trouble(pod, tuple(self.tail)):
                    raise self._explained(error)
            now = time.monotonic()
            if patience is not None and now - asked > _ASK_WHY_EVERY:
                asked = now
                self._tell(pods.delay(pod, self._events(pod)))
            if patience is not None and now - began > patience:
                self._tell(pods.delay(pod, self._events(pod)))
                hint = "`start_timeout` says how long it may take"
                why = f": {self._told}" if self._told else ""
                raise StepError(f"the pod has not begun after {patience:g} s{why}", hint=hint)
            self._pause()

    def _look(self) -> Pod | None:
        found = self._client.list("Pod", labels=self._labels)
        if not found:
            if self._was_seen:
                hint = "somebody has removed it, or its node is lost: build again"
                raise self._explained(StepError("the pod is gone", hint=hint, tail=tuple(self.tail)))
            return None
        self._was_seen = True
        return found[0]

    def _explained(self, error: StepError) -> StepError:
        """The error, unless the cluster has ended the Job, and so the pod."""
        job = self._client.find("Job", self._owner)
        return (pods.overdue(job, tuple(self.tail)) if job is not None else None) or error

    def _events(self, pod: Pod | None) -> Any:
        """Of the pod, and of what it is made by and claims."""
        names = [self._owner, *([pod["metadata"]["name"]] if pod is not None else [])]
        found = (self._client.list("Event", fields=f"involvedObject.name={name}") for name in names)
        return [event for events in found for event in events]

    def _tell(self, why: str) -> None:
        if why and why != self._told:
            self._told = why
            self._ctx.log(f"waiting: {why}")

    def _pause(self) -> None:
        time.sleep(_LOOK_EVERY)
