"""The API (SPEC §8): HTTP/1.1 on the unix socket, JSON in and out. It decodes, checks, calls the service, and answers.

``serve`` is the only door. Nothing in here knows what a saga does; what a route is, takes, needs and answers is one
line of the table in ``routes``, from which openapi.json is made as well.
"""

from orchestrator.api.server import Server, SocketTaken, serve

__all__ = ["Server", "SocketTaken", "serve"]
