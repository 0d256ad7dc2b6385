"""A view reads, calls one verb and answers with an envelope, or raises what `faults` words."""
