"""Broadcasts to people whom a model in the warehouse names: one trigger a day, however often it is asked.

Start at `engine.Broadcast`. What is triggered is a `specs.BroadcastSpec`, what is remembered in `state.py`.
No orchestrator.
"""
