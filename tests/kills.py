"""Trainings that die where a test wants it."""

from asr.training import loop


class Killed(Exception):
    """Stands for a kill: nothing after it runs."""


def kill_at(monkeypatch, step):
    """Make the training die before step number `step`."""
    original, calls = loop._Fit._step, []

    def dying(self, *args):
        calls.append(1)
        if len(calls) == step:
            raise Killed
        return original(self, *args)

    monkeypatch.setattr(loop._Fit, "_step", dying)
