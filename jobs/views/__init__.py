"""The dashboard: what a person sees of their jobs."""
