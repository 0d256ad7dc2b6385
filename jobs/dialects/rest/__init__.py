"""Our own REST API, `/v1`."""
