"""What the tests of faults share with those that drive a browser."""

from tests.e2e.conftest import golden_images, golden_machines, make_server

__all__ = ["golden_images", "golden_machines", "make_server"]
