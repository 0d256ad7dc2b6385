"""The vendor's words, translated both ways by pure functions: no database, no clock, no network."""
