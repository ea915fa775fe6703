"""Dagster objects and nothing else. Every module is loaded by itself; none is imported by another."""
