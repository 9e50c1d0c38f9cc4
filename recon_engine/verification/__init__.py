"""Re-checks a result from its files alone: nothing that makes results knows of it."""
