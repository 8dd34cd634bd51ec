"""Functions of the user's that the server calls at points of its life (`--hooks`)."""

from bare_serve.hooks.loading import ExitFacts, MasterFacts, WorkerFacts

__all__ = ["ExitFacts", "MasterFacts", "WorkerFacts"]
