"""Desktops in QEMU on this machine."""
