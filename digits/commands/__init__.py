"""What jobs print, and how they end."""
