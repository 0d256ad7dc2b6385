"""The views of `/v1`, by what they are about."""
