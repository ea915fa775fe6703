"""The people sync as a library: extract, diff by hash, plan, push, and a ledger that tells the truth.

Start at `engine.py`. No orchestrator here; outcomes are returned, never printed.
"""
