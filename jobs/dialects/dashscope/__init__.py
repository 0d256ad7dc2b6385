"""Alibaba's DashScope API over our jobs: what the vendor's SDK expects. README.md lists what differs."""
