"""The shapes of `/v1` as JSON Schema (2020-12), one module for each subject. Data: the OpenAPI document is put together
from them, requests are checked against them, and the tests hold every answer to them.
"""
