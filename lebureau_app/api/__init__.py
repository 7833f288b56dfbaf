"""Thin REST, SSE and WebSocket routes, one router a noun: parse, call a service, present."""

from lebureau_app.api.app import create_api

__all__ = ["create_api"]
