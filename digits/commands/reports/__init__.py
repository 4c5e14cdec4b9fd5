"""What trainings and searches leave: tables, files and pictures."""
