"""`/api/v1`: a view reads, calls one verb and answers 200 with a body of the vendor's, or raises what `faults` words."""
