"""Reflex states: thin. They call services and assign vars."""
