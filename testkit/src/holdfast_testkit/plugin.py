"""The entry point `pytest11`: without one, pytest would not rewrite the kit's assertions to explain failures."""
