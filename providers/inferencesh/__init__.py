"""inference.sh: apps on other people's machines."""
