"""Render engines that run in a child process of the render worker.

``python -m providers.local.worker ENGINE WORKDIR`` reads ``WORKDIR/order.json`` and answers with JSON lines
on stdout (see ``protocol``).  Nothing in this package imports Django, Celery or any other room of the
project; it is the only place that imports cv2, and nobody else needs to: the worker talks to it through files
and lines.
"""
