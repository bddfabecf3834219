"""Real processes on loopback, their faults, and what became of the conversation meanwhile."""
