"""`/api/v3`: a view reads, calls one verb and answers 200 with an envelope, or raises what `faults` words."""
