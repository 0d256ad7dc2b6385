"""The embedded stack: PostgreSQL and Redis from wheels and the process tree of `manage.py up`."""
