"""Pure functions between `/v1`'s JSON and the product's words: no database, no clock, no network."""
