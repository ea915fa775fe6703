"""The event sync: rows of a mart as events of people, each accepted once."""
