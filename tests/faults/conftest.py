"""Faults happen to the same real server as in the end-to-end tests."""

from tests.e2e.conftest import make_server

__all__ = ["make_server"]
