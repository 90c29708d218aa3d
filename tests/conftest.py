"""What holds for every test."""

import os

from hypothesis import settings

# Time limits of single examples fail on busy machines, not on wrong code. The blob repeats a failure elsewhere.
settings.register_profile("sagad", deadline=None, print_blob=True)
settings.load_profile("sagad")


def pytest_configure() -> None:
    """Hide the settings of whoever runs the tests: theirs must not decide what passes.

    So what a run of the tests is told by its environment is called ``TESTS_…``.
    """
    for name in [name for name in os.environ if name.startswith("SAGAD_")]:
        del os.environ[name]
