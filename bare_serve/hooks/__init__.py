"""Functions of the user's that the server calls at points of its life (`--hooks`)."""

from bare_serve.hooks.loading import MasterFacts, WorkerFacts

__all__ = ["MasterFacts", "WorkerFacts"]
