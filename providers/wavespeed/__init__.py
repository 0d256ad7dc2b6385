"""WaveSpeedAI, API v3."""
