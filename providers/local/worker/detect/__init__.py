"""detect: is this a sharp picture of exactly one person seen from the front, and where is the face?

Run as a process of its own, ``python -m providers.local.worker.detect WORKDIR``, beside the engines and under
the same limits.  Haar cascades decide: both eyes must be seen, which they are only from the front.
"""
