"""Accepted is not applied: looking whether what Customer.io accepted is there. `engine.py` is the way in."""
