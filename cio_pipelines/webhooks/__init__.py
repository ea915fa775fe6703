"""What Customer.io reports: received, kept in the landing zone, loaded into the warehouse."""
