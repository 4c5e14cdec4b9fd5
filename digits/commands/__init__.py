"""What the jobs share: how they print, and how they end."""
