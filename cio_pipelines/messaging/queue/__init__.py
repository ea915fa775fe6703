"""The queue between applications and Customer.io: one interface, an embedded store and Redis."""
