"""What a run came to: matches, differences, breaks with their reasons, and the proof that nothing was lost."""
