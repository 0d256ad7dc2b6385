"""The documentation site under /docs: docs/*.md and the OpenAPI document as pages, for everybody."""
