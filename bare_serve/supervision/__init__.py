"""The master process: it binds nothing and serves nothing, it keeps workers alive."""

from bare_serve.supervision.supervisor import Policy, Supervisor

__all__ = ["Policy", "Supervisor"]
