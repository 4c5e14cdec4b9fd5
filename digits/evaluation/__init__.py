"""What networks are measured on, and how. Shares nothing with what training varies."""
