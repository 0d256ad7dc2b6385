"""The part of inference.sh's API that runs an app, over our jobs. README.md lists what differs."""
